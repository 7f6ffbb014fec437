"""The settings file: what is right is read, what is wrong is told with its path."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.errors import SettingsInvalid
from realtime_serve.settings.runtime import Batching, Limits, Settings, Streaming, parse_settings

COUNT = st.integers(1, 4096)
SETTINGS = st.builds(
    Settings,
    generation=st.integers(0, 2**53),
    active_version=st.text(max_size=20),
    batching=st.builds(
        Batching, max_batch_size=COUNT, max_wait_ms=COUNT, dynamic=st.booleans(), max_batch_tokens=COUNT
    ),
    limits=st.builds(
        Limits, max_connections=COUNT, max_queue=COUNT, max_tokens=COUNT, request_timeout_seconds=COUNT
    ),
    streaming=st.builds(
        Streaming, heartbeat_seconds=st.integers(1, 3600), buffer_tokens=COUNT, idle_timeout_seconds=COUNT
    ),
)


@given(settings=SETTINGS)
def test_what_is_written_is_what_is_read(settings):
    assert parse_settings(msgspec.json.encode(settings)) == settings


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["generation", "batching", "limits", "streaming", "maxQueue", "dynamic", "x", ""]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(value=JSON)
def test_any_json_is_settings_or_an_error_that_says_something(value):
    error = None
    try:
        parse_settings(json.dumps(value).encode())
    except SettingsInvalid as raised:
        error = str(raised)
    assert error is None or error.strip()


@given(content=st.binary(max_size=60))
def test_any_bytes_are_settings_or_an_error(content):
    with contextlib.suppress(SettingsInvalid):
        parse_settings(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"limits": {"maxQueu": 1}}, "limits.maxQueu: unknown field"),
        ({"limit": {}}, "limit: unknown field"),
        ({"limits": {"maxTokens": 0}}, "limits.maxTokens: expected `int` >= 1"),
        ({"batching": {"maxBatchSize": 4097}}, "batching.maxBatchSize: expected `int` <= 4096"),
        ({"batching": {"dynamic": 1}}, "batching.dynamic: expected `bool`, got `int`"),
        ({"streaming": {"heartbeatSeconds": "15"}}, "streaming.heartbeatSeconds: expected `int`, got `str`"),
        ({"generation": -1}, "generation: expected `int` >= 0"),
        ([], "expected `object`, got `array`"),
    ],
)
def test_an_error_names_the_path_and_what_is_allowed(content, message):
    with pytest.raises(SettingsInvalid) as error:
        parse_settings(json.dumps(content).encode())
    assert str(error.value) == message


def test_what_a_file_leaves_out_has_the_default():
    settings = parse_settings(b'{"limits": {"maxQueue": 7}}')
    assert settings == Settings(limits=Limits(max_queue=7))


@pytest.mark.parametrize(
    ("versions", "active", "error"),
    [
        (["1", "1"], "1", "versions: '1' is listed twice"),
        (["1", "2"], "3", "activeVersion: '3' is not among versions (1, 2)"),
    ],
)
def test_versions_that_make_no_sense_together_are_refused(versions, active, error):
    listed = [{"version": version, "uri": "/models/a"} for version in versions]
    with pytest.raises(SettingsInvalid) as caught:
        parse_settings(json.dumps({"activeVersion": active, "versions": listed}).encode())
    assert str(caught.value) == error


def test_a_version_is_read_with_its_defaults():
    (version,) = parse_settings(b'{"versions": [{"version": "2", "uri": "hf://a/b"}]}').versions
    assert (version.revision, version.dtype, version.max_model_length, version.sha256) == (
        "main",
        "auto",
        0,
        "",
    )
