"""The command line: flags over environment over defaults, and errors that say what is allowed."""

from __future__ import annotations

import pytest

from realtime_serve.errors import SettingsInvalid
from realtime_serve.settings.options import FLAGS, parse_options


def test_a_directory_is_served_by_its_name(tmp_path):
    options = parse_options(["--model", str(tmp_path)], {})
    assert (options.model, options.served_name) == (str(tmp_path), tmp_path.name)
    assert (options.host, options.port, options.model_version) == ("127.0.0.1", 8000, "1.0.0")


@pytest.mark.parametrize("source", ["org/repo", "hf://org/repo"])
def test_a_name_that_is_no_directory_is_a_model_on_the_hub(source):
    options = parse_options(["--model", source], {})
    assert (options.model, options.served_name) == ("hf://org/repo", "repo")


def test_a_file_uri_is_a_directory(tmp_path):
    assert parse_options([f"--model=file://{tmp_path}"], {}).model == str(tmp_path)


@pytest.mark.parametrize("uri", ["https://host/a/small.tar.gz?signature=secret", "s3://bucket/small.zip"])
def test_an_archive_is_served_by_its_name_without_the_ending(uri):
    assert parse_options(["--model", uri, "--model-sha256", "0" * 64], {}).served_name == "small"


def test_a_flag_wins_over_the_environment_and_that_over_the_default(tmp_path):
    environment = {
        "REALTIME_SERVE_MODEL": str(tmp_path),
        "REALTIME_SERVE_PORT": "1",
        "REALTIME_SERVE_HOST": "::",
    }
    options = parse_options(["--port", "2"], environment)
    assert (options.port, options.host) == (2, "::")


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_every_flag_is_an_environment_variable(flag, tmp_path):
    samples = {
        "model": str(tmp_path),
        "max-model-length": "64",
        "port": "7",
        "drain-timeout": "3",
        "dtype": "float32",
    }
    samples |= {"compile": "on", "device": "cpu", "log-level": "debug", "redis-url": "redis://127.0.0.1/1"}
    if flag.name == "model-sha256":
        samples |= {"model-sha256": "0" * 64, "model": "https://host/model.zip"}
    value = samples.get(flag.name, "sample")
    variable = "REALTIME_SERVE_" + flag.name.upper().replace("-", "_")
    options = parse_options([], {"REALTIME_SERVE_MODEL": samples["model"], variable: value})
    shown = {"on": ("True",)}.get(value, (value, f"{value}.0"))
    assert str(getattr(options, flag.name.replace("-", "_"))) in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model .* is needed"),
        (["--model", "/no/such"], "^SourceNotFound: --model: /no/such: there is no such"),
        (["--model", "file:///no/such"], "^SourceNotFound: --model: /no/such: there is no such"),
        (["--model", "such"], "'such' is no directory, and no model on the hub"),
        (["--model", "ftp://host/key"], "scheme 'ftp' is unknown; allowed are hf://, file://, s3://, gs://"),
        (["--model", "s3://"], "s3://. names nothing; such as s3://BUCKET/PATH"),
        (["--model", "https://host/model"], "--model.*is one archive, its name ending in"),
        (["--model", "https://host/m.zip"], "--model: .*has to be given .--model-sha256"),
        (["--model", "o/r", "--model-sha256", "0" * 64], "sha256 is of an archive"),
        (["--model", "o/r", "--model-sha256", "A" * 64], "--model-sha256.*64 digits"),
        (["--model", "hf://only"], "hf://ORG/REPO"),
        (["--model", "o/r", "--port", "99999"], "--port.*a whole number from 0 to 65535"),
        (["--model", "o/r", "--device", "tpu"], "--device.*invalid choice.*cuda"),
        (["--model", "o/r", "--compile", "yes"], "--compile: 'yes': on or off"),
        (["--model", "o/r", "--drain-timeout", "soon"], "--drain-timeout.*seconds, from 0 to 86400"),
        (["--model", "o/r", "--model-version", "a\nb"], "--model-version.*printable"),
        (["--model", "o/r", "--redis-url", "http://:secret@h"], "--redis-url: a URL of redis, rediss, unix$"),
        (["--model", "o/r", "--modle", "x"], "unrecognized arguments: --modle"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_allowed(arguments, message):
    with pytest.raises(SettingsInvalid, match=message):
        parse_options(arguments, {})
