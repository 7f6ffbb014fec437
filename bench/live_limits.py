"""`python -m bench.live_limits`: every setting changed by its file under load: the time until it counts, and no request that failed."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from statistics import median

from tests.support.echo_process import EchoProcess
from tests.support.live_changes import change_each, one_by_one
from tests.support.tiny_tokenizers import write_tokenizer

ROUNDS = 3


async def run() -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "settings.json"
        file.write_text("{}")
        environment = {"REALTIME_SERVE_SETTINGS": str(file), "REALTIME_SERVE_LOG_LEVEL": "error"}
        async with EchoProcess(
            write_tokenizer(Path(place)), step_seconds=0.005, environment=environment
        ) as server:
            rounds = [await change_each(server, file, one_by_one()) for _ in range(ROUNDS)]
    for changes in zip(*(changes for _, changes in rounds), strict=True):
        seconds = [change.seconds for change in changes]
        print(f"{json.dumps(changes[0].content):90} {median(seconds):.2f} s, at most {max(seconds):.2f} s")
    print(f"{sum(answers for answers, _ in rounds)} answers meanwhile, every one whole")


if __name__ == "__main__":
    asyncio.run(run())
