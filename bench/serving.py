"""Servers over HTTP, interleaved: this one, its peers, and our forward alone without any server.

`python -m bench.serving [--models NAME] [--peers llama] [--concurrency 32] [--repeats 3]` measures a part of the table.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bench import lit
from bench.in_process import Peer
from bench.llama import llama_server
from bench.load import closed_loop
from bench.models import MODELS, TINY, endless, texts, tiny
from bench.report import write
from bench.servers import BATCH, Server, ours, transformers_serve

PROMPT = TOKENS = 64
REQUESTS = {1: 6, 8: 16, 32: 64, 128: 128}
"""By concurrency."""
SHAPES = {**MODELS, TINY: tiny}
PEERS: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
    "uncompiled": partial(ours, compiled="off"),
    "transformers": transformers_serve,
    "llama": llama_server,
    "litserve": lit.litserve,
}
TINY_PEERS = ("uncompiled", "transformers")
"""The tiny model shows what a server costs by itself, and is compared with the one that is built as ours is."""


@dataclass(frozen=True)
class Sample:
    """One closed loop against one server; milliseconds."""

    speed: float
    first_p50: float
    first_p95: float
    gap_p50: float
    gap_p99: float
    cpu: float
    """Of the server, a token."""


def sample(server: Server, concurrency: int, seed: int) -> Sample:
    prompts = texts(REQUESTS[concurrency], PROMPT, seed)
    with server.measured():
        before = server.cpu()
        run = asyncio.run(closed_loop(server, prompts, TOKENS, concurrency))
        cpu = 1000 * (server.cpu() - before) / run.tokens
    return Sample(run.speed, run.first(0.5), run.first(0.95), run.gap(0.5), run.gap(0.99), cpu)


def measure(name: str, peers: Sequence[str], concurrencies: Sequence[int], repeats: int) -> list[str]:
    directory = endless(SHAPES[name]())
    starts = [PEERS[peer] for peer in peers if name != TINY or peer in TINY_PEERS]
    rows = []
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(start(directory)) for start in (ours, *starts)]
        ceiling = Peer("bench.ceiling", directory)
        stack.callback(ceiling.stop)
        for server in servers:
            sample(server, 8, 0)
        for concurrency in concurrencies:
            taken: list[list[Sample]] = []
            floors = []
            for repeat in range(repeats):
                seed = 1000 * repeat + concurrency
                taken.append([sample(server, concurrency, seed) for server in servers])
                floors.append(ceiling.measure(concurrency, PROMPT, TOKENS, seed))
            rows += table(name, concurrency, [server.name for server in servers], taken, floors)
            print("\n".join(rows[-len(servers) :]), flush=True)
        print("; ".join(f"{server.name}: {server.memory():.0f} MiB" for server in servers))
    return rows


def table(
    name: str, concurrency: int, names: list[str], taken: list[list[Sample]], ceilings: list[float]
) -> list[str]:
    """A row for each server; every ratio is the median of the runs' own."""
    rows = []
    for place, server in enumerate(names):
        mine = [run[0] for run in taken]
        theirs = [run[place] for run in taken]
        speed = median(one.speed for one in theirs)
        times = [
            f"{median(getattr(one, field) for one in theirs):.1f}"
            for field in ("first_p50", "first_p95", "gap_p50", "gap_p99", "cpu")
        ]
        if place:
            ahead = median(m.speed / t.speed for m, t in zip(mine, theirs, strict=True))
            sooner = median(m.first_p95 / t.first_p95 for m, t in zip(mine, theirs, strict=True))
            ratios = [f"{ahead:.2f}", f"{sooner:.2f}", ""]
        else:
            share = median(m.speed / c for m, c in zip(mine, ceilings, strict=True))
            ratios = ["", "", f"{share:.2f} of {median(ceilings):.0f}"]
        cells = [name, str(concurrency), server, f"{speed:.0f}", *times, *ratios]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def head() -> list[str]:
    cells = [
        "model",
        "clients",
        "server",
        "tok/s",
        "TTFT p50, ms",
        "p95",
        "ITL p50, ms",
        "p99",
        "CPU ms a token",
    ]
    cells += ["ours over it, tok/s", "our TTFT p95 over its", "share of our forward alone, tok/s"]
    return [f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]


def about(repeats: int) -> str:
    rounds = (
        f"medians of {repeats} rounds, each ratio the median of the rounds' ratios"
        if repeats > 1
        else "one round"
    )
    return (
        f"bfloat16, {PROMPT} random words in and {TOKENS} tokens out, greedy, closed loop of streamed completions over HTTP on "
        "loopback, the client beside the servers. Ours is started with `--compile on`, unless its row says otherwise. "
        f"llama-server has {BATCH} slots; LitServe runs transformers' `generate` for up to "
        f"{lit.BATCH} requests at once, which begin and end together. Servers are started once and measured in turn; {rounds}. "
        "The last column: our own forward in a process alone, a batch that begins and ends together, without scheduler, socket or "
        "HTTP. Read the ratios: what else the machine does moves figures."
    )


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--concurrency", nargs="+", type=int, choices=REQUESTS, default=list(REQUESTS))
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args(arguments)
    rows = [
        row for name in given.models for row in measure(name, given.peers, given.concurrency, given.repeats)
    ]
    write("serving", "Servers over HTTP", about(given.repeats), [*head(), *rows], arguments)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
