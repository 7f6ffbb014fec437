"""From what the command line names to a directory of this machine."""

from __future__ import annotations

import errno
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from realtime_serve.errors import EngineFailed

WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "tokenizer*"]
"""No pickles: they could run code, and safetensors are there for every model of today."""


def fetch(model: str, revision: str) -> Path:
    """The model's directory; downloads what is not yet cached.

    Raises EngineFailed with the reason SourceNotFound, SourceUnauthorised, SourceUnreachable, OutOfSpace or SourceInvalid.
    """
    path = Path(model.removeprefix("file://"))
    if path.is_dir():
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
    except GatedRepoError as error:
        raise EngineFailed(
            "SourceUnauthorised", f"{name}: the hub wants a token that may read it (HF_TOKEN)"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise EngineFailed(
            "SourceNotFound",
            f"{name}: the hub has no such repository or revision, or the token may not see it",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise EngineFailed(
            "SourceUnreachable", f"{name}: the hub does not answer and it is not cached: {error}"
        ) from error
    except OSError as error:
        reason = "OutOfSpace" if error.errno == errno.ENOSPC else "SourceUnreachable"
        raise EngineFailed(reason, f"{name}: {error}") from error
