"""Requests that come when they come: a Poisson process at several rates, and how many answers are as soon as promised.

`python -m bench.poisson [--models NAME] [--peers llama] [--rates 0.5 4] [--requests 40]` measures a part of the table.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Sequence

from bench.driving import percentile
from bench.load import Run, open_loop
from bench.models import MODELS, endless, texts
from bench.report import write
from bench.servers import Server, ours
from bench.serving import PEERS

PROMPT = TOKENS = 64
FIRST, PACE = 1.0, 0.15
"""What is promised, in seconds: until the first token, and the mean for each one after it."""
RATES = (0.5, 1.0, 2.0, 4.0)
"""Requests a second. The highest is more than the slowest server can do."""
HEAD = [
    "model",
    "requests/s",
    "server",
    "TTFT p50, ms",
    "p95",
    "TPOT p50, ms",
    "p95",
    "tok/s",
    "answers as promised",
    "goodput, requests/s",
]


def measure(name: str, peers: Sequence[str], rates: Sequence[float], requests: int) -> list[str]:
    directory = endless(MODELS[name]())
    rows = []
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(start(directory)) for start in (ours, *(PEERS[peer] for peer in peers))
        ]
        for server in servers:
            load(server, max(rates), 8, 0)
        for seed, rate in enumerate(rates, 1):
            for server in servers:
                run = load(server, rate, requests, seed)
                rows.append(f"| {' | '.join([name, f'{rate:g}', server.name, *cells(run)])} |")
                print(rows[-1], flush=True)
    return rows


def load(server: Server, rate: float, requests: int, seed: int) -> Run:
    prompts = texts(requests, PROMPT, seed)
    with server.measured():
        return asyncio.run(open_loop(server, prompts, TOKENS, rate, seed))


def cells(run: Run) -> list[str]:
    paces = [answer.pace(TOKENS) for answer in run.answers]
    kept = sum(answer.first <= FIRST and answer.pace(TOKENS) <= PACE for answer in run.answers)
    times = [run.first(0.5), run.first(0.95), *(1000 * percentile(paces, share) for share in (0.5, 0.95))]
    share, rate = kept / len(run.answers), kept / run.seconds
    return [*(f"{time:.0f}" for time in times), f"{run.speed:.0f}", f"{share:.0%}", f"{rate:.2f}"]


def about(requests: int) -> str:
    return (
        f"bfloat16, {PROMPT} random words in and {TOKENS} tokens out, greedy, streamed completions over HTTP on loopback, the client "
        f"beside the servers. At each rate {requests} requests come by a Poisson process, at the same moments for every server, "
        "whatever is still to be answered; every answer is waited for. Servers are started once and measured in turn. TPOT: the "
        f"mean time of a request's tokens after its first. An answer is as promised if its TTFT is at most {FIRST:g} s and its TPOT "
        f"at most {1000 * PACE:.0f} ms; goodput: such answers a second, until the last answer has ended."
    )


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.poisson", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS)[-1:])
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=["transformers", "llama"])
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--requests", type=int, default=40)
    given = parser.parse_args(arguments)
    rows = [row for name in given.models for row in measure(name, given.peers, given.rates, given.requests)]
    head = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    write("poisson", "Requests by a Poisson process", about(given.requests), [*head, *rows], arguments)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
