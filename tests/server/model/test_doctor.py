"""The doctor's figures: what a step reads, and advice that fits."""

from __future__ import annotations

import sys

import pytest

from realtime_serve import doctor
from realtime_serve.doctor import Facts, Measured, advise
from tests.support.tiny_models import SHAPE

FACTS = Facts(
    dtype="bfloat16",
    device="cpu",
    multiplies="bfloat16",
    native=True,
    cores=2,
    load=0.0,
    path="torch's attention",
    compiled=True,
)


def test_a_step_reads_every_weight_once_but_of_the_embeddings_a_row(tiny, load):
    _, oracle = tiny("llama")
    everything = sum(parameter.numel() for parameter in oracle.parameters()) * 4
    table = SHAPE["vocab_size"] * SHAPE["hidden_size"] * 4
    assert load(tiny("llama")[0]).step_bytes() == everything - table


def test_a_tied_table_is_read_whole_for_the_logits(tiny, load):
    _, oracle = tiny("llama-tied")
    assert load(tiny("llama-tied")[0]).step_bytes() == sum(p.numel() for p in oracle.parameters()) * 4


def test_it_tells_floor_step_and_share_of_a_model(tiny, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["doctor", "--model", str(tiny("llama")[0]), "--dtype", "float32"])
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # it sets this where nobody has
    monkeypatch.setattr(doctor, "CONTEXT", 20)
    monkeypatch.setattr(doctor, "STEPS", 2)
    assert doctor.main() == 0
    out = capsys.readouterr().out
    assert "GB/s" in out
    assert "decoding by torch's embedding bags; layers multiply in float32\n" in out
    assert [line.split()[0] for line in out.splitlines() if line.strip()[:1].isdigit()] == ["1", "8", "32"]


def test_a_model_that_is_not_there_is_told_in_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setattr(sys, "argv", ["doctor", "--model", str(tmp_path)])
    assert doctor.main() == 1
    assert "config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "rows", "said"),
    [
        ({"load": 3.0}, [], "something else used the processor"),
        ({"dtype": "float32"}, [], "halves the bytes"),
        ({"multiplies": ""}, [], "could not be packed"),
        ({"native": False}, [], "do not fit into float16"),
        ({"compiled": False}, [], "--compile on"),
        ({}, [Measured(1, 0.02, 0.002)], "leaves bandwidth unused"),
        ({}, [Measured(1, 0.002, 0.002), Measured(32, 0.03, 0.003)], "multiplications take over"),
        ({}, [Measured(1, 0.002, 0.002)], "nothing known"),
    ],
)
def test_advice_follows_from_what_was_seen(changes, rows, said):
    facts = Facts(**{**{name: getattr(FACTS, name) for name in Facts.__dataclass_fields__}, **changes})
    assert said in advise(facts, rows)[0]
