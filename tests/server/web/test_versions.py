"""Several versions in one server: new work moves, old streams end where they began, and no trouble spreads."""

from __future__ import annotations

import asyncio
import itertools

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from realtime_serve.generation import served
from tests.support.echo_engine import BACKWARDS, OUT_OF_MEMORY, echo_engine
from tests.support.front_end import events, front_end, text_of
from tests.support.tiny_tokenizers import write_tokenizer

pytestmark = pytest.mark.slow

FORWARDS_TEXT, BACKWARDS_TEXT = "abcd" * 25, "dcba" * 25
TEXTS = {"1.0.0": FORWARDS_TEXT, "2.0.0": BACKWARDS_TEXT}
LONG = {"max_tokens": 1500, "ignore_eos": True, "stream": True}


@pytest.fixture
def backwards(tmp_path):
    directory = tmp_path / "backwards-model"
    directory.mkdir()
    (directory / BACKWARDS).touch()
    return write_tokenizer(directory)


@pytest.fixture
async def front(directory, backwards, monkeypatch):
    monkeypatch.setattr(served, "FIRST_PAUSE_SECONDS", 0.2)
    others = {"2.0.0": echo_engine(backwards, step_seconds=0.002)}
    async with front_end(echo_engine(directory, step_seconds=0.002), others=others) as running:
        yield running


def listed(*versions: str, active: str = "") -> dict:
    return {
        "versions": [{"version": version, "uri": f"/models/{version}"} for version in versions],
        "activeVersion": active or versions[-1],
    }


async def hold(front, *versions: str, active: str = "") -> dict:
    """List these and wait until they, and no others, are ready."""
    await front.set(**listed(*versions, active=active))
    return await front.settle(lambda status: states(status) == dict.fromkeys(versions, "ready"))


def states(status) -> dict[str, str]:
    return {label: version["state"] for label, version in status["models"]["chat"]["versions"].items()}


def active(status) -> str:
    return status["models"]["chat"]["active_version"]


async def ended_whole(stream) -> bool:
    *_chunks, last, done = await events(stream)
    return (last["choices"][0]["finish_reason"], done) == ("length", "[DONE]")


async def ask(front, version: str = "", *, stream: bool = False) -> tuple[int, str, str, str]:
    """Status, text, and the version by the header and by the fingerprint."""
    body = {"model": "chat", "prompt": "abcd", "max_tokens": 100, "ignore_eos": True, "stream": stream}
    headers = {"X-Model-Version": version} if version else {}
    async with front.client.post("/v1/completions", json=body, headers=headers) as response:
        if response.status != 200:
            return response.status, (await response.json())["error"]["code"], "", ""
        chunks = (await events(response))[:-1] if stream else [await response.json()]
        told = response.headers["X-Model-Version"]
    fingerprints = {chunk["system_fingerprint"] for chunk in chunks}
    assert len(fingerprints) == 1
    return 200, text_of(chunks), told, fingerprints.pop().removeprefix("rs-")


async def test_every_answer_is_wholly_of_one_version_while_work_moves_to_and_fro(front):
    await hold(front, "1.0.0", "2.0.0")
    answers, going = [], True

    async def keep_asking(stream):
        while going:
            answers.append(await ask(front, stream=stream))

    askers = [asyncio.create_task(keep_asking(number % 2 == 0)) for number in range(24)]
    for version in itertools.islice(itertools.cycle(("1.0.0", "2.0.0")), 12):
        await front.set(**listed("1.0.0", "2.0.0", active=version))
        before = len(answers)
        await front.settle(lambda _status, before=before: len(answers) >= before + 24)
    going = False
    await asyncio.gather(*askers)
    assert len(answers) >= 288
    assert {(status, told, told == said, text == TEXTS[told]) for status, text, told, said in answers} == {
        (200, "1.0.0", True, True),
        (200, "2.0.0", True, True),
    }


async def test_a_version_that_is_no_longer_listed_ends_its_streams_and_then_its_process(front):
    before = len(psutil.Process().children())
    async with front.complete("abcd", **LONG) as old:
        await old.content.readuntil(b"\n\n")
        await hold(front, "1.0.0", "2.0.0")
        assert (await ask(front))[2] == "2.0.0"
        await front.set(**listed("2.0.0"))
        status = await front.settle(lambda status: states(status).get("1.0.0") == "draining")
        assert status["models"]["chat"]["versions"]["1.0.0"]["active_streams"] == 1
        assert (await ask(front, "1.0.0"))[:2] == (404, "version_not_found")
        assert old.headers["X-Model-Version"] == "1.0.0"
        assert await ended_whole(old)
    await front.settle(lambda status: states(status) == {"2.0.0": "ready"})
    assert len(psutil.Process().children()) == before


async def test_a_version_that_is_listed_again_while_it_drains_goes_on(front):
    async with front.complete("abcd", **LONG) as old:
        await old.content.readuntil(b"\n\n")
        await hold(front, "1.0.0", "2.0.0")
        await front.set(**listed("2.0.0"))
        await front.settle(lambda status: states(status).get("1.0.0") == "draining")
        engine = front.serving.models.first.versions["1.0.0"].loaded.engine
        await hold(front, "2.0.0", "1.0.0")
        assert front.serving.models.first.versions["1.0.0"].loaded.engine is engine
        assert (await ask(front))[2] == "1.0.0"
        assert await ended_whole(old)


async def test_streams_of_an_unlisted_version_have_their_time_and_then_a_reason(front):
    await front.set(limits={"requestTimeoutSeconds": 1}, **listed("1.0.0", "2.0.0", active="1.0.0"))
    await front.settle(lambda status: states(status) == {"1.0.0": "ready", "2.0.0": "ready"})
    async with front.complete("abcd", **LONG) as old:
        await old.content.readuntil(b"\n\n")
        held = front.serving.models.first.versions["1.0.0"]
        await front.set(limits={"requestTimeoutSeconds": 1}, **listed("2.0.0"))
        await front.settle(lambda _status: held.draining)
        held.drain_until = 1.0  # long ago
        front.serving.models.first.want(front.serving.models.first.wanted)
        *_chunks, last = await events(old)
    assert last["error"]["code"] == "server_shutdown"
    assert "version 1.0.0 was unloaded" in last["error"]["message"]
    await front.settle(lambda status: states(status) == {"2.0.0": "ready"})


async def test_a_version_that_does_not_load_says_why_and_the_other_serves_on(front, backwards):
    (backwards / OUT_OF_MEMORY).touch()
    async with front.complete("abcd", **LONG) as stream:
        await stream.content.readuntil(b"\n\n")
        await front.set(**listed("1.0.0", "2.0.0"))
        status = await front.settle(lambda status: states(status).get("2.0.0") == "failed")
        message = status["models"]["chat"]["versions"]["2.0.0"]["message"]
        assert message.startswith("OutOfMemory: ")
        assert active(status) == "1.0.0"
        assert (await ask(front))[:3] == (200, FORWARDS_TEXT, "1.0.0")
        assert (await ask(front, "2.0.0"))[:2] == (404, "version_not_found")
        for path in ("/ready", "/health"):
            async with front.client.get(path) as response:
                assert response.status == 200
        assert await ended_whole(stream)
    (backwards / OUT_OF_MEMORY).unlink()
    await hold(front, "1.0.0")
    await hold(front, "1.0.0", "2.0.0")


async def test_a_version_that_lacked_memory_is_tried_again_when_another_has_gone(front, backwards):
    (backwards / OUT_OF_MEMORY).touch()
    await front.set(**listed("1.0.0", "2.0.0"))
    await front.settle(lambda status: states(status).get("2.0.0") == "failed")
    (backwards / OUT_OF_MEMORY).unlink()
    await hold(front, "2.0.0")
    assert (await ask(front))[1:3] == (BACKWARDS_TEXT, "2.0.0")


async def test_the_death_of_one_engine_does_not_touch_the_other(front):
    await hold(front, "1.0.0", "2.0.0")
    versions = front.serving.models.first.versions
    async with (
        front.client.post(
            "/v1/completions",
            json={"model": "chat", "prompt": "abcd", **LONG},
            headers={"X-Model-Version": "1.0.0"},
        ) as survivor,
        front.complete("abcd", **LONG) as victim,
    ):
        await asyncio.gather(survivor.content.readuntil(b"\n\n"), victim.content.readuntil(b"\n\n"))
        versions["2.0.0"].loaded.engine._process.kill()
        *_chunks, last = await events(victim)
        assert last["error"]["code"] == "engine_error"
        status = await front.status()
        assert states(status) == {"1.0.0": "ready", "2.0.0": "failed"}
        assert active(status) == "2.0.0", "it will be back in a moment"
        async with front.client.get("/health") as response:
            assert response.status == 200, "it has streams to end"
        assert await ended_whole(survivor)
    await front.settle(lambda status: states(status) == {"1.0.0": "ready", "2.0.0": "ready"})
    assert (await ask(front))[1:3] == (BACKWARDS_TEXT, "2.0.0")


async def test_a_request_may_address_a_version_before_it_gets_work_of_its_own(front):
    await hold(front, "1.0.0", "2.0.0", active="1.0.0")
    assert await ask(front) == (200, FORWARDS_TEXT, "1.0.0", "1.0.0")
    assert await ask(front, "2.0.0") == (200, BACKWARDS_TEXT, "2.0.0", "2.0.0")
    assert await ask(front, "2.0.0", stream=True) == (200, BACKWARDS_TEXT, "2.0.0", "2.0.0")
    assert (await ask(front, "3.0.0"))[:2] == (404, "version_not_found")


async def test_jobs_tell_the_version_that_answers_them(front):
    await hold(front, "1.0.0", "2.0.0", active="1.0.0")
    body = {"model": "chat", "prompt": "abcd", "max_tokens": 8}
    headers = {"X-Model-Version": "2.0.0"}
    async with front.client.post("/v1/jobs", json=body, headers=headers) as response:
        assert response.headers["X-Model-Version"] == "2.0.0"
        url = (await response.json())["stream_url"]
    async with front.client.get(url) as response:
        assert response.headers["X-Model-Version"] == "2.0.0"
        assert '"version":"2.0.0"' in await response.text()


async def test_metrics_tell_the_versions_apart_and_forget_what_is_gone(front):
    await hold(front, "1.0.0", "2.0.0", active="1.0.0")
    await ask(front)
    await ask(front, "2.0.0")
    await ask(front, "2.0.0")
    assert await samples(front, "request_success_total") == {"1.0.0": 1, "2.0.0": 2}
    assert await samples(front, "version_active") == {"1.0.0": 1, "2.0.0": 0}
    assert await samples(front, "active_streams") == {"1.0.0": 0, "2.0.0": 0}
    await hold(front, "2.0.0")
    assert await samples(front, "num_requests_running") == {"2.0.0": 0}
    assert await samples(front, "request_success_total") == {"1.0.0": 1, "2.0.0": 2}


async def samples(front, name: str) -> dict[str, float]:
    async with front.client.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        return {
            sample.labels["model_version"]: sample.value
            for family in families
            for sample in family.samples
            if sample.name == f"realtime_serve_{name}"
        }


async def test_settings_that_list_no_version_mean_the_one_of_the_command_line(front):
    await hold(front, "2.0.0")
    await front.set(generation=7)
    await front.settle(lambda status: states(status) == {"1.0.0": "ready"})
    assert (await ask(front))[1:3] == (FORWARDS_TEXT, "1.0.0")
