"""One life of kopf, in a thread and an event loop of its own.

As kopf ends it cancels every task that it finds in its loop, ours too if they were there. And of its own watchers one
that is cancelled together with the task that pauses it goes on as if nothing was (kopf 1.45): kopf then waits for it
for ever. Here neither harms: the loop holds kopf alone, and what it leaves behind is ended from outside.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import kopf

from inference_operator import handlers
from inference_operator.controller.key import Key
from inference_operator.errors import OperatorError

SETTLE = 0.5
"""Seconds that kopf gets to end its tasks by itself."""
MOMENT = 0.1
"""Seconds that one task gets to end after it was cancelled."""
TRIES = 5


class KopfThread:
    """`start`, then await `ended`, which raises what ended kopf; `stop` asks it to end."""

    def __init__(self, tell: Callable[[Key], None], namespaces: Sequence[str]) -> None:
        """`tell` is called in the thread; no namespaces mean all of the cluster."""
        self._tell = tell
        self._namespaces = namespaces
        self._stop = threading.Event()
        self._ended: Future[None] = Future()

    def start(self) -> asyncio.Future[None]:
        self._ended.set_running_or_notify_cancel()  # from here on nobody cancels it but the thread
        threading.Thread(target=self._run, name="kopf", daemon=True).start()
        return asyncio.wrap_future(self._ended)

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        loop = asyncio.new_event_loop()  # asyncio.run would wait for every task that is left
        try:
            loop.run_until_complete(self._live())
        except Exception as error:  # noqa: BLE001 - raised again where `ended` is awaited
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)
        finally:
            loop.close()

    async def _live(self) -> None:
        ending = asyncio.Event()
        running = asyncio.create_task(self._kopf(ending))
        closing = asyncio.create_task(ending.wait())
        try:
            await asyncio.wait((running, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop.set()  # kopf waits for it in one more thread, which would outlive the loop
        await asyncio.wait((running,), timeout=SETTLE)
        await _sweep(running)
        if not running.done() or running.cancelled():
            raise OperatorError("kopf had to be stopped by force; its log tells what ended it")
        running.result()

    async def _kopf(self, ending: asyncio.Event) -> None:
        clusterwide = not self._namespaces
        await kopf.operator(
            registry=handlers.make_registry(self._tell, ending.set),
            settings=handlers.make_settings(clusterwide=clusterwide),
            clusterwide=clusterwide,
            namespaces=self._namespaces,
            standalone=True,
            stop_flag=self._stop,
        )


async def _sweep(running: asyncio.Task[None]) -> None:
    """End what kopf waits for, then kopf: each alone, since together is how a watcher misses it."""
    for task in asyncio.all_tasks() - {running, asyncio.current_task()}:
        await _end(task)
    await asyncio.wait((running,), timeout=SETTLE)
    await _end(running)


async def _end(task: asyncio.Task[None]) -> None:
    """A watcher whose pauser was ended before it swallows the first cancellation, and has a new pauser then."""
    for _ in range(TRIES):
        task.cancel()
        await asyncio.wait((task,), timeout=MOMENT)
        if task.done():
            return
