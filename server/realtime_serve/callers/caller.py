"""Who sent a request: found from its key, a header or its address. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from realtime_serve.errors import KeyUnknown
from realtime_serve.settings.callers import Client, PriorityName
from realtime_serve.settings.runtime import Settings

SHOWN_DIGITS = 12  # of a digest: enough to tell callers apart in a log, and no way back to the key


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` is for logs and says no secret; callers of one `bucket` share their limits."""

    name: str = "anyone"
    bucket: str = ""
    client: str = ""  # its name among the settings' clients, empty for a stranger
    priority: PriorityName = "normal"


ANYONE = Caller()


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request shows of its sender."""

    key: str  # of the API, empty for none
    address: str
    headers: Mapping[str, str]


def identify(presented: Presented, settings: Settings) -> Caller:
    """Return who it is.

    Raises:
        KeyUnknown: the settings list clients, callers are told apart by key, and this key is none of theirs.

    """
    digest = hashlib.sha256(presented.key.encode("utf-8", "surrogateescape")).hexdigest()
    if presented.key and (client := _find(digest, settings.clients)) is not None:
        return Caller(client.name, client.name, client.name, client.priority)
    by = settings.rate_limit.key if settings.rate_limit is not None else "apiKey"
    if by == "apiKey" and settings.clients:
        raise KeyUnknown(bool(presented.key))
    return _stranger(by, presented, digest)


def _find(digest: str, clients: tuple[Client, ...]) -> Client | None:
    """Looks at every key in constant time, whichever it is."""
    found = None
    for client in clients:
        for known in client.key_sha256:
            if hmac.compare_digest(digest, known):
                found = client
    return found


def _stranger(by: str, presented: Presented, digest: str) -> Caller:
    if by == "apiKey" and presented.key:
        return _named("key", digest)
    if by.startswith("header:") and (value := presented.headers.get(by.removeprefix("header:"))):
        return _named("header", hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest())
    return Caller(f"address:{presented.address}", f"address:{presented.address}")


def _named(kind: str, digest: str) -> Caller:
    return Caller(f"{kind}:{digest[:SHOWN_DIGITS]}", f"{kind}:{digest}")
