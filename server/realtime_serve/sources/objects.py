"""Object stores: S3, Google Cloud Storage, Azure, and what speaks like them. Credentials come from the standard variables."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, ObjectStore, from_url

from realtime_serve.errors import EngineFailed
from realtime_serve.settings.source import WANTED, Source
from realtime_serve.sources.failures import (
    INVALID,
    NOT_FOUND,
    UNAUTHORISED,
    UNREACHABLE,
    one_line,
    reason_of_status,
)
from realtime_serve.sources.meter import Meter

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ClientConfig, RetryConfig

CHUNK = 8 << 20
MOST_OBJECTS = 10_000
_STATUS = re.compile(r"status code: (\d{3})")
_NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal", "credential", "Credential")
_METADATA = _NO_CREDENTIALS[:2]  # where the library asks for a role when no key was given
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT_KEY",
    "az": "AZURE_STORAGE_ACCOUNT_KEY",
}


class Blob(NamedTuple):
    """One object, its path relative to the source's uri."""

    path: str
    size: int
    tag: str


def open_store(uri: str, shown: str) -> ObjectStore:
    """A store whose root is the uri. Raises EngineFailed."""
    client: ClientConfig = {
        "allow_http": True,  # where the endpoint that was given says http
        "timeout": timedelta(hours=1),
        "connect_timeout": timedelta(seconds=10),
    }
    retry: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
    try:
        if uri.startswith("az://"):  # the library's own az:// names no account
            account, container, path = [*uri.removeprefix("az://").split("/", 2), ""][:3]
            return AzureStore(
                container, prefix=path, account_name=account, client_options=client, retry_config=retry
            )
        return from_url(uri, client_options=client, retry_config=retry)
    except (BaseError, ValueError) as error:
        raise EngineFailed(INVALID, f"{shown}: {one_line(str(error))}") from error


def list_model(store: ObjectStore, shown: str) -> list[Blob]:
    """The model's files, in order. Raises EngineFailed."""
    found: list[Blob] = []
    with telling_store(shown):
        for batch in obstore.list(store):
            found += [_blob(entry["path"], entry) for entry in batch]
            if len(found) > MOST_OBJECTS:
                raise EngineFailed(INVALID, f"{shown}: more than {MOST_OBJECTS} objects; is it one model?")
    wanted = [blob for blob in found if any(fnmatch.fnmatch(blob.path, pattern) for pattern in WANTED)]
    if not wanted:
        raise EngineFailed(NOT_FOUND, f"{shown}: there is nothing of a model there ({len(found)} objects)")
    return sorted(wanted)


def describe(store: ObjectStore, name: str, shown: str) -> Blob:
    """One object. Raises EngineFailed."""
    with telling_store(shown):
        entry = obstore.head(store, name)
    return _blob(name, entry)


def _blob(path: str, entry: ObjectMeta) -> Blob:
    return Blob(path, entry["size"], entry["e_tag"] or str(entry["last_modified"]))


def download(store: ObjectStore, blob: Blob, target: Path, *, shown: str, meter: Meter) -> None:
    """Bring one object; what is there of it already is its beginning. Raises EngineFailed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    done = target.stat().st_size if target.exists() else 0
    if done > blob.size:
        target.unlink()
        done = 0
    meter.have(done)
    if done < blob.size:
        _append(store, blob, target, done, shown=shown, meter=meter)
    if not target.exists():
        target.touch()  # an empty object
    if target.stat().st_size != blob.size:
        raise EngineFailed(
            UNREACHABLE, f"{shown}: {blob.path} ended early; it may have been changed meanwhile"
        )


def _append(store: ObjectStore, blob: Blob, target: Path, done: int, *, shown: str, meter: Meter) -> None:
    with target.open("ab") as file:
        with telling_store(shown):
            stream = obstore.get(store, blob.path, options=_from(done, blob.tag)).stream(CHUNK)
        while True:
            with telling_store(shown):
                chunk = next(stream, None)
            if chunk is None:
                break
            file.write(chunk)
            meter.add(len(chunk))
        file.flush()
        os.fsync(file.fileno())


def _from(offset: int, tag: str) -> GetOptions:
    """From here on, and of this very content."""
    options: GetOptions = {"range": {"offset": offset}}
    return {**options, "if_match": tag} if tag.startswith('"') else options


@contextmanager
def telling_store(shown: str) -> Iterator[None]:
    """Errors of the store get a reason. Inside is no work on our own disk: a missing object looks like a missing file."""
    try:
        yield
    except FileNotFoundError as error:
        raise EngineFailed(NOT_FOUND, f"{shown}: {one_line(str(error))}") from error
    except (BaseError, PermissionError, ValueError) as error:
        raise EngineFailed(_reason(error), f"{shown}: {_said(error, shown)}") from error


def _said(error: Exception, shown: str) -> str:
    if not any(place in str(error) for place in _METADATA):
        return one_line(str(error))
    keys = _KEYS[shown.partition("://")[0]]
    return f"there are no credentials: {keys} not set (in a cluster: spec.model.secretRef), and this machine has no role that would give some"


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError) or type(error).__name__ in {
        "PermissionDeniedError",
        "UnauthenticatedError",
    }:
        return UNAUTHORISED
    text = str(error)
    if any(place in text for place in _METADATA):
        return UNAUTHORISED
    if status := _STATUS.search(text):
        return reason_of_status(int(status[1]))
    return UNAUTHORISED if any(word in text for word in _NO_CREDENTIALS) else UNREACHABLE


def name_of(source: Source) -> tuple[str, str]:
    """An archive's place and name: the store's uri, and the object in it."""
    place, _, name = source.uri.rpartition("/")
    return place, name
