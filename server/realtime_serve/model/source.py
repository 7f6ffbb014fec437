"""From what the command line names to a directory of this machine."""

from __future__ import annotations

import errno
from http import HTTPStatus
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from realtime_serve.errors import EngineFailed

REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "tokenizer*"]
"""No pickles: they could run code, and safetensors are there for every model of today."""


def fetch(model: str, revision: str) -> Path:
    """The model's directory; downloads what is not yet cached.

    Raises EngineFailed with the reason SourceNotFound, SourceUnauthorised, SourceUnreachable, OutOfSpace or SourceInvalid.
    """
    path = Path(model.removeprefix("file://"))
    if model and path.is_dir():
        return path
    if model.startswith(("file://", "/", ".")):
        raise EngineFailed("SourceNotFound", f"{model}: there is no such directory")
    repository = model.removeprefix("hf://")
    if repository.count("/") != 1:
        raise EngineFailed("SourceInvalid", f"{model}: not a directory, nor ORG/REPO of a hub")
    return download(repository, revision)


def download(repository: str, revision: str) -> Path:
    """A snapshot in the hub's cache ($HF_HOME). Safe for several processes at once: the hub's client locks each file."""
    name = f"hf://{repository}@{revision}"
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=WANTED))
    except HFValidationError as error:
        raise EngineFailed("SourceInvalid", f"{name}: {error}") from error
    except GatedRepoError as error:
        raise unauthorised(name) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise EngineFailed(
            "SourceNotFound",
            f"{name}: the hub has no such repository or revision, or the token may not see it",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:
        if status_of(error) in REFUSALS:
            raise unauthorised(name) from error
        message = f"{name}: the hub does not answer as it should, and the model is not cached: {error}"
        raise EngineFailed("SourceUnreachable", message) from error
    except OSError as error:
        reason = "OutOfSpace" if error.errno == errno.ENOSPC else "SourceUnreachable"
        raise EngineFailed(reason, f"{name}: {error}") from error


def unauthorised(name: str) -> EngineFailed:
    return EngineFailed("SourceUnauthorised", f"{name}: the hub wants a token that may read it (HF_TOKEN)")


def status_of(error: BaseException | None) -> int | None:
    """The hub's answer at the end of the chain of errors that its client makes of it."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error.response.status_code
        error = error.__cause__
    return None
