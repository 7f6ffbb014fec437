"""The table of the rollout: complete, drawn, and every row of it reached."""

from __future__ import annotations

from inference_operator.reasons import Phase, Reason
from inference_operator.rollout import HELD, LANES, Step, diagram
from inference_operator.steps import _IN_PLACE, _ON_FLEET, _ON_SCENE
from tests.operator.model_cluster import ModelCluster, spec

ROWS = [row for lane in LANES for row in lane.rows]


def test_every_step_stands_in_one_row_and_can_be_done():
    assert sorted(row.step for row in ROWS) == sorted(Step)
    assert set(_ON_FLEET) | set(_IN_PLACE) | set(_ON_SCENE) == set(Step)


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


class Story:
    """A cluster and the steps taken in it so far."""

    def __init__(self) -> None:
        self.cluster, self.steps = ModelCluster(), []

    def until(self, step, rounds=30):
        for _ in range(rounds):
            self.steps.append(self.cluster.round().step)
            if self.steps[-1] == step:
                return
        raise AssertionError(f"no {step} in {self.steps[-rounds:]}")


def test_one_long_story_takes_every_step_of_fleets_beside_each_other():
    story = Story()
    cluster, until = story.cluster, story.until
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
    assert set(story.steps) - {""} == set(_ON_FLEET) | {Step.CREATE}


def test_another_takes_every_step_of_swaps_in_place_and_of_making_way():
    def wanted(version, strategy="InPlace"):
        rollout = {"progressDeadlineSeconds": 60, "drainTimeoutSeconds": 20, "strategy": strategy}
        return spec(version, rollout=rollout)

    story = Story()
    cluster, until = story.cluster, story.until
    until("promote")
    until("")
    cluster.open_streams(1)
    cluster.edit(wanted("2.0.0"))
    until("load")
    cluster.edit(wanted("3.0.0"))
    until("unload")
    until("switch")
    until("drain-version")
    cluster.edit(wanted("1.0.0"))
    until("switch-back")
    until("drain-version")
    until("mark-idle")
    pod = cluster.fleets[cluster.active].pods[0]
    pod.older["3.0.0"] = 1
    until("unmark-idle")
    pod.older.clear()
    until("drop-drained")
    cluster.heavy.add("4.0.0")
    cluster.edit(wanted("4.0.0"))
    until("make-way")
    until("load-alone")
    cluster.finish_streams()
    until("switch")
    cluster.broken.add("5.0.0")
    cluster.heavy.clear()
    cluster.edit(wanted("5.0.0"))
    until("give-up")
    cluster.open_streams(1)
    cluster.edit(wanted("6.0.0"))
    until("drop-overdue", rounds=60)
    cluster.edit(wanted("7.0.0", "Recreate"))
    until("recreate")
    assert set(story.steps) >= set(_IN_PLACE) | {Step.LOAD, Step.RECREATE}
