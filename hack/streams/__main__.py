"""Opens chat streams and judges each: whole, cut, mixed, garbled or refused.

Standard output: a JSON line when a stream gets its first token, one when it ends, one summary, and a table.
The exit code is 1 when any stream was not whole (refused ones may be allowed).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hack.streams.crowd import Crowd, Load
from hack.streams.report import describe, differing, draw_table, print_event, summarise
from hack.streams.stream import Stream

PROMPT = "Write a very long essay about the history of the sea, in many chapters."


def failed(summary: dict[str, Any], *, refusals_allowed: bool, strict_text: bool) -> bool:
    bad = ["cut", "mixed", "garbled", *([] if refusals_allowed else ["refused"])]
    bad += ["differs"] if strict_text else []
    return not summary["opened"] or any(summary[name] for name in bad)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m hack.streams", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--url", required=True, help="of the server, without /v1")
    parser.add_argument("--model", default="chat")
    parser.add_argument("--prompt", action="append", help="may be given several times: streams take turns")
    parser.add_argument("--tokens", type=int, default=400, help="max_tokens of each stream")
    parser.add_argument("--streams", type=int, default=32, help="open so many at once, and end with them")
    parser.add_argument("--duration", type=float, help="keep opening for so many seconds; 0: until SIGTERM")
    parser.add_argument("--concurrency", type=int, default=8, help="with --duration: open at any time")
    parser.add_argument("--keep-alive", action="store_true", help="reuse connections")
    parser.add_argument("--no-stream", action="store_true", help="ask for whole answers")
    parser.add_argument("--silence", type=float, default=60, help="seconds without a byte that make a cut")
    parser.add_argument("--allow-refused", action="store_true")
    parser.add_argument("--expect-same", action="store_true", help="list streams whose text differs")
    parser.add_argument("--strict-text", action="store_true", help="and fail because of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary and all streams there")
    return parser.parse_args(arguments)


async def drive(arguments: argparse.Namespace) -> list[Stream]:
    load = Load(
        url=arguments.url.rstrip("/").removesuffix("/v1"),
        model=arguments.model,
        prompts=arguments.prompt or [PROMPT],
        tokens=arguments.tokens,
        stream=not arguments.no_stream,
        silence=arguments.silence,
    )
    once = arguments.duration is None
    workers = arguments.streams if once else arguments.concurrency
    crowd = Crowd(load, workers, once=once, keep_alive=arguments.keep_alive)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, crowd.interrupt)
    if arguments.duration:
        loop.call_later(arguments.duration, crowd.stop)
    return await crowd.run()


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    streams = asyncio.run(drive(options))
    summary = summarise(streams)
    if options.expect_same:
        for stream in differing(streams):
            print_event("differs", stream=stream.number, version=stream.version, text=stream.text)
    print_event("summary", **summary)
    print(draw_table(summary))
    if options.json:
        options.json.write_text(json.dumps({**summary, "streams": [describe(one) for one in streams]}))
    return int(failed(summary, refusals_allowed=options.allow_refused, strict_text=options.strict_text))


if __name__ == "__main__":
    sys.exit(main())
