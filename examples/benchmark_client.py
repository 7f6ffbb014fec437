"""Ask a server many times at once, and say how fast it was.

python examples/benchmark_client.py --url http://127.0.0.1:8000 --model mock --concurrency 32 --requests 256
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field

import aiohttp

MOST_REQUESTS = 100_000


@dataclass
class Seen:
    """One answer; times in seconds."""

    begun: float
    first: float = 0.0
    ended: float = 0.0
    tokens: int = 0
    error: str = ""


@dataclass
class Run:
    """All answers."""

    seconds: float = 0.0
    answers: list[Seen] = field(default_factory=list)

    def report(self) -> str:
        """A table for people."""
        good = [seen for seen in self.answers if not seen.error]
        lines = [f"requests    {len(good)} good, {len(self.answers) - len(good)} failed"]
        lines.append(f"seconds     {self.seconds:.2f}")
        lines.append(f"requests/s  {len(good) / self.seconds:.1f}")
        lines.append(f"tokens/s    {sum(seen.tokens for seen in good) / self.seconds:.1f}")
        lines.append(spread("first token", [seen.first - seen.begun for seen in good]))
        lines.append(spread("whole answer", [seen.ended - seen.begun for seen in good]))
        errors = sorted({seen.error for seen in self.answers if seen.error})
        return "\n".join([*lines, *(f"error       {error}" for error in errors[:5])])


def spread(name: str, seconds: list[float]) -> str:
    """p50, p95 and p99 in milliseconds."""
    if not seconds:
        return f"{name}: nothing to measure"
    ordered = sorted(seconds)
    found = [
        f"p{share} {1000 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)]:.1f}"
        for share in (50, 95, 99)
    ]
    return f"{name} (ms)  {'  '.join(found)}"


async def ask(client: aiohttp.ClientSession, body: dict[str, object]) -> Seen:
    """Read one stream to its end."""
    seen = Seen(time.perf_counter())
    try:
        async with client.post("/infer_stream", json=body) as response:
            if response.status != 200:
                seen.error = f"{response.status}: {(await response.text())[:200]}"
                return seen
            name = ""
            async for line in response.content:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: ") and name == "token":
                    seen.first = seen.first or time.perf_counter()
                elif line.startswith(b"data: "):
                    end = json.loads(line[6:])
                    seen.error = "" if name == "done" else str(end)
                    seen.tokens = end["usage"]["completion_tokens"] if name == "done" else 0
    except aiohttp.ClientError as error:
        seen.error = f"{type(error).__name__}: {error}"
    seen.ended = time.perf_counter()
    return seen


async def run(options: argparse.Namespace) -> Run:
    """Keep so many requests in the air until all have been asked."""
    body = {"model": options.model, "prompt": options.prompt, "max_tokens": options.max_tokens}
    result, left, begin = Run(), iter(range(options.requests)), time.perf_counter()

    async def one_after_another(client: aiohttp.ClientSession) -> None:
        for _ in left:
            result.answers.append(await ask(client, body))

    connector = aiohttp.TCPConnector(limit=options.concurrency)
    async with (
        aiohttp.ClientSession(options.url, connector=connector) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(options.concurrency):
            group.create_task(one_after_another(client))
    result.seconds = time.perf_counter() - begin
    return result


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="mock")
    parser.add_argument("--prompt", default="the quick brown ")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--requests", type=int, default=256)
    options = parser.parse_args()
    if not 1 <= options.requests <= MOST_REQUESTS:
        parser.error(f"--requests: 1 to {MOST_REQUESTS}")
    print(asyncio.run(run(options)).report())


if __name__ == "__main__":
    main()
