"""The judge of streams as a program: its signals, its exit code, its last line, and what a pod mounts of it."""

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager

from aiohttp import web

from hack.streams_pod import pod_manifest, program_manifest, read_log
from tests.support.openai_server import TOKENS, WHOLE, Abort, serving, speaks, words


@asynccontextmanager
async def program(*arguments):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hack.streams", *arguments), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_exit_code_and_the_last_line_tell_the_result(tmp_path):
    load = "--streams", "3", "--json", str(tmp_path / "out")
    async with serving(speaks([*words(2), Abort()])) as url, program("--url", url, *load) as process:
        output, _ = await process.communicate()
    events = list(read_log(output.decode()))
    assert process.returncode == 1
    assert [event["event"] for event in events].count("ended") == 3
    assert (events[-1]["event"], events[-1]["cut"]) == ("summary", 3)
    assert len(json.loads((tmp_path / "out").read_text())["streams"]) == 3


async def test_the_first_signal_waits_for_what_runs_and_exits_zero():
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handle(request):
        begun.set()
        await go_on.wait()
        return await speaks(WHOLE)(request)

    async with (
        serving(handle) as url,
        program("--url", url, "--tokens", str(TOKENS), "--duration", "0", "--concurrency", "1") as process,
    ):
        await begun.wait()
        process.send_signal(signal.SIGTERM)
        stopping = json.loads(await process.stdout.readline())
        go_on.set()
        output, _ = await process.communicate()
    assert stopping == {"event": "stopping", "running": 1}
    assert process.returncode == 0
    assert list(read_log(output.decode()))[-1]["whole"] == 1


async def test_a_second_signal_ends_what_runs_and_that_is_a_cut():
    async def handle(request):
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Model-Version": "1.0.0"}
        )
        await response.prepare(request)
        await response.write(words(1)[0].encode())
        await asyncio.Event().wait()

    async with serving(handle) as url, program("--url", url, "--streams", "1") as process:
        await process.stdout.readline()  # the stream's first token is there
        process.send_signal(signal.SIGTERM)
        await process.stdout.readline()  # it is stopping
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
    assert process.returncode == 1
    assert "second signal" in output.decode()


async def test_what_a_pod_mounts_runs_without_this_repository(tmp_path):
    mount = tmp_path / "hack" / "streams"
    mount.mkdir(parents=True)
    for name, text in program_manifest("load")["data"].items():
        (mount / name).write_text(text)
    async with serving(speaks(WHOLE)) as url:
        container = pod_manifest("load", "image", ["--url", url, "--tokens", "5"])["spec"]["containers"][0]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *container["command"][1:]),
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert list(read_log(output.decode()))[-1]["whole"] == 32
