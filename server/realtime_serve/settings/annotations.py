"""The pod's annotations as the kubelet writes them into a file (downward API). Pure."""

from __future__ import annotations

import json
import re

RETIRE = "realtime-serve.io/retire"  # the operator's order to be no longer ready, and to serve on
DRAIN = "realtime-serve.io/drain"  # the operator's order, with the time at which it was given

_LINE = re.compile(r'^([^=\s]+)=("(?:[^"\\]|\\.)*")$', re.MULTILINE)


def parse_annotations(content: bytes) -> dict[str, str]:
    """Read lines of key="escaped value"; a line of another form is left out."""
    text = content.decode("utf-8", errors="replace")
    return {key: _unquote(value) for key, value in _LINE.findall(text)}


def _unquote(quoted: str) -> str:
    """Kubernetes quotes as Go does; all that Go and JSON escape differently is not met in orders."""
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return quoted[1:-1]
