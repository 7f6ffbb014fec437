"""The keys of `spec.clients`: read from their Secrets, kept as digests. No key is logged, shown or kept."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client, Object
from inference_operator.errors import Refused
from inference_operator.observed import ClientKeys
from inference_operator.spec.live import Client as Caller

KEY = "apiKey"
PREVIOUS = "apiKeyPrevious"
"""Also accepted while a key is being rotated."""
SHORTEST = 24
"""Characters. The digest of a short key could be guessed, and digests stand in a ConfigMap."""
SWITCH = "rbac.clientSecrets"
NOT_ALLOWED = (
    f"this operator was installed without the right to read Secrets; set the chart's value {SWITCH} to true"
)

Found = tuple[dict[str, ClientKeys], str]
"""By client, and why Secrets cannot be read at all, where that is so."""


@dataclass(frozen=True, kw_only=True)
class KeyReader:
    client: Client
    allowed: bool = False

    async def read(self, namespace: str, callers: Sequence[Caller]) -> Found:
        """Raises ClusterError when the API server cannot be asked: not to know a key is not to miss it."""
        if callers and not self.allowed:
            return {}, NOT_ALLOWED
        wanted = sorted({caller.secret_ref for caller in callers})
        try:
            found = await asyncio.gather(*(self.client.get(kinds.SECRET, namespace, name) for name in wanted))
        except Refused as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return {}, f"the API server forbids to read Secrets; see the chart's value {SWITCH}"
            raise
        secrets = dict(zip(wanted, found, strict=True))
        return {caller.name: digest(caller, secrets[caller.secret_ref]) for caller in callers}, ""


def digest(caller: Caller, secret: Object | None) -> ClientKeys:
    """Of the present key and, where there is one, of the previous."""
    place = f"Secret {caller.secret_ref} of client {caller.name}"
    if secret is None:
        return ClientKeys(problem=f"{place} does not exist")
    data = secret.get("data") or {}
    present = _text(data.get(KEY, ""))
    if not present:
        return ClientKeys(problem=f"{place} has no text under {KEY}")
    keys = [present, *filter(None, [_text(data.get(PREVIOUS, ""))])]
    long = [key for key in keys if len(key) >= SHORTEST]
    problem = "" if len(long) == len(keys) else f"{place} has a key of fewer than {SHORTEST} characters"
    digests = dict.fromkeys(sha256(key.encode()).hexdigest() for key in long)
    return ClientKeys(digests=tuple(digests), problem=problem)


def _text(encoded: str) -> str:
    """Without the newline that a file or `echo` puts at its end; empty when it is no text."""
    try:
        return base64.b64decode(encoded).decode().rstrip("\r\n")
    except (binascii.Error, UnicodeDecodeError):
        return ""
