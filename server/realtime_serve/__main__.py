"""`python -m realtime_serve`: joins the parts, and owns the process's beginning and end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from realtime_serve.engine.client import Engine
from realtime_serve.engine.messages import Load, Step
from realtime_serve.errors import LoadFailed, SettingsInvalid
from realtime_serve.generation.draining import Drain
from realtime_serve.generation.metrics import Metrics
from realtime_serve.generation.model import Model
from realtime_serve.generation.registry import ModelRegistry
from realtime_serve.generation.served import ServedVersion
from realtime_serve.generation.serving import Serving
from realtime_serve.generation.swap import Wanted
from realtime_serve.jobs.memory import MemoryStore
from realtime_serve.jobs.store import Store
from realtime_serve.logs import configure_logging
from realtime_serve.settings.live import LiveSettings
from realtime_serve.settings.options import TERMINATION_LOG, Options, parse_options
from realtime_serve.settings.version import ModelVersion
from realtime_serve.settings.watching import FileWatcher
from realtime_serve.tracing.environment import make_tracer
from realtime_serve.web.server import HttpServer

log = logging.getLogger("realtime_serve")

TERMINATION_MESSAGE_LENGTH = 4096  # Kubernetes keeps no more


def main() -> None:
    """Serve until a signal; exit 0 after a drain, 1 when the model cannot be served, 2 for a wrong command line."""
    try:
        options = parse_options(sys.argv[1:], os.environ)
    except SettingsInvalid as error:
        _tell_kubernetes(str(error), Path(TERMINATION_LOG))
        sys.stderr.write(f"realtime_serve: {error}\n(--help lists every flag)\n")
        sys.exit(2)
    configure_logging(options.log_level)
    sys.exit(asyncio.run(serve(options)))


async def serve(options: Options) -> int:
    """Run one server to its end; return the exit status."""
    serving = assemble(options)
    tracer = serving.tracer = make_tracer(os.environ)
    try:
        http = HttpServer(serving, make_store(options, serving.settings))
    except SettingsInvalid as error:
        return _give_up(str(error), options)
    try:
        port = await http.start(options.host, options.port)
    except OSError as error:
        return _give_up(f"cannot listen at {options.host}:{options.port}: {error.strerror}", options)
    log.info(
        "listening", extra={"fields": {"host": options.host, "port": port, "model": options.served_name}}
    )
    failure = ""
    try:
        await _run(serving, http, options)
    except* LoadFailed as failures:
        failure = str(failures.exceptions[0])
    finally:
        await http.stop()
        await asyncio.gather(serving.models.stop(), *([tracer.stop()] if tracer else []))
    if failure:
        return _give_up(failure, options)
    log.info("stopped")
    return 0


def assemble(options: Options) -> Serving:
    """Make the parts and give each what it works with."""
    settings, metrics = LiveSettings(options.model_version), Metrics()

    def make_version(definition: ModelVersion, on_change: Callable[[], None]) -> ServedVersion:
        on_step = metrics.of_steps(options.served_name, definition.version)
        return ServedVersion(
            definition,
            name=options.served_name,
            make_engine=lambda: make_engine(definition, options, on_step),
            settings=settings,
            on_change=on_change,
        )

    first = first_version(options)
    model = Model(
        options.served_name,
        wanted=Wanted((first,), first.version),
        make_version=make_version,
        drain_seconds=lambda: settings.current.limits.request_timeout_seconds,
    )
    settings.subscribe(model.obey)
    return Serving(models=ModelRegistry(model), settings=settings, drain=Drain(), metrics=metrics)


def make_store(options: Options, settings: LiveSettings) -> Store:
    """Return where jobs are kept.

    Raises:
        SettingsInvalid: Redis is asked for, and its client is not installed.

    """

    def window() -> float:
        return settings.current.streaming.resume_window_seconds

    if options.redis_url is None:
        return MemoryStore(window)
    try:  # its client is an extra of its own
        from realtime_serve.jobs.redis import RedisStore  # noqa: PLC0415
    except ImportError as error:
        raise SettingsInvalid(
            "--redis-url needs Redis's client: pip install 'realtime-serve[redis]'"
        ) from error

    def longest_job() -> float:
        return settings.current.limits.request_timeout_seconds

    return RedisStore(options.redis_url, window=window, longest_job=longest_job)


def first_version(options: Options) -> ModelVersion:
    """Return the version that the command line names."""
    return ModelVersion(
        version=options.model_version,
        uri=options.model,
        revision=options.model_revision,
        sha256=options.model_sha256,
        dtype=options.dtype,
        max_model_length=options.max_model_length or 0,
    )


def make_engine(definition: ModelVersion, options: Options, on_step: Callable[[Step], None]) -> Engine:
    """Return an engine process, not yet started, for one version of a model."""
    load = Load(
        model=definition.uri,
        revision=definition.revision,
        dtype=definition.dtype,
        sha256=definition.sha256,
        cache=str(options.cache),
        device=options.device,
        compile=options.compile,
        max_model_length=definition.max_model_length,
    )
    command = [sys.executable, "-m", "realtime_serve.engine_process"]
    return Engine(command=command, load=load, on_step=on_step)


async def _run(serving: Serving, http: HttpServer, options: Options) -> None:
    """Serve until a signal, then until what runs has ended."""
    sources = [(options.settings, serving.settings.load), (options.pod_annotations, serving.drain.obey)]
    watchers = [FileWatcher(path, act) for path, act in sources if path]
    for watcher in watchers:
        await (
            watcher.check()
        )  # before anything is loaded: the settings may name another version than the command line
    ending = _on_signals(serving.drain)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(watcher.run()) for watcher in watchers]
        tasks += [group.create_task(http.run()), group.create_task(serving.models.run())]
        await ending.wait()
        log.info(
            "shutting down", extra={"fields": {"active": serving.active, "seconds": options.drain_timeout}}
        )
        await serving.finish(options.drain_timeout)
        for task in tasks:
            task.cancel()


def _on_signals(drain: Drain) -> asyncio.Event:
    """The first signal sets the event; the second ends the process at once."""
    ending = asyncio.Event()

    def end(number: signal.Signals) -> None:
        if drain.terminating:
            os._exit(128 + number)  # the engine sees its socket close
        drain.terminate()
        ending.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    return ending


def _give_up(reason: str, options: Options) -> int:
    log.error("giving up", extra={"fields": {"reason": reason}})
    _tell_kubernetes(reason, options.termination_log)
    return 1


def _tell_kubernetes(reason: str, path: Path) -> None:
    """One line where the kubelet looks for the reason of an end. The file is there in a pod only."""
    if not path.exists():
        return
    with contextlib.suppress(OSError):  # the log has it too
        path.write_text(" ".join(reason.split())[:TERMINATION_MESSAGE_LENGTH], encoding="utf-8")


if __name__ == "__main__":
    main()
