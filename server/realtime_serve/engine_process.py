"""`python -m realtime_serve.engine_process --fd N`: joins the engine's loop with the model. Started by engine.client.

It outlives nobody: it ends when its socket is closed and when its parent dies. Signals meant for the server as a whole are
left to the front end, which alone decides when to stop.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from realtime_serve.engine.ending import until_the_end
from realtime_serve.engine.link import Link
from realtime_serve.engine.messages import Load, Progress, Ready, Transfer
from realtime_serve.engine.runner import Runner
from realtime_serve.engine.threads import thread_environment
from realtime_serve.engine.worker import Worker
from realtime_serve.logs import configure_logging
from realtime_serve.settings.source import Source
from realtime_serve.sources import meter
from realtime_serve.sources.cache import DEFAULT_CACHE, Cache
from realtime_serve.sources.fetching import fetch

PR_SET_PDEATHSIG = 1
NO_BARS = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""Progress bars are for terminals; the log has a line a download."""
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
KEPT_BYTES = 1 << 30
"""Freed memory stays with the process: the tensors of a step are as large as those of the next one, and memory fresh from the
kernel costs a page fault for each 4 KiB (up to three times the time of attention over long contexts)."""


def main() -> int:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    keep_memory()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    configure_logging("info")
    os.environ.update(NO_BARS)
    return until_the_end(serve, Link(socket.socket(fileno=int(_value("--fd")))))


def keep_memory() -> None:
    """Where the C library is glibc."""
    if hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def serve(link: Link) -> None:
    """Load, warm up, run: all on this thread, because torch on a second one slows both down for good."""
    load = link.receive_load()
    worker, ready = prepare(load, link)
    link.send(Progress("warming", "generating the first tokens"))
    worker.warm_up()
    link.send(ready)
    worker.run()


def bring(load: Load, link: Link) -> Path:
    """Where the weights are, downloaded if need be. Before torch is imported: what is not there is told at once."""
    source = Source(load.model, load.revision, load.sha256)
    link.send(Progress("loading", f"loading {source.shown}"))

    def tell(transfer: meter.Transfer) -> None:
        said = Transfer(transfer.done, transfer.total, transfer.per_second)
        link.send(Progress("loading", f"downloading {source.shown}", said))

    directory = fetch(source, Cache(Path(load.cache or DEFAULT_CACHE).expanduser()), meter.Meter(tell))
    link.send(Progress("loading", f"loading {source.shown}"))
    return directory


def prepare(load: Load, link: Link) -> tuple[Worker, Ready]:
    # torch is imported here and not above: it takes seconds, in which the front end already hears of progress.
    is_own = "--loader" in sys.argv
    os.environ.update(thread_environment(fixed=is_own))
    if is_own:
        return of_runner(load_own(_value("--loader")), link)
    found = msgspec.structs.replace(load, model=str(bring(load, link)))
    from realtime_serve.model.loading import load_runner  # noqa: PLC0415

    runner = load_runner(found, report=lambda message: link.send(Progress("loading", message)))
    return of_runner(runner, link)


def of_runner(runner: Runner, link: Link) -> tuple[Worker, Ready]:
    return Worker(runner, link), Ready(runner.card)


def load_own(reference: str) -> Runner:
    """A model that a program brings: its loader is imported here, in the process that runs it."""
    from realtime_serve.api.loaders import find_loader, read_config  # noqa: PLC0415
    from realtime_serve.model.own import own_runner  # noqa: PLC0415

    return own_runner(find_loader(reference)(read_config()))


def _value(flag: str) -> str:
    return sys.argv[sys.argv.index(flag) + 1]


if __name__ == "__main__":
    sys.exit(main())
