"""Golden prompts over real HTTP on the loopback: each address of 127.0.0.0/8 is a pod."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from inference_operator import names
from inference_operator.actions import Target, Verify
from inference_operator.cluster.asking import Questioner
from inference_operator.cluster.verify import Verifier
from inference_operator.spec.verification import Expect, GoldenPrompt
from inference_operator.verification import Asked, read_result

SUM = GoldenPrompt(prompt="2+2=", expect=Expect(contains="4"), max_tokens=4)
HELD = "2.0.0"


class Deployments:
    """Where results are written."""

    def __init__(self):
        self.patches = []
        self.written = asyncio.Event()

    async def merge(self, kind, namespace, name, body):
        self.patches.append((kind.name, namespace, name, body))
        self.written.set()


class Pods:
    """Answers with what `script` gives for each request in turn; the last one for all that follow."""

    def __init__(self, *script):
        self.script = list(script)
        self.asked = []

    async def __call__(self, request):
        self.asked.append((request.host.split(":")[0], request.path, await request.json()))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await answer(request)


def saying(*texts, version=HELD, usage=True, chat=True):
    async def answer(request):
        response = web.StreamResponse(headers={"X-Model-Version": version})
        await response.prepare(request)
        for text in texts:
            choice = {"delta": {"content": text}} if chat else {"text": text}
            await response.write(
                b"data: " + json.dumps({"choices": [choice], "usage": None}).encode() + b"\n\n"
            )
        if usage:
            total = {"choices": [], "usage": {"completion_tokens": len(texts)}}
            await response.write(b"data: " + json.dumps(total).encode() + b"\n\ndata: [DONE]\n\n")
        return response

    return answer


def refusing(status, code=None, message="no"):
    async def answer(_request):
        return web.json_response({"error": {"message": message, "code": code}}, status=status)

    return answer


async def breaking_off(request):
    response = web.StreamResponse(headers={"X-Model-Version": HELD})
    await response.prepare(request)
    await response.write(b'data: {"choices":[{"delta":{"content":"4"}}]}\n\n')
    request.transport.abort()
    return response


async def failing_midway(request):
    response = web.StreamResponse(headers={"X-Model-Version": HELD})
    await response.prepare(request)
    await response.write(b'data: {"error":{"message":"logits are not finite","code":"engine_error"}}\n\n')
    return response


async def never_ending_line(request):
    response = web.StreamResponse(headers={"X-Model-Version": HELD})
    await response.prepare(request)
    for _ in range(64):
        await response.write(b"x" * 65_536)
    return response


@asynccontextmanager
async def verifying(pods, limit=20.0):
    app = web.Application()
    app.router.add_post("/v1/chat/completions", pods)
    app.router.add_post("/v1/completions", pods)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    deployments = Deployments()
    verifier = Verifier(client=deployments, questioner=Questioner(port=runner.addresses[0][1]), limit=limit)
    try:
        yield verifier, deployments
    finally:
        await verifier.close()
        await runner.cleanup()


def question(*prompts, warmup=0, ips=("127.0.0.1",), subject="s1"):
    targets = tuple(Target(name=f"pod-{number}", ip=ip) for number, ip in enumerate(ips, 1))
    return Verify(
        fleet="chat-x",
        uid="uid-1",
        subject=subject,
        served_name="chat",
        version=HELD,
        pods=targets,
        asked=Asked(warmup=warmup, prompts=prompts),
    )


async def gates_of(pods, *prompts, **options):
    async with verifying(pods) as (verifier, _):
        return await verifier.answers(question(*prompts, **options))


async def test_an_answer_as_expected_passes_with_what_was_said_and_when():
    pods = Pods(saying(" 2", "+2 is", " 4"))
    (gate,) = await gates_of(pods, SUM)
    assert (gate.name, gate.passed, gate.answer) == ("prompt-1", True, " 2+2 is 4")
    assert gate.ttft_ms >= 0
    _, path, body = pods.asked[0]
    assert path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": "2+2="}]
    assert (body["model"], body["temperature"], body["max_tokens"], body["stream"]) == ("chat", 0, 4, True)


async def test_a_wrong_answer_is_not_asked_for_again():
    pods = Pods(saying("5"), saying("4"))
    (gate,) = await gates_of(pods, SUM)
    assert not gate.passed
    assert gate.message == 'pod pod-1: expected an answer that contains "4", answered "5"'
    assert len(pods.asked) == 1


@pytest.mark.parametrize("trouble", [breaking_off, refusing(503, message="busy")], ids=["torn", "busy"])
async def test_what_did_not_come_over_the_wire_is_asked_for_once_more(trouble):
    pods = Pods(trouble, saying("4"))
    (gate,) = await gates_of(pods, SUM)
    assert gate.passed
    pods = Pods(trouble)
    (gate,) = await gates_of(pods, SUM)
    assert not gate.passed
    assert "gave no answer" in gate.message
    assert len(pods.asked) == 2


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (refusing(400, message="prompt is too long"), "HTTP 400 prompt is too long"),
        (refusing(401), "HTTP 401"),
        (failing_midway, "logits are not finite"),
        (saying("4", version="1.0.0"), "version 1.0.0 answered in the place of 2.0.0"),
        (never_ending_line, "no stream of events"),
    ],
    ids=["refused", "no key", "error in the stream", "another version", "no line ends"],
)
async def test_what_another_try_would_not_change_is_told_at_once(trouble, said):
    pods = Pods(trouble)
    (gate,) = await gates_of(pods, SUM)
    assert not gate.passed
    assert said in gate.message
    assert len(pods.asked) == 1


async def test_a_model_without_a_chat_template_is_asked_for_a_completion():
    pods = Pods(refusing(400, "no_chat_template"), saying("4", chat=False))
    (gate,) = await gates_of(pods, SUM)
    assert gate.passed
    assert (pods.asked[1][1], pods.asked[1][2]["prompt"]) == ("/v1/completions", "2+2=")


async def test_a_pod_that_is_not_there_fails_the_gate():
    async with verifying(Pods(saying("4"))) as (verifier, _):
        gone = Verifier(client=verifier.client, questioner=Questioner(port=1))
        (gate,) = await gone.answers(question(SUM))
        await gone.close()
    assert not gate.passed


async def test_every_pod_is_warmed_and_asked_and_the_one_that_fails_is_named():
    async def answer(request):
        wrong = request.host.startswith("127.0.0.3")
        return await saying("5" if wrong else "4")(request)

    pods = Pods(answer)
    ips = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    warm, gate = await gates_of(pods, SUM, warmup=3, ips=ips)
    assert (warm.name, warm.passed) == ("warm-up", True)
    assert gate.message.startswith("pod pod-3: expected")
    assert {ip: sum(host == ip for host, _, _ in pods.asked) for ip in ips} == dict.fromkeys(ips, 4)


async def test_a_pod_that_answers_no_warm_up_request_fails():
    warm, _ = await gates_of(Pods(refusing(400)), SUM, warmup=2)
    assert not warm.passed


async def test_all_prompts_together_have_a_bound():
    async def silent(_request):
        await asyncio.Event().wait()

    async with verifying(Pods(silent), limit=0.2) as (verifier, _):
        (gate,) = await verifier.answers(question(SUM))
    assert (gate.name, gate.passed) == ("time", False)


async def test_the_result_is_a_mark_on_the_fleet_that_was_asked():
    async with verifying(Pods(saying("4"))) as (verifier, deployments):
        verifier.begin("demo", question(SUM))
        await deployments.written.wait()
    kind, namespace, name, body = deployments.patches[0]
    assert (kind, namespace, name, body["metadata"]["uid"]) == ("Deployment", "demo", "chat-x", "uid-1")
    result = read_result(body["metadata"]["annotations"][names.VERIFICATION])
    assert (result.subject, result.failed) == ("s1", ())


async def test_who_is_being_asked_is_not_asked_twice_and_makes_way_for_a_successor():
    let_go, asked = asyncio.Event(), asyncio.Event()

    async def waiting(request):
        asked.set()
        await let_go.wait()
        return await saying("4")(request)

    pods = Pods(waiting)
    async with verifying(pods) as (verifier, deployments):
        for _ in range(3):
            verifier.begin("demo", question(SUM))
        verifier.begin("demo", question(SUM, subject="s2"))
        await asked.wait()
        let_go.set()
        await deployments.written.wait()
        subjects = [
            read_result(body["metadata"]["annotations"][names.VERIFICATION]).subject
            for *_, body in deployments.patches
        ]
    assert subjects == ["s2"]
