"""Repositories of the hub, and of what speaks like it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm.asyncio import tqdm_asyncio as tqdm

from realtime_serve.errors import EngineFailed
from realtime_serve.settings.source import WANTED, Source
from realtime_serve.sources.failures import (
    INVALID,
    NOT_FOUND,
    REFUSALS,
    UNAUTHORISED,
    UNREACHABLE,
    failure_of_disk,
)
from realtime_serve.sources.meter import Meter

WHOLE = "Reconstructing"  # how the hub's client names the bar of bytes that are on disk


def fetch(source: Source, meter: Meter) -> Path:
    """A snapshot in the hub's cache ($HF_HOME). Raises EngineFailed.

    Safe for several processes at once: the hub's client locks each file.
    """
    repository = source.uri.removeprefix("hf://")
    if source.scheme not in ("", "hf") or repository.count("/") != 1:
        raise EngineFailed(INVALID, f"{source.uri}: not a directory, nor ORG/REPO of a hub")
    name = f"hf://{repository}@{source.revision}"
    try:
        return Path(
            snapshot_download(
                repository, revision=source.revision, allow_patterns=list(WANTED), tqdm_class=bar_for(meter)
            )
        )
    except HFValidationError as error:
        raise EngineFailed(INVALID, f"{name}: {error}") from error
    except GatedRepoError as error:
        raise unauthorised(name) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise EngineFailed(
            NOT_FOUND,
            f"{name}: the hub has no such repository or revision, or the token may not see it",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:
        if status_of(error) in REFUSALS:
            raise unauthorised(name) from error
        message = f"{name}: the hub does not answer as it should, and the model is not cached: {error}"
        raise EngineFailed(UNREACHABLE, message) from error
    except OSError as error:
        raise failure_of_disk(name, error) from error


def bar_for(meter: Meter) -> type[tqdm[Any]]:
    """What the hub's client takes for a progress bar; it draws nothing."""

    class Bar(tqdm):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._counts = str(options.get("desc", "")).startswith(WHOLE)
            super().__init__(*arguments, **{**options, "disable": False, "file": io.StringIO()})

        def display(self, *_arguments: Any, **_options: Any) -> None:
            """Nowhere."""

        def update(self, n: float | None = 1) -> bool | None:
            drawn = super().update(n)
            if self._counts:
                meter.total = int(self.total or 0)
                meter.see(int(self.n), moved=int(n or 0))
            return drawn

    return Bar


def unauthorised(name: str) -> EngineFailed:
    return EngineFailed(UNAUTHORISED, f"{name}: the hub wants a token that may read it (HF_TOKEN)")


def status_of(error: BaseException | None) -> int | None:
    """The hub's answer at the end of the chain of errors that its client makes of it."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code
        error = error.__cause__
    return None
