"""What is told about streams: a line each, a summary, a table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median, quantiles
from typing import Any

from hack.streams.stream import Stream
from hack.streams.verdicts import VERDICTS, judge


def describe(stream: Stream) -> dict[str, Any]:
    verdict, why = judge(stream)
    return {
        "stream": stream.number,
        "verdict": verdict,
        "why": why,
        "version": stream.version,
        "status": stream.status,
        "tokens": stream.tokens,
        "chunks": stream.chunks,
        "finish": stream.finish,
        "opened_at": stream.opened_at,
        "ended_at": stream.ended_at,
        "ttft": stream.first_token_at - stream.opened_at if stream.first_token_at else None,
        "longest_gap": stream.longest_gap,
        "request_id": stream.request_id,
    }


def differing(streams: Iterable[Stream]) -> list[Stream]:
    """Whole streams whose text is no prefix of the longest one with the same version and prompt. Pure."""
    groups: defaultdict[tuple[str, str], list[Stream]] = defaultdict(list)
    for stream in streams:
        groups[stream.version, stream.prompt].append(stream)
    longest = {key: max((one.text for one in group), key=len) for key, group in groups.items()}
    return [one for key, group in groups.items() for one in group if not longest[key].startswith(one.text)]


def summarise(streams: Sequence[Stream]) -> dict[str, Any]:
    """Counts of each verdict, in all and per version, and speeds of the whole streams. Pure."""
    versions = sorted({stream.version for stream in streams})
    return {
        **count([judge(stream)[0] for stream in streams]),
        "differs": len(differing(streams)),
        "versions": {name or "none": summarise_version(streams, name) for name in versions},
    }


def count(verdicts: Sequence[str]) -> dict[str, int]:
    return {"opened": len(verdicts), **{verdict: verdicts.count(verdict) for verdict in VERDICTS}}


def summarise_version(streams: Sequence[Stream], version: str) -> dict[str, Any]:
    own = [stream for stream in streams if stream.version == version]
    waits = [stream.first_token_at - stream.opened_at for stream in own if stream.first_token_at]
    rates = [
        stream.tokens / (stream.ended_at - stream.first_token_at)
        for stream in own
        if stream.tokens > 0 and stream.first_token_at
    ]
    return {
        **count([judge(stream)[0] for stream in own]),
        "ttft_median": median(waits) if waits else None,
        "ttft_p95": quantiles(waits, n=20)[-1] if len(waits) > 1 else None,
        "tokens_per_second": median(rates) if rates else None,  # of one stream
        "longest_gap": max((stream.longest_gap for stream in own), default=None),
        "last_end_at": max((stream.ended_at for stream in own), default=None),
    }


def draw_table(summary: dict[str, Any]) -> str:
    """A row per version; times in seconds."""
    speeds = {
        "ttft p50": "ttft_median",
        "ttft p95": "ttft_p95",
        "tokens/s": "tokens_per_second",
        "gap": "longest_gap",
    }
    lines = [f"{'version':<16}" + "".join(f"{name:>9}" for name in ("opened", *VERDICTS, *speeds))]
    for version, row in summary["versions"].items():
        counts = [f"{row[name]:>9}" for name in ("opened", *VERDICTS)]
        figures = [f"{'-' if row[key] is None else format(row[key], '.3f'):>9}" for key in speeds.values()]
        lines.append(f"{version:<16}" + "".join(counts + figures))
    return "\n".join(lines)


def print_event(event: str, **values: object) -> None:
    print(json.dumps({"event": event, **values}), flush=True)
