"""Which way a decode step goes: by the device, and by what its rows ask for."""

from __future__ import annotations

import sys

import pytest
import torch

from realtime_serve.engine.batch import Batch, Row
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from realtime_serve.model import paths
from realtime_serve.model.attention import TORCH, Way, attend_rows
from realtime_serve.model.bags import BAGS
from realtime_serve.model.capture import CudaGraphs, Eager
from realtime_serve.model.captured import is_plain
from realtime_serve.model.paths import KernelsWrong, pick_capture, pick_way, try_out
from realtime_serve.model.triton_decode import TritonDecode
from tests.support.driving import GREEDY, Driver

TRITON = Way("Triton's attention", TritonDecode(256), is_ragged=True)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def row(sampling: Sampling = GREEDY, *, stop_ids: tuple[int, ...] = (), generated: int = 3) -> Row:
    sequence = Sequence(1, [1, 2, 3], 50, sampling, frozenset(stop_ids), 1, 0.0, generated=[5] * generated)
    return Row(sequence, sequence.length - 1, [5], samples=True)


PLAIN = {
    "greedy": row(),
    "a temperature": row(Sampling(temperature=0.7, seed=3)),
    "greedy, where filters change nothing": row(Sampling(temperature=0.0, top_p=0.5, top_k=3, min_p=0.1)),
    "enough tokens for a stop": row(Sampling(temperature=0.0, min_tokens=3), stop_ids=(7,)),
    "no stop to hold back": row(Sampling(temperature=0.0, min_tokens=9)),
}
OTHER = {
    "top_p": row(Sampling(top_p=0.9)),
    "top_k": row(Sampling(top_k=5)),
    "min_p": row(Sampling(min_p=0.1)),
    "presence": row(Sampling(temperature=0.0, presence_penalty=0.1)),
    "frequency": row(Sampling(temperature=0.0, frequency_penalty=0.1)),
    "repetition": row(Sampling(temperature=0.0, repetition_penalty=1.1)),
    "bias": row(Sampling(temperature=0.0, logit_bias={1: 1.0})),
    "logprobs": row(Sampling(temperature=0.0, logprobs=0)),
    "grammar": row(Sampling(temperature=0.0, grammar="{}")),
    "a stop that comes too early": row(Sampling(temperature=0.0, min_tokens=4), stop_ids=(7,)),
}


@pytest.mark.parametrize("some", PLAIN.values(), ids=PLAIN)
def test_greedy_rows_and_draws_by_temperature_are_captured(some):
    assert is_plain(Batch([row(), some], decoding=2), most=2, longest=6)


@pytest.mark.parametrize("some", OTHER.values(), ids=OTHER)
def test_one_row_that_asks_for_more_sends_all_the_ordinary_way(some):
    assert not is_plain(Batch([row(), some], decoding=2), most=2, longest=6)


def test_prompts_and_rows_too_many_or_too_long_go_the_ordinary_way():
    assert is_plain(Batch([row(), row()], decoding=2), most=2, longest=6)
    assert not is_plain(Batch([row(), row()], decoding=1), most=2, longest=6)
    assert not is_plain(Batch([row(), row()], decoding=2), most=1, longest=6)
    assert not is_plain(Batch([row(), row()], decoding=2), most=2, longest=5)
    assert not is_plain(Batch([], decoding=0), most=2, longest=6)


def test_a_processor_sums_bags_and_captures_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "realtime_serve.model.triton_decode", None)  # its import would raise
    assert pick_way(CPU, 256) is BAGS
    assert pick_capture(CPU, BAGS) is None


def test_another_device_uses_torchs_attention():
    assert pick_way(torch.device("xpu"), 256) is TORCH


def test_a_gpu_without_triton_goes_on_without_it_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "realtime_serve.model.triton_decode", None)
    assert pick_way(CUDA, 256) is TORCH
    assert pick_capture(CUDA, TORCH) is None
    assert [record.message for record in caplog.records] == ["decoding without Triton's kernels"]
    assert (
        "ImportError" in caplog.records[0].fields["reason"]
        or "ModuleNotFound" in caplog.records[0].fields["reason"]
    )


def test_a_gpu_on_which_the_kernels_cannot_start_goes_on_without_them(monkeypatch, caplog):
    def no_compiler(way, device):
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(paths, "try_out", no_compiler)
    assert pick_way(CUDA, 256) is TORCH
    assert caplog.records[0].fields["reason"] == "RuntimeError: Failed to find C compiler"


def test_a_gpu_that_computes_them_rightly_uses_them(monkeypatch):
    monkeypatch.setattr(paths, "try_out", lambda way, _: try_out(way, CPU))  # interpreted
    way = pick_way(CUDA, 256)
    assert way == TRITON
    assert isinstance(pick_capture(CUDA, way), CudaGraphs)


def test_kernels_that_answer_otherwise_are_found_out():
    def wrong(rows, new, cached, how):
        found = attend_rows(rows, new, cached, how)
        found[-1] *= 1.1
        return found

    with pytest.raises(KernelsWrong, match="differ"):
        try_out(Way("wrong", wrong), CPU)


def test_a_model_says_the_same_through_the_kernels_captured_or_not(tiny, load):
    runner = load(tiny("mistral-window")[0], capture=Eager())
    captured, runner.captured = runner.captured, None
    assert runner.path == "torch's attention"
    wanted = say(runner)
    runner._attention.way = TRITON
    assert runner.path == "Triton's attention"
    assert say(runner) == wanted
    runner.captured = captured
    assert runner.path == "captured steps over Triton's attention"
    assert say(runner) == wanted
    assert captured.kept.keys() >= {(4, False)}


def say(runner) -> list[list[int]]:
    driver = Driver(runner)
    for length in (1, 14, 37):
        driver.add([length + place for place in range(length)], 5)
    driver.finish()
    return [outcome.tokens for outcome in driver.outcomes.values()]
