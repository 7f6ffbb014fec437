"""The process that the server starts, with a real model: loading, company, signals, and never outliving its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap

import psutil
import pytest

from realtime_serve.engine.client import Engine
from realtime_serve.engine.messages import FinishReason, Load, Sampling
from realtime_serve.errors import EngineFailed
from tests.support.tiny_models import END, continuation, reference, write_model

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "realtime_serve.engine_process"]
PATIENCE = 120.0


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("process") / "model")


@pytest.fixture(params=[False, True], ids=["plain", "compiled"])
async def engine(directory, request):
    load = Load(str(directory), dtype="float32", device="cpu", compile=request.param)
    running = Engine(command=COMMAND, load=load)
    await running.start()
    yield running
    await running.stop()


async def answer(
    engine: Engine, prompt: list[int], count: int, **sampling
) -> tuple[list[int], FinishReason | None]:
    wanted = Sampling(**{"temperature": 0.0, **sampling})
    tokens, finish = [], None
    async for news in engine.submit(prompt, sampling=wanted, max_tokens=count, stop_ids=[END]):
        tokens += news.tokens
        finish = news.finish
    return tokens, finish


async def test_answers_are_those_of_generate_whoever_else_is_there_and_signals_are_left_to_the_server(
    engine, directory
):
    oracle = reference(directory)
    prompts = [[(11 * number + place) % 250 for place in range(3 + 9 * number)] for number in range(12)]
    process = psutil.Process(engine._process.pid)
    asking = [asyncio.create_task(answer(engine, prompt, 30)) for prompt in prompts]
    await asyncio.sleep(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
    answers = await asyncio.wait_for(asyncio.gather(*asking), PATIENCE)
    assert [tokens for tokens, _ in answers] == [continuation(oracle, prompt, 30) for prompt in prompts]
    alone = [await answer(engine, prompt, 20, temperature=1.2, seed=4) for prompt in prompts[:3]]
    together = await asyncio.gather(
        *(answer(engine, prompt, 20, temperature=1.2, seed=4) for prompt in prompts)
    )
    assert together[:3] == alone
    assert await answer(engine, [1, 2, 3], 20, temperature=1.5) != await answer(
        engine, [1, 2, 3], 20, temperature=1.5
    ), "without a seed each request has one of its own"


@pytest.mark.parametrize(
    ("model", "reason"), [("/absent", "SourceNotFound"), ("hf://a/b/c", "SourceInvalid")], ids=str
)
async def test_a_failed_load_says_why(model, reason):
    engine = Engine(command=COMMAND, load=Load(model))
    with pytest.raises(EngineFailed) as caught:
        await asyncio.wait_for(engine.start(), PATIENCE)
    assert caught.value.reason == reason
    await engine.stop()


PARENT = """
import asyncio, sys
from realtime_serve.engine.client import Engine
from realtime_serve.engine.messages import Load

async def main():
    engine = Engine(command=[sys.executable, "-m", "realtime_serve.engine_process"], load=Load(sys.argv[1], device="cpu"))
    await engine.start()
    print(engine._process.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


async def test_the_engine_ends_with_its_killed_parent(directory):
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(PARENT), str(directory), stdout=asyncio.subprocess.PIPE
    )
    line = await asyncio.wait_for(parent.stdout.readline(), PATIENCE)
    engine = psutil.Process(int(line))
    os.kill(engine.pid, signal.SIGSTOP)  # it cannot see its socket close
    parent.kill()
    await asyncio.wait_for(asyncio.to_thread(engine.wait), PATIENCE)
    await parent.wait()
