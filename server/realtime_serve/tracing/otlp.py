"""Spans to a collector by OTLP over HTTP: OpenTelemetry's SDK, which reads its own environment variables."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from realtime_serve.release import VERSION
from realtime_serve.tracing.span import Span

log = logging.getLogger("realtime_serve.tracing")

FLUSH_SECONDS = 3.0  # for the last spans, when the server stops
NANOSECONDS = 1_000_000_000

# It logs the headers that it cannot read, and these may be secrets.
logging.getLogger("opentelemetry.util.re").setLevel(logging.ERROR)

_W3C = TraceContextTextMapPropagator()


class OtlpTracer:
    """Queues spans; a thread of the SDK's sends them in batches, and drops them where the collector cannot follow.

    Raises:
        ValueError: a variable's value cannot be used.

    """

    def __init__(self) -> None:
        # What the environment says of the service goes before what we say.
        ours = {"service.name": "realtime-serve", "service.version": VERSION}
        resource = Resource.create({**ours, **OTELResourceDetector().detect().attributes})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("realtime_serve", VERSION)

    def tell(self, span: Span) -> str:
        """Queue a span; return the id of its trace."""
        begin = round(span.begun * NANOSECONDS)
        told = self._tracer.start_span(
            span.name,
            _W3C.extract({"traceparent": span.trace.parent, "tracestate": span.trace.state}),
            kind=SpanKind.SERVER,
            attributes=span.attributes,
            start_time=begin,
        )
        for event in span.events:
            told.add_event(event.name, timestamp=begin + round(event.seconds * NANOSECONDS))
        if span.error:
            told.set_status(Status(StatusCode.ERROR, span.error))
        told.end(begin + round(span.seconds * NANOSECONDS))
        return f"{told.get_span_context().trace_id:032x}"

    async def stop(self) -> None:
        """Send what is left; the thread that does it ends with the process where a collector keeps it waiting."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def send() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop did not wait so long
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=send, name="last-spans", daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await sent.wait()
        except TimeoutError:
            log.warning("the last spans were not sent within %s s", FLUSH_SECONDS)
