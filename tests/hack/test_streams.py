"""The judge of streams, before servers that do each thing wrong."""

import asyncio
import signal

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from hack.streams.__main__ import drive, failed, parse_arguments
from hack.streams.events import read_events
from hack.streams.report import differing, draw_table, summarise
from hack.streams.stream import Stream
from hack.streams.verdicts import judge
from tests.support.openai_server import END, TOKENS, WHOLE, Abort, chunk, serving, speaks, words


async def run(url, *options):
    return await drive(parse_arguments(["--url", url, "--tokens", str(TOKENS), *options]))


async def verdict_on(handler, *options):
    async with serving(handler) as url:
        streams = await run(url, "--streams", "1", *options)
    return judge(streams[0])


async def test_a_stream_that_keeps_every_promise_is_whole():
    assert await verdict_on(speaks(WHOLE)) == ("whole", "")


async def test_keep_alive_comments_and_stop_are_no_fault():
    events = [": keep-alive\n\n", *words(2), ": keep-alive\n\n", chunk(finish="stop"), chunk(usage=2)]
    assert await verdict_on(speaks([*events, "data: [DONE]\n\n"])) == ("whole", "")


BAD = {
    "the connection drops in mid-answer": ([*words(3), Abort()], "cut", "ClientPayloadError"),
    "the connection drops before the first event": ([Abort()], "cut", "ClientPayloadError"),
    "the body ends without a finish": (words(3), "cut", "finish_reason ''"),
    "the body ends without [DONE]": (WHOLE[:-1], "cut", "no [DONE]"),
    "the body ends inside an event": ([*WHOLE[:-1], "data: [DO"], "cut", "inside an event"),
    "the finish is an abort": (
        [*words(), chunk(finish="abort"), chunk(usage=TOKENS), WHOLE[-1]],
        "cut",
        "finish_reason 'abort'",
    ),
    "the finish is length after too few tokens": (
        [*words(3), chunk(finish="length"), chunk(usage=3), WHOLE[-1]],
        "cut",
        "length after 3 of 5",
    ),
    "an error event comes": (
        [*words(2), 'data: {"error": {"message": "engine died"}}\n\n', "data: [DONE]\n\n"],
        "cut",
        "engine died",
    ),
    "one chunk is of another version": (
        [*words(2), *words(1, version="2.0.0"), *words(2), *END],
        "mixed",
        "1.0.0, 2.0.0",
    ),
    "the last chunk is of another version": (
        [*WHOLE[:-2], chunk(usage=TOKENS, version="2"), WHOLE[-1]],
        "mixed",
        "",
    ),
    "a mixed stream is cut as well": ([*words(1), *words(1, version="2.0.0"), Abort()], "mixed", ""),
    "all chunks are of another version than the header": (
        [*words(version="2"), chunk(finish="length", version="2"), chunk(usage=5, version="2"), WHOLE[-1]],
        "mixed",
        "header 1.0.0, chunks 2",
    ),
    "a chunk has no fingerprint": (
        [*words(2), WHOLE[2].replace('"rs-1.0.0"', "null"), *words(2), *END],
        "garbled",
        "system_fingerprint",
    ),
    "the id changes": ([*words(2), *words(3, request="chatcmpl-2"), *END], "garbled", "several ids"),
    "an event is no JSON": ([*words(2), "data: {broken\n\n", *END], "garbled", "JSONDecodeError"),
    "an event is a number": ([*words(2), "data: 7\n\n", *END], "garbled", "not a JSON object"),
    "an event has no choices": ([*words(2), 'data: {"id": "x"}\n\n', *END], "garbled", "choices"),
    "a line is no event": (["hello\n\n", *WHOLE], "garbled", "not a line"),
    "bytes are no text": ([*words(1), "data: \udcff\n\n"], "garbled", "UnicodeDecodeError"),
    "text comes after the finish": ([*words(), END[0], *words(1), *END[1:]], "garbled", "more after finish"),
    "two finishes come": ([*words(), END[0], *END], "garbled", "more after finish"),
    "an event comes after [DONE]": ([*WHOLE, *words(1)], "garbled", "after [DONE]"),
    "no usage comes": ([*words(), END[0], END[2]], "garbled", "no usage"),
    "usage is less than what came": (
        [*words(), chunk(finish="stop"), chunk(usage=2), END[2]],
        "garbled",
        "usage of 2",
    ),
}


@pytest.mark.parametrize(("events", "verdict", "why"), BAD.values(), ids=BAD)
async def test_a_fault_gets_its_verdict(events, verdict, why):
    handler = speaks([])
    if not any(isinstance(event, Abort) for event in events):
        payload = b"".join(event.encode("utf-8", "surrogateescape") for event in events)

        async def handler(request):
            headers = {"Content-Type": "text/event-stream", "X-Model-Version": "1.0.0"}
            return web.Response(body=payload, headers=headers)

    else:
        handler = speaks(events)
    got, reason = await verdict_on(handler)
    assert got == verdict, reason
    assert why in reason


async def test_silence_is_a_cut():
    async def handle(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Model-Version": "1"})
        await response.prepare(request)
        await response.write(words(1, version="1")[0].encode())
        await asyncio.Event().wait()

    verdict, why = await verdict_on(handle, "--silence", "0.2")
    assert (verdict, "Timeout" in why) == ("cut", True)


async def test_an_answer_that_is_no_event_stream_is_garbled():
    verdict, why = await verdict_on(speaks(WHOLE, content_type="application/json"))
    assert (verdict, why) == ("garbled", "content type application/json")


async def test_an_answer_without_a_version_is_garbled():
    assert await verdict_on(speaks(WHOLE, version="")) == ("garbled", "no X-Model-Version")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_refusal_in_order_is_told_apart_from_a_cut(status):
    verdict, why = await verdict_on(speaks(["full"], status=status))
    assert (verdict, why) == ("refused", f"status {status}: full")


@pytest.mark.parametrize("status", [400, 404, 500, 502])
async def test_any_other_status_is_a_cut(status):
    assert (await verdict_on(speaks(["no"], status=status)))[0] == "cut"


async def test_a_request_that_was_taken_and_never_answered_is_a_cut():
    async def handle(request):
        request.transport.abort()
        return web.Response()

    assert (await verdict_on(handle))[0] == "cut"


async def test_a_port_where_nobody_listens_refuses(unused_tcp_port):
    streams = await run(f"http://127.0.0.1:{unused_tcp_port}", "--streams", "2")
    assert [judge(stream)[0] for stream in streams] == ["refused", "refused"]


def answers(*, fingerprint="rs-1.0.0", finish="length"):
    async def handle(request):
        body = {
            "id": "chatcmpl-1",
            "system_fingerprint": fingerprint,
            "choices": [{"message": {"content": "word"}, "finish_reason": finish}],
            "usage": {"completion_tokens": TOKENS},
        }
        return web.json_response(body, headers={"X-Model-Version": "1.0.0"})

    return handle


@pytest.mark.parametrize(
    ("handler", "verdict"),
    [
        (answers(), "whole"),
        (answers(fingerprint="rs-2"), "mixed"),
        (answers(fingerprint=None), "garbled"),
        (answers(finish="error"), "cut"),
    ],
)
async def test_whole_answers_are_judged_the_same(handler, verdict):
    assert (await verdict_on(handler, "--no-stream"))[0] == verdict


async def test_all_streams_are_open_at_once():
    everyone = asyncio.Barrier(8)

    async def handle(request):
        await everyone.wait()
        return await speaks(WHOLE)(request)

    async with serving(handle) as url:
        streams = await run(url, "--streams", "8")
    assert summarise(streams)["whole"] == 8


async def test_a_crowd_keeps_opening_until_its_time_is_over():
    async with serving(speaks(WHOLE)) as url:
        streams = await run(url, "--duration", "0.3", "--concurrency", "2")
    assert len(streams) >= 2
    assert {judge(stream)[0] for stream in streams} == {"whole"}


@pytest.mark.parametrize(("options", "connections"), [(["--keep-alive"], 1), ([], 3)])
async def test_connections_are_reused_only_when_asked_for(options, connections):
    seen = []
    third = asyncio.Event()

    async def handle(request):
        seen.append(request.transport.get_extra_info("peername"))
        if len(seen) == 3:
            third.set()
        return await answers()(request)

    async with serving(handle) as url:
        task = asyncio.create_task(run(url, "--duration", "0", "--concurrency", "1", "--no-stream", *options))
        await third.wait()
        signal.raise_signal(signal.SIGTERM)
        await task
    assert len(set(seen[:3])) == connections


def whole(text, *, version="1.0.0", prompt="p"):
    return Stream(0, prompt, 9, version=version, text=text, status=200, finish="stop", done=True)


def test_texts_of_one_version_and_prompt_must_agree_as_far_as_they_go():
    odd = whole("one six")
    others = [whole("one two three"), whole("one two"), whole("six", version="2"), whole("seven", prompt="q")]
    assert differing([odd, *others]) == [odd]


@pytest.mark.parametrize(
    ("summary", "allowed", "strict", "is_failure"),
    [
        ({}, False, False, False),
        ({"cut": 1}, True, False, True),
        ({"mixed": 1}, True, False, True),
        ({"garbled": 1}, True, False, True),
        ({"refused": 1}, False, False, True),
        ({"refused": 1}, True, False, False),
        ({"differs": 1}, False, False, False),
        ({"differs": 1}, False, True, True),
        ({"opened": 0}, True, False, True),
    ],
)
def test_what_makes_the_run_fail(summary, allowed, strict, is_failure):
    whole = {"opened": 3, "cut": 0, "mixed": 0, "garbled": 0, "refused": 0, "differs": 0}
    assert failed({**whole, **summary}, refusals_allowed=allowed, strict_text=strict) is is_failure


def test_the_table_has_a_row_for_each_version():
    rows = draw_table(summarise([whole("a"), whole("b", version="2.0.0")])).splitlines()
    assert [row.split()[0] for row in rows] == ["version", "1.0.0", "2.0.0"]


@given(st.lists(st.integers(min_value=1, max_value=40)), st.sampled_from(["\n", "\r\n"]))
async def test_events_are_the_same_however_the_bytes_are_cut(sizes, newline):
    text = "".join(WHOLE).replace("\n", newline).encode()

    async def pieces():
        rest = text
        for size in sizes:
            yield rest[:size]
            rest = rest[size:]
        yield rest

    events = [event async for event in read_events(pieces())]
    assert events == [event.removeprefix("data: ").strip() for event in WHOLE]
