"""Asks every pod of a new fleet its golden prompts, and writes the result on the fleet's Deployment.

The pods themselves are asked and not the preview Service, which would pick one of them: each is to be warm, and
weights that were torn on their way to one pod show there alone. That the Service leads to these very pods and no
others is a gate of its own.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from inference_operator import names
from inference_operator.actions import Target, Verify
from inference_operator.cluster import kinds
from inference_operator.cluster.asking import NoAnswer, Questioner
from inference_operator.cluster.client import Client
from inference_operator.errors import OperatorError
from inference_operator.spec.verification import GoldenPrompt
from inference_operator.verification import Answer, GateResult, Result, failure, judge, write_result

LIMIT = 600.0
"""Seconds for all prompts together."""
AT_ONCE = 8
"""Pods that are asked at the same time, and warm-up requests to one pod."""
TRIES = 2
"""Of a prompt whose answer did not come over the wire. An answer that came and is wrong is not asked for again."""
WARMUP = GoldenPrompt(prompt="Hello")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Runs beside the reconciles, at most once at a time for a fleet; `close` it."""

    client: Client
    questioner: Questioner
    limit: float = LIMIT
    _running: dict[tuple[str, str], tuple[str, asyncio.Task[None]]] = field(default_factory=dict)

    def begin(self, namespace: str, wanted: Verify) -> None:
        """Ask, unless these very processes are being asked; whoever was asked before is left alone from now on."""
        key = (namespace, wanted.fleet)
        subject, task = self._running.get(key, ("", None))
        if task is not None:
            if subject == wanted.subject and not task.done():
                return
            task.cancel()
        started = asyncio.create_task(self._run(namespace, wanted))
        self._running[key] = (wanted.subject, started)
        started.add_done_callback(lambda done: self._ended(key, done))

    async def close(self) -> None:
        """What was not finished is asked again by the next operator."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.questioner.close()

    def _ended(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._running.get(key, ("", None))[1] is task:
            del self._running[key]
        if not task.cancelled() and (error := task.exception()):
            _log.warning("verification of %s/%s: %s; it is begun again", *key, error)

    async def _run(self, namespace: str, wanted: Verify) -> None:
        gates = await self.answers(wanted)
        mark = write_result(Result(subject=wanted.subject, gates=gates))
        meta = {"uid": wanted.uid, "annotations": {names.VERIFICATION: mark}}
        try:
            await self.client.merge(kinds.DEPLOYMENT, namespace, wanted.fleet, {"metadata": meta})
        except OperatorError as error:
            _log.warning("verification of %s/%s is lost: %s", namespace, wanted.fleet, error)

    async def answers(self, wanted: Verify) -> tuple[GateResult, ...]:
        """One gate for the warm-up and one for each prompt, over all pods."""
        slots = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.timeout(self.limit):
                found = await asyncio.gather(*(self._pod(wanted, pod, slots) for pod in wanted.pods))
        except TimeoutError:
            why = f"not every pod had answered every prompt within {self.limit:g} s"
            return (GateResult(name="time", passed=False, message=why),)
        return tuple(_worst(results) for results in zip(*found, strict=True))

    async def _pod(self, wanted: Verify, pod: Target, slots: asyncio.Semaphore) -> list[GateResult]:
        """One after the other: prompts that wait for each other would measure each other."""
        async with slots:
            warm = [await self._warm(wanted, pod)] if wanted.asked.warmup else []
            return warm + [await self._prompt(wanted, pod, name, p) for name, p in wanted.asked.named()]

    async def _warm(self, wanted: Verify, pod: Target) -> GateResult:
        """The answers are not judged; a pod that gives none at all is."""
        slots = asyncio.Semaphore(AT_ONCE)
        prompts = wanted.asked.prompts or (WARMUP,)
        total = wanted.asked.warmup

        async def one(number: int) -> str:
            async with slots:
                try:
                    await self._ask(wanted, pod, prompts[number % len(prompts)])
                except NoAnswer as error:
                    return str(error)
                return ""

        problems = [said for said in await asyncio.gather(*map(one, range(total))) if said]
        if len(problems) == total:
            return failure("warm-up", pod.name, problems[0])
        message = f"{total - len(problems)} of {total} requests to each pod were answered"
        return GateResult(name="warm-up", passed=True, message=message)

    async def _prompt(self, wanted: Verify, pod: Target, name: str, prompt: GoldenPrompt) -> GateResult:
        problem = ""
        for _ in range(TRIES):
            try:
                return judge(name, prompt, pod.name, await self._ask(wanted, pod, prompt))
            except NoAnswer as error:
                problem = str(error)
                if not error.transport:
                    break
        return failure(name, pod.name, problem)

    async def _ask(self, wanted: Verify, pod: Target, prompt: GoldenPrompt) -> Answer:
        return await self.questioner.ask(pod.ip, wanted.served_name, wanted.version, prompt)


def _worst(results: tuple[GateResult, ...]) -> GateResult:
    """Of one gate over all pods: the first that failed, else the slowest."""
    failed = [result for result in results if not result.passed]
    return failed[0] if failed else max(results, key=lambda result: result.ttft_ms or 0.0)
