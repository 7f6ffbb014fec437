"""The table of the rollout: complete, drawn, and every row of it reached."""

from __future__ import annotations

from inference_operator.reasons import Phase, Reason
from inference_operator.rollout import HELD, LANES, Step, diagram
from inference_operator.steps import _ON_FLEET
from tests.operator.model_cluster import ModelCluster, spec

ROWS = [row for lane in LANES for row in lane.rows]


def test_every_step_stands_in_one_row_and_can_be_done():
    assert sorted(row.step for row in ROWS) == sorted(Step)
    assert set(_ON_FLEET) | {Step.CREATE} == set(Step)


def test_what_is_held_is_part_of_the_table():
    assert set(HELD) <= set(LANES)


def test_every_reason_and_phase_is_one_word_in_camel_case():
    for word in [*Reason, *Phase]:
        assert word.isalpha()
        assert word[0].isupper()


def test_every_phase_of_the_table_leads_on():
    """No phase is a dead end but Failed, which a new ask leaves, and Ready."""
    leave = {row.phase for row in ROWS if row.next is not row.phase}
    enter = {row.next for row in ROWS}
    assert enter - leave == {Phase.FAILED, Phase.READY}


def test_the_diagram_draws_every_row():
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) == 2 + len(ROWS)
    assert "    Preparing --> Promoting: promotable / promote" in lines


def test_one_long_story_takes_every_step():
    cluster, steps = ModelCluster(), []

    def until(step, rounds=30):
        for _ in range(rounds):
            steps.append(cluster.round().step)
            if steps[-1] == step:
                return
        raise AssertionError(f"no {step} in {steps[-rounds:]}")

    until("promote")
    until("")
    cluster.open_streams(1)
    cluster.edit(spec("2.0.0"))
    until("order-drain")
    old = next(iter(cluster.fleets.values()))
    old.pods.clear()
    cluster.tick()
    until("tell-pods")
    until("mark-drained")
    old.pods[0].streams = 1
    until("unmark-drained")
    old.pods[0].streams = 0
    until("stop-drained")
    cluster.broken.add("1.0.0")
    cluster.edit(spec("1.0.0"))
    until("revive")
    cluster.edit(spec("1.0.0", replicas=2))
    until("resize")
    cluster.broken.add("3.0.0")
    cluster.edit(spec("3.0.0"))
    until("stop-superseded")
    until("create")
    cluster.tick(60)
    until("fail")
    cluster.delete_service("chat")
    until("restore")
    cluster.open_streams(1)
    cluster.edit(spec("4.0.0", rollout={"drainTimeoutSeconds": 20, "historyLimit": 0}))
    until("stop-overdue", rounds=60)
    until("forget")
    assert set(steps) - {""} == set(Step)
