"""The verdict on a stream. Pure."""

from __future__ import annotations

from http import HTTPStatus

from hack.streams.stream import Stream

VERDICTS = "whole", "cut", "mixed", "garbled", "refused"
PREFIX = "rs-"  # system_fingerprint is this and the version


def judge(stream: Stream) -> tuple[str, str]:
    """Verdict and reason. A mix of versions outweighs all else that is wrong with a stream."""
    if stream.turned_away:
        return "refused", stream.cut
    named = {name.removeprefix(PREFIX) for name in stream.fingerprints if name}
    if len(named | {stream.version} - {""}) > 1:
        return "mixed", f"header {stream.version}, chunks {', '.join(sorted(named))}"
    if stream.status == HTTPStatus.OK and (garbled := garbled_by(stream)):
        return "garbled", garbled
    if cut := cut_by(stream):
        return "cut", cut
    return "whole", ""


def garbled_by(stream: Stream) -> str:
    ended = stream.done and bool(stream.finish)
    unnamed = any(not name.startswith(PREFIX) for name in stream.fingerprints)
    complaints = (
        (bool(stream.garbled), stream.garbled),
        (not stream.version, "no X-Model-Version"),
        (unnamed, f"a chunk without a system_fingerprint that begins with {PREFIX!r}"),
        (len(stream.ids) > 1, f"several ids: {', '.join(sorted(stream.ids))}"),
        (ended and stream.tokens < 0, "no usage, though it was asked for"),
        (ended and stream.tokens < stream.chunks, f"usage of {stream.tokens} for {stream.chunks} chunks"),
    )
    return next((complaint for wrong, complaint in complaints if wrong), "")


def cut_by(stream: Stream) -> str:
    short = stream.finish == "length" and stream.tokens != stream.max_tokens
    complaints = (
        (bool(stream.cut), stream.cut),
        (stream.finish not in {"stop", "length"}, f"finish_reason {stream.finish!r}"),
        (not stream.done, "no [DONE]"),
        (short, f"finish_reason length after {stream.tokens} of {stream.max_tokens} tokens"),
    )
    return next((complaint for wrong, complaint in complaints if wrong), "")
