"""A collector, and a front end over the echo engine that sends it its spans."""

from __future__ import annotations

import contextlib
import os

import pytest

from realtime_serve.tracing.environment import make_tracer
from tests.support.collector import collector
from tests.support.echo_engine import echo_engine
from tests.support.front_end import front_end


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    """Whatever this machine is set to."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
async def collecting():
    async with collector() as running:
        yield running


@pytest.fixture
def traced(directory, collecting, monkeypatch):
    """A front end that sends its spans at once; variables and settings may be given."""

    @contextlib.asynccontextmanager
    async def run(step_seconds=0.0005, settings=None, **variables):
        wanted = {"OTEL_EXPORTER_OTLP_ENDPOINT": collecting.url, "OTEL_BSP_SCHEDULE_DELAY": "10", **variables}
        for name, text in wanted.items():
            monkeypatch.setenv(name, text)
        engine = echo_engine(directory, step_seconds=step_seconds)
        async with front_end(engine, **(settings or {})) as front:
            tracer = front.serving.tracer = make_tracer(os.environ)
            assert tracer is not None
            yield front
            await tracer.stop()

    return run
