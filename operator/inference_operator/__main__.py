"""`python -m inference_operator run`: wires the rooms together and runs until SIGTERM or until the lease is lost."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from inference_operator import options
from inference_operator.cluster.apply import Executor
from inference_operator.cluster.asking import Questioner
from inference_operator.cluster.client import Client
from inference_operator.cluster.events import Recorder
from inference_operator.cluster.lease import Lease
from inference_operator.cluster.observe import Observer
from inference_operator.cluster.pace import Pace
from inference_operator.cluster.pods import PodReader
from inference_operator.cluster.rooms import RoomReader
from inference_operator.cluster.secrets import KeyReader
from inference_operator.cluster.survey import Surveyor
from inference_operator.cluster.verify import Verifier
from inference_operator.controller.key import Key
from inference_operator.controller.memory import Memory
from inference_operator.controller.metrics import Metrics
from inference_operator.controller.queue import WorkQueue
from inference_operator.controller.reconcile import Reconciler
from inference_operator.controller.report import Reporter
from inference_operator.controller.work import Resync, Worker
from inference_operator.errors import OperatorError
from inference_operator.listener import Listener
from inference_operator.options import Options, PlanOptions
from inference_operator.plan_command import plan_edit

FINISH = 5.0
"""Seconds that running reconciles get after SIGTERM."""

_log = logging.getLogger("inference_operator")


class Operator:
    """One process: builds everything once, runs it, and takes it down in order."""

    def __init__(self, chosen: Options) -> None:
        self.options = chosen
        self.stopping = asyncio.Event()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.queue: WorkQueue[Key] = WorkQueue()
        self.metrics.watch_queue(lambda: self.queue.depth, lambda: self.queue.oldest)
        self.memory = Memory()
        self.leads = False
        self.resync: Resync | None = None

    async def run(self) -> None:
        """Raises OperatorError when it cannot go on."""
        self._listen_for_signals()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._serve_http())
            lease, client = await self._connect(stack)
            pods = PodReader()
            stack.push_async_callback(pods.close)
            if not await self._lead(lease, stack):
                return
            verifier = Verifier(client=client, questioner=Questioner())
            stack.push_async_callback(verifier.close)
            surveyor = Surveyor(client=client, pods=pods, namespaces=self.options.namespaces)
            await self._work(surveyor, self._reconciler(client, pods, verifier), lease)

    async def _connect(self, stack: AsyncExitStack) -> tuple[Lease | None, Client]:
        """One connection pool; all requests are paced and writes guarded by the lease, but for the lease's own."""
        free = await Client.connect(self.options.kubeconfig, count=self.metrics.count_request)
        stack.push_async_callback(free.close)
        if not self.options.lease:
            return None, Client(api=free.api, count=self.metrics.count_request, pace=self._pace())
        lease = Lease(
            client=free,
            namespace=self.options.lease_namespace,
            name=self.options.lease,
            identity=f"{socket.gethostname()}_{uuid4().hex[:8]}",
        )
        guarded = Client(api=free.api, count=self.metrics.count_request, guard=lease.check, pace=self._pace())
        return lease, guarded

    def _pace(self) -> Pace:
        rate = self.options.requests_per_second
        return Pace(rate=rate, burst=2 * rate)

    async def _lead(self, lease: Lease | None, stack: AsyncExitStack) -> bool:
        """Wait until we may work; False when told to stop before."""
        if lease is not None:
            acquiring = asyncio.create_task(lease.acquire())
            await self._first_of(acquiring, asyncio.create_task(self.stopping.wait()))
            if self.stopping.is_set():
                return False
            stack.push_async_callback(lease.release)
        self.leads = True
        self.metrics.leader.set(1)
        return True

    async def _work(self, surveyor: Surveyor, reconciler: Reconciler, lease: Lease | None) -> None:
        self.resync = Resync(
            surveyor=surveyor,
            queue=self.queue,
            metrics=self.metrics,
            memory=self.memory,
            every=self.options.resync_seconds,
        )
        worker = Worker(queue=self.queue, reconcile=reconciler.reconcile, metrics=self.metrics)
        workers = [asyncio.create_task(worker.run()) for _ in range(self.options.workers)]
        others = [asyncio.create_task(self.resync.run()), asyncio.create_task(self.stopping.wait())]
        if lease is not None:
            others.append(asyncio.create_task(lease.hold()))
        stop_kopf = asyncio.Event()
        listener = Listener(queue=self.queue, namespaces=self.options.namespaces)
        events = asyncio.create_task(listener.run(stop_kopf))
        try:
            await self._first_of(events, *others, *workers, cancel=False)
        finally:
            self.queue.stop()
            await _end(*others)
            await asyncio.wait(workers, timeout=FINISH)
            await _end(*workers)
            stop_kopf.set()
            await asyncio.wait([events], timeout=FINISH)
            await _end(events)

    def _reconciler(self, client: Client, pods: PodReader, verifier: Verifier) -> Reconciler:
        return Reconciler(
            observer=Observer(
                rooms=self._rooms(client),
                client=client,
                pods=pods,
                keys=KeyReader(client=client, allowed=self.options.client_secrets),
                default_image=self.options.default_image,
                network_policies=self.options.network_policies,
                operator_namespace=self.options.lease_namespace,
            ),
            executor=Executor(client=client, verifier=verifier),
            reporter=Reporter(client=client),
            recorder=Recorder(client=client),
            metrics=self.metrics,
            memory=self.memory,
        )

    def _rooms(self, client: Client) -> RoomReader | None:
        if self.options.nodes == "unseen":
            return None
        return RoomReader(client=client, nodes_come=self.options.nodes == "autoscaled")

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)

    async def _first_of(self, *tasks: asyncio.Task[object], cancel: bool = True) -> None:
        """Wait for the first to end, and raise what it raised."""
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if cancel:
                await _end(*(task for task in tasks if not task.done()))
        for task in done:
            task.result()

    @asynccontextmanager
    async def _serve_http(self) -> AsyncIterator[None]:
        app = web.Application()
        app.add_routes([web.get("/healthz", self._health), web.get("/metrics", self._metrics)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, port=self.options.http_port, shutdown_timeout=1)
            await site.start()
            _log.info("http listens on port %d", self.options.http_port)
            yield
        finally:
            await runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        """200 while the work goes on: a loop that turns but never resyncs is not healthy."""
        age = self.resync.age() if self.resync else 0.0  # a standby has nothing to do
        limit = 2 * self.options.resync_seconds + 60
        late = max(age, self.queue.oldest) > limit
        said = {
            "leads": self.leads,
            "last_resync_seconds_ago": age,
            "queue_oldest_seconds": self.queue.oldest,
        }
        return web.json_response(said, status=503 if late else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


async def _end(*tasks: asyncio.Task[object]) -> None:
    """Cancel and wait. What a task raised was raised already, or comes too late to matter; it is logged."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            _log.debug("while stopping: %s: %s", type(outcome).__name__, outcome)


async def _run(chosen: Options) -> int:
    logging.basicConfig(
        level=chosen.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else two lines for each event
    # kopf has a thread of its own, and warns that signals are not its: they are ours.
    logging.getLogger("kopf._core.reactor.running").addFilter(
        lambda record: "OS signals are ignored" not in record.msg
    )
    if chosen.kubeconfig:
        os.environ["KUBECONFIG"] = chosen.kubeconfig  # kopf reads it there
    await Operator(chosen).run()
    return 0


def main() -> int:
    chosen = options.parse(sys.argv[1:], os.environ)
    try:
        return asyncio.run(plan_edit(chosen) if isinstance(chosen, PlanOptions) else _run(chosen))
    except OperatorError as error:
        _log.error("%s", error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
