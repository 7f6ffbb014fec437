"""Which environment asks for spans, and what is said of one that cannot have them."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from realtime_serve.tracing.environment import make_tracer, wanted

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "chat"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, True),
    ],
)
def test_spans_are_wanted_where_there_is_somewhere_to_send_them(environment, expected):
    assert wanted(environment) is expected


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"),
    ],
)
def test_what_is_not_here_is_told_and_the_server_starts(caplog, variable, value, allowed):
    assert make_tracer({**ENDPOINT, variable: value}) is None
    assert caplog.messages == [f"no spans are sent: {variable}: {value!r}; allowed is {allowed}"]


def test_a_missing_extra_is_told_by_its_name(caplog, monkeypatch):
    monkeypatch.delitem(sys.modules, "realtime_serve.tracing.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    assert make_tracer(ENDPOINT) is None
    (message,) = caplog.messages
    assert "opentelemetry.sdk.resources is missing: pip install 'realtime-serve[otel]'" in message


def test_numbers_that_contradict_each_other_are_told(caplog, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    assert make_tracer(ENDPOINT) is None
    assert "max_export_batch_size" in caplog.text


@pytest.mark.parametrize("headers", ["Bearer very-secret", "a=b,very-secret", "a=b,na me=very-secret"])
def test_headers_that_cannot_be_read_are_not_in_the_log(caplog, monkeypatch, headers):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
    make_tracer({**ENDPOINT, "OTEL_EXPORTER_OTLP_HEADERS": headers})
    assert "spans are sent" in caplog.text
    assert "very-secret" not in caplog.text


def test_the_log_names_the_endpoint_without_its_password(caplog):
    caplog.set_level(logging.INFO)
    tracer = make_tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:secret@127.0.0.1:4318/x?key=secret"})
    assert tracer is not None
    (record,) = caplog.records
    assert record.fields["endpoint"] == "http://127.0.0.1:4318/x"


def test_a_server_that_nobody_asked_for_spans_imports_nothing_for_them():
    program = (
        "import os, sys\n"
        "from realtime_serve import __main__\n"
        "assert __main__.make_tracer({}) is None\n"
        "sys.exit('opentelemetry' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd="server", check=False).returncode == 0
