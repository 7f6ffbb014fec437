"""Programs that outlive the command that started them."""

import json
import sys

import pytest

from hack import background
from hack.background import Background, DidNotStart, answers
from hack.ports import free_port


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def program(tmp_path, monkeypatch, port):
    monkeypatch.setattr(background, "RUN", tmp_path)
    command = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        str(tmp_path),
    ]
    program = Background("files", command, f"http://127.0.0.1:{port}/")
    yield program
    program.stop()


def test_it_answers_when_start_returns_and_is_gone_when_stop_returns(program):
    assert program.start()
    assert answers(program.url)
    assert program.stop()
    assert not answers(program.url)
    assert program.pid() is None


def test_starting_twice_leaves_one_process(program):
    program.start()
    first = program.pid()
    assert not program.start()
    assert program.pid() == first


def test_another_command_takes_the_place_of_the_running_one(program):
    program.start()
    first = program.pid()
    other = Background("files", [*program.command, "--protocol", "HTTP/1.1"], program.url)
    assert other.start()
    assert other.pid() != first


def test_stopping_what_does_not_run_is_no_error(program):
    assert not program.stop()


def test_a_pid_that_another_process_got_is_not_touched(program):
    record = {"pid": 1, "started": "another time", "command": []}
    program.pid_file.write_text(json.dumps(record))
    assert program.pid() is None
    assert not program.stop()


def test_a_program_that_ends_at_once_is_reported_with_its_last_words(program, port):
    broken = Background("broken", [sys.executable, "-c", "raise SystemExit('no luck')"], program.url)
    with pytest.raises(DidNotStart, match=r"ended with code 1(.|\n)*no luck"):
        broken.start()
