"""What is served under one name: its versions, each in an engine process of its own, and the one that gets new work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from realtime_serve.errors import LoadFailed, ModelNotReady, ShuttingDown, VersionNotFound
from realtime_serve.generation.served import ServedVersion
from realtime_serve.generation.swap import Decision, Held, Wanted, decide
from realtime_serve.settings.runtime import Settings
from realtime_serve.settings.version import ModelVersion

log = logging.getLogger("realtime_serve.model")

MakeVersion = Callable[[ModelVersion, Callable[[], None]], ServedVersion]
"""The second argument is to be called when its state changed."""


class Model:
    """Makes the versions that it holds equal to those that are wanted, whatever is wanted next."""

    def __init__(
        self, name: str, *, wanted: Wanted, make_version: MakeVersion, drain_seconds: Callable[[], float]
    ) -> None:
        self.name = name
        self.wanted = wanted
        self._first = wanted
        self._make_version = make_version
        self._drain_seconds = drain_seconds
        self._held: dict[str, ServedVersion] = {}
        self._current = ""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._nudged = asyncio.Event()
        self._stepped = asyncio.Event()

    @property
    def versions(self) -> Mapping[str, ServedVersion]:
        """All that are held, in whatever state."""
        return self._held

    @property
    def active_version(self) -> str:
        """The label of the version that gets new work, or will when it is there."""
        return self._current or self.wanted.active

    @property
    def current(self) -> ServedVersion | None:
        """The version that gets new work; None before it is being loaded."""
        return self._held.get(self.active_version)

    @property
    def healthy(self) -> bool:
        """Whether it serves, or is on its way to, or still has streams to end."""
        current = self.current
        busy = any(version.healthy and version.work.active for version in self._held.values())
        return current is None or current.healthy or busy

    @property
    def trouble(self) -> str:
        """Why it takes no new work at this moment; empty when it does."""
        current = self.current
        if current is None:
            return f"version {self.active_version} of {self.name} waits for another one to end"
        if current.loaded is None:
            return f"{self.name} is {current.state}: {current.message}".rstrip(": ")
        return ""

    def find(self, version: str = "") -> ServedVersion:
        """Return the version that a new request goes to.

        Args:
            version: the one that the request addresses; empty for whichever gets new work.

        Raises:
            VersionNotFound: the one that is addressed takes no work here.
            ModelNotReady: there is nothing yet that could.

        """
        if not version:
            if self.current is None:
                raise ModelNotReady(self.trouble)
            return self.current
        held = self._held.get(version)
        if held is None:
            raise VersionNotFound(f"the model {self.name!r} has no version {version[:128]!r} here")
        if held.draining or held.loaded is None:
            raise VersionNotFound(f"version {version!r} of the model {self.name!r} is {held.state}")
        return held

    async def obey(self, settings: Settings) -> None:
        """Hold what the settings list; the version of the command line when they list none."""
        listed = settings.versions
        self.want(Wanted(listed, settings.active_version or listed[0].version) if listed else self._first)

    def want(self, wanted: Wanted) -> None:
        """Hold these versions from now on."""
        if wanted != self.wanted:
            log.info("versions wanted", extra={"fields": {"model": self.name, **_names(wanted)}})
        self.wanted = wanted
        self._nudged.set()

    async def run(self) -> NoReturn:
        """Hold what is wanted until cancelled.

        Raises:
            LoadFailed: no version that is wanted can be served.

        """
        while True:
            self._nudged.clear()
            if self._step().lost and self.current is not None:
                raise LoadFailed(self.current.message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience()):
                    await self._nudged.wait()

    async def settled(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is looked at after each change."""
        while not condition():
            await self._stepped.wait()

    async def stop(self) -> None:
        """End every engine process."""
        tasks = [*self._tasks.values(), *self._ends]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*[version.stop() for version in self._held.values()])

    def _step(self) -> Decision:
        decision = decide(
            self.wanted, {label: _seen(held) for label, held in self._held.items()}, self._current
        )
        if decision.current != self._current and self._current:
            fields = {"model": self.name, "from": self._current, "version": decision.current}
            log.info("new work goes to another version", extra={"fields": fields})
        self._current = decision.current
        for label, held in self._held.items():
            held.drain(self._drain_seconds()) if label in decision.drain else held.take_back()
        for label in decision.drop:
            self._drop(self._held[label])
        if decision.load is not None:
            self._load(decision.load)
        stepped, self._stepped = self._stepped, asyncio.Event()
        stepped.set()
        return decision

    def _load(self, definition: ModelVersion) -> None:
        held = self._held[definition.version] = self._make_version(definition, self._nudged.set)
        self._tasks[definition.version] = asyncio.create_task(
            held.run(), name=f"version {definition.version}"
        )

    def _drop(self, held: ServedVersion) -> None:
        held.ending = True
        end = asyncio.create_task(self._end(held), name=f"end of version {held.version}")
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)

    async def _end(self, held: ServedVersion) -> None:
        """Cut what it still has, end its process, and let those try again that lacked its memory."""
        if held.work.active:
            await held.work.cut(
                ShuttingDown(f"version {held.version} was unloaded before this answer was whole")
            )
        task = self._tasks.pop(held.version)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await held.stop()
        del self._held[held.version]
        for other in self._held.values():
            other.memory_came_back()
        log.info("unloaded", extra={"fields": {"model": self.name, "version": held.version}})
        self._nudged.set()

    def _patience(self) -> float | None:
        """Seconds until a version has had its time to end its streams; None when none is waited for."""
        ends = [v.drain_until for v in self._held.values() if v.draining and not v.ending]
        return max(0.0, min(ends) - time.monotonic()) if ends else None


def _seen(held: ServedVersion) -> Held:
    return Held(
        definition=held.definition,
        ready=held.loaded is not None,
        loading=held.is_loading,
        given_up=held.given_up,
        again=held.again,
        ending=held.ending,
        work=held.work.active,
        overdue=held.draining and time.monotonic() >= held.drain_until,
    )


def _names(wanted: Wanted) -> dict[str, object]:
    return {"versions": [version.version for version in wanted.versions], "active": wanted.active}
