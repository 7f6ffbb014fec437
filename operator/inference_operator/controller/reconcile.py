"""One run for one model: observe → plan → apply → report."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from inference_operator.actions import Event, Plan
from inference_operator.cluster.apply import Executor
from inference_operator.cluster.events import Recorder
from inference_operator.cluster.observe import Observer
from inference_operator.cluster.routes import ROUTE_SECONDS
from inference_operator.cluster.survey import Sighting
from inference_operator.controller.key import Key
from inference_operator.controller.memory import Memory
from inference_operator.controller.metrics import Metrics
from inference_operator.controller.report import Reporter
from inference_operator.errors import ClusterError, NamespaceEnding, Refused
from inference_operator.observed import Observed
from inference_operator.plan import plan
from inference_operator.reasons import Reason
from inference_operator.status import hindered, unrouted

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Remembers nothing between runs."""

    observer: Observer
    executor: Executor
    reporter: Reporter
    recorder: Recorder
    metrics: Metrics
    memory: Memory
    decide: Callable[[Observed], Plan] = plan

    async def reconcile(self, key: Key) -> float | None:
        """Do one round; in how many seconds to look again though nothing has happened, None for never."""
        began = time.perf_counter()
        try:
            return await self._reconcile(key)
        finally:
            self.metrics.seconds.observe(time.perf_counter() - began)

    async def _reconcile(self, key: Key) -> float | None:
        observed = await self.observer.observe(*key)
        if observed is None:
            self.metrics.forget(key)
            self.memory.forget(key)
            return None
        planned = self.decide(observed)
        await self._perform(observed, planned)
        status = await self._route(observed, planned)
        if planned.step:
            told = " ".join(event.message for event in planned.events)
            _log.info("%s/%s: %s. %s", *key, planned.step, told)
            self.metrics.count_step(key, planned.step)
        for event in planned.events:
            await self.recorder.record(observed.model, event)
        self.metrics.show(key, status or {})
        await self.reporter.report(observed.model, status)
        self.memory.note(key, Sighting(observed.fingerprint, observed.streams))
        return planned.recheck_after

    async def _perform(self, observed: Observed, planned: Plan) -> None:
        """All actions in order; the first that fails ends the run, and a refusal is told to the user."""
        try:
            for action in planned.actions:
                await self.executor.perform(observed.model.namespace, action)
        except Refused as error:
            await self._tell(observed, planned, str(error))
            raise

    async def _route(self, observed: Observed, planned: Plan) -> Mapping[str, Any] | None:
        """The status, once what is to be done to the HTTPRoute was tried: a failure is told there and holds nothing up."""
        if planned.route is None or planned.status is None:
            return planned.status
        try:
            async with asyncio.timeout(ROUTE_SECONDS):
                await self.executor.perform(observed.model.namespace, planned.route)
        except NamespaceEnding:
            raise
        except (ClusterError, TimeoutError) as error:
            said = str(error) or f"no answer within {ROUTE_SECONDS:g} s"
            return unrouted(planned.status, observed, said)
        return planned.status

    async def _tell(self, observed: Observed, planned: Plan, said: str) -> None:
        told = Event(type="Warning", reason=Reason.REFUSED, message=said)
        await self.recorder.record(observed.model, told)
        if planned.status is not None:
            await self.reporter.report(observed.model, hindered(planned.status, observed, said))
