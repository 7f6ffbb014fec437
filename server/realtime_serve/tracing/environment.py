"""Whether spans are wanted, by the environment variables that OpenTelemetry's specification names."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from realtime_serve.tracing.span import Tracer

log = logging.getLogger("realtime_serve.tracing")

EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
ALLOWED = {EXPORTER: ("otlp", "none"), **dict.fromkeys(PROTOCOLS, ("http/protobuf",))}


def make_tracer(environment: Mapping[str, str]) -> Tracer | None:
    """Return where spans go, None where nobody asked for any, or where they cannot be had: then the log says why.

    Nothing is imported unless spans are wanted. Whatever is wrong with them, the server starts: the variables are often
    set for a whole namespace by people who do not run this server.
    """
    if not wanted(environment):
        return None
    if wrong := problem(environment):
        log.warning("no spans are sent: %s", wrong)
        return None
    try:  # an extra of its own
        from realtime_serve.tracing.otlp import OtlpTracer  # noqa: PLC0415

        tracer = OtlpTracer()
    except ImportError as error:
        log.warning(
            "no spans are sent: OTEL_ variables ask for them, and %s is missing: pip install 'realtime-serve[otel]'",
            error.name or "a package",
        )
        return None
    except ValueError as error:  # of a variable that the SDK reads
        log.warning("no spans are sent: %s", error)
        return None
    log.info("spans are sent", extra={"fields": {"endpoint": _endpoint(environment)}})
    return tracer


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether there is an endpoint, or the word for the default one, and nothing that switches spans off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get(EXPORTER, "").strip()
    return exporter != "none" and bool(exporter or any(environment.get(name) for name in ENDPOINTS))


def problem(environment: Mapping[str, str]) -> str:
    """Return what is asked for and not here: which variable, what it says, what is allowed."""
    for name, allowed in ALLOWED.items():
        value = environment.get(name, "").strip()
        if value and value not in allowed:
            return f"{name}: {value!r}; allowed is {' or '.join(allowed)}"
    for name in HEADERS:
        items = environment.get(name, "").split(",")
        if any(item.strip() and "=" not in item for item in items):  # what it says may be a secret
            return f"{name}: allowed is NAME=VALUE, and more of them after commas"
    return ""


def _endpoint(environment: Mapping[str, str]) -> str:
    """As it is set, without what is secret in it."""
    given = next((environment[name] for name in ENDPOINTS if environment.get(name)), "http://localhost:4318")
    parts = urlsplit(given)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
