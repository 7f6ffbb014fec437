"""`python -m tests.support.echo_server FLAGS`: the whole server as a process, with the echo engine in place of a model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from realtime_serve import __main__ as server
from realtime_serve.engine.client import Engine
from realtime_serve.engine.messages import Step
from realtime_serve.jobs import redis
from realtime_serve.settings.options import Options
from realtime_serve.settings.version import ModelVersion
from tests.support.echo_engine import echo_engine

STEP_SECONDS = "ECHO_STEP_SECONDS"
LEASE_SECONDS = "ECHO_LEASE_SECONDS"
LOAD_SECONDS = "ECHO_LOAD_SECONDS"


def make_engine(definition: ModelVersion, _options: Options, _on_step: Callable[[Step], None]) -> Engine:
    step, load = float(os.environ[STEP_SECONDS]), float(os.environ.get(LOAD_SECONDS, "0"))
    return echo_engine(Path(definition.uri), step_seconds=step, load_seconds=load)()


if __name__ == "__main__":
    if LEASE_SECONDS in os.environ:
        redis.RedisStore.__init__.__kwdefaults__["lease_seconds"] = float(os.environ[LEASE_SECONDS])
    server.make_engine = make_engine
    server.main()
