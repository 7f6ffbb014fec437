"""How an answer is judged, and how the result is written down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_operator.errors import InvalidSpec
from inference_operator.spec import parse
from inference_operator.spec.verification import Expect, GoldenPrompt
from inference_operator.verification import Answer, GateResult, Result, judge, read_result, write_result
from inference_operator.verification.mark import MARK_LENGTH


def answer(text: str, tokens: int = 5, ttft_ms: float = 50.0, total_ms: float = 250.0) -> Answer:
    return Answer(text=text, tokens=tokens, ttft_ms=ttft_ms, total_ms=total_ms)


def judged(text: str, **expect) -> GateResult:
    return judge("p", GoldenPrompt(prompt="?", expect=Expect(**expect)), "pod-1", answer(text))


@pytest.mark.parametrize(
    ("expect", "right", "wrong"),
    [
        ({"contains": "4"}, "it is 4.", "it is five"),
        ({"equals": "Yes."}, " Yes.\n", "Yes. Really."),
        ({"matches": r"\bParis\b"}, "in Paris, France", "Parisian"),
        ({"json": {"capital": "Rome"}}, '{"capital": "Rome", "people": 3}', '{"capital": "Oslo"}'),
        ({"json": {"a": {"b": [1, 2]}}}, '```json\n{"a": {"b": [1, 2], "c": 0}}\n```', '{"a": {"b": [1]}}'),
        ({"json": {"a": [1, {"x": None}]}}, '{"a": [1, {"x": null, "y": 2}]}', '{"a": [1, {"y": 2}]}'),
        ({"json": {"a": True}}, '{"a": true}', '{"a": 1}'),
        ({"json": {"a": 1}}, '{"a": 1}', '{"a": true}'),
        ({"json": {}}, "{}", "no JSON at all"),
        ({"json": {}}, "{}", "[" * 100_000),
    ],
)
def test_an_expectation_tells_right_from_wrong(expect, right, wrong):
    assert judged(right, **expect).passed
    found = judged(wrong, **expect)
    assert not found.passed
    assert found.message.startswith("pod pod-1: expected ")


def test_an_answer_that_is_late_or_slow_fails():
    late = GoldenPrompt(prompt="?", max_time_to_first_token_ms=40)
    slow = GoldenPrompt(prompt="?", min_tokens_per_second=30)
    assert "after 50 ms; at most 40 ms" in judge("p", late, "pod-1", answer("x")).message
    assert "20.0 tokens per second; at least 30" in judge("p", slow, "pod-1", answer("x")).message
    assert judge("p", slow, "pod-1", answer("x", tokens=20)).passed


def test_a_pattern_that_takes_ages_elsewhere_takes_no_time():
    assert not judged("a" * 60_000 + "!", matches="(a+)+$").passed


def test_any_answer_will_do_where_nothing_is_expected():
    assert judge("p", GoldenPrompt(prompt="?"), "pod-1", answer("")).passed


@pytest.mark.parametrize(
    "expect", [{}, {"contains": "a", "equals": "b"}, {"matches": "(?=a)"}, {"matches": "("}]
)
def test_an_expectation_that_makes_no_sense_is_an_invalid_spec(expect):
    verification = {"prompts": [{"prompt": "?", "expect": expect}]}
    raw = {"model": {"uri": "hf://a/b", "version": "1"}, "rollout": {"verification": verification}}
    with pytest.raises(InvalidSpec) as caught:
        parse(raw)
    assert caught.value.path == "spec.rollout.verification.prompts[0].expect"


gates = st.builds(
    GateResult,
    name=st.text(max_size=40),
    passed=st.booleans(),
    message=st.text(max_size=400),
    answer=st.text(max_size=200),
    ttft_ms=st.none() | st.floats(0, 1e6),
)


@given(st.lists(gates, max_size=4))
def test_a_result_is_read_as_it_was_written(found):
    result = read_result(write_result(Result(subject="s", gates=tuple(found))))
    assert [(gate.name, gate.passed) for gate in result.gates] == [(g.name, g.passed) for g in found]


def test_a_result_of_many_gates_fits_into_its_annotation():
    many = tuple(
        GateResult(
            name=f"{'n' * 36}-{number}", passed=number > 3, message="m" * 500, answer="a" * 200, ttft_ms=1.0
        )
        for number in range(33)
    )
    text = write_result(Result(subject="s", gates=many))
    assert len(text) <= MARK_LENGTH
    assert [gate.passed for gate in read_result(text).gates] == [gate.passed for gate in many]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"spec": 1}', '{"gates": []}'])
def test_a_mark_that_a_hand_garbled_is_none(text):
    assert read_result(text) is None
