"""The table of the rollout: complete, drawn, and every row of it reached."""

from __future__ import annotations

from inference_operator import names
from inference_operator.reasons import Phase, Reason
from inference_operator.rollout import HELD, LANES, Step, diagram
from inference_operator.spec import parse, revision
from inference_operator.steps.table import IN_PLACE, ON_FLEET, ON_SCENE
from tests.operator.model_cluster import ModelCluster, spec

ROWS = [row for lane in LANES for row in lane.rows]


def test_every_step_stands_in_a_row_and_can_be_done():
    assert {row.step for row in ROWS} == set(Step)
    assert len({(row.phase, row.step, row.when) for row in ROWS}) == len(ROWS)
    assert set(ON_FLEET) | set(IN_PLACE) | set(ON_SCENE) == set(Step)


def test_what_is_held_is_part_of_the_table():
    assert set(HELD) <= set(LANES)


def test_every_reason_and_phase_is_one_word_in_camel_case():
    for word in [*Reason, *Phase]:
        assert word.isalpha()
        assert word[0].isupper()


def test_every_phase_of_the_table_leads_on():
    """No phase is a dead end: a person can leave even Failed and Ready by an order."""
    leave = {row.phase for row in ROWS if row.next is not row.phase}
    enter = {row.next for row in ROWS}
    assert enter <= leave


def test_the_diagram_draws_every_row():
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert len(lines) == 2 + len(ROWS)
    assert "    Preparing --> Promoting: promotable / promote" in lines


class Story:
    """A cluster and the steps that it has seen."""

    def __init__(self, wanted: dict | None = None) -> None:
        self.cluster = ModelCluster(wanted)
        self.steps: list[str] = []

    def until(self, step: str, rounds: int = 30) -> None:
        for _ in range(rounds):
            self.steps.append(self.cluster.round().step)
            if self.steps[-1] == step:
                return
        raise AssertionError(f"no {step} in {self.steps[-rounds:]}")


def of_fleets() -> set[str]:
    """They come, fail, drain and go."""
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
    cluster.edit(spec("7.0.0", rollout={"drainTimeoutSeconds": 20, "historyLimit": 0}))
    until("stop-overdue", rounds=60)
    until("forget")
    return set(story.steps)


def of_swaps_in_place() -> set[str]:
    def wanted(version, strategy="InPlace", **more):
        rollout = {"progressDeadlineSeconds": 60, "drainTimeoutSeconds": 20, "strategy": strategy}
        return spec(version, rollout=rollout | more)

    story = Story()
    cluster, until = story.cluster, story.until
    until("promote")
    until("")
    cluster.open_streams(1)
    cluster.edit(wanted("2.0.0"))
    until("load")
    cluster.edit(wanted("3.0.0", verification={"prompts": [{"prompt": "2+2="}]}))
    until("unload")
    until("verify-incoming")
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
    return set(story.steps)


def of_trials() -> set[str]:
    """A version is asked, approved, watched, and given up."""
    story = Story(spec("3.0.0"))
    cluster, until = story.cluster, story.until
    until("promote")
    golden = {"progressDeadlineSeconds": 60, "verification": {"prompts": [{"prompt": "2+2="}]}}
    cluster.wrong.add("4.0.0")
    cluster.edit(spec("4.0.0", rollout=golden))
    until("verify")
    until("reject")
    cluster.wrong.clear()
    four = revision(parse(cluster.spec))
    cluster.order(names.RETRY, four)
    until("retry")
    until("promote")
    until("order-drain")
    trial = {"analysis": {"seconds": 60, "maxErrorRate": 0.1}, "autoPromotion": False}
    cluster.edit(spec("5.0.0", rollout=trial))
    until("await-approval")
    five = revision(parse(cluster.spec))
    cluster.order(names.ABORT, five)
    until("abort")
    cluster.order(names.ABORT, None)
    cluster.edit(spec("5.0.0", rollout=trial | {"autoPromotion": True}))
    until("promote")
    until("order-drain")
    cluster.misbehave("5.0.0")
    until("condemn")
    until("recall")
    until("promote")
    cluster.edit(spec("6.0.0"))
    until("promote")
    until("order-drain")
    cluster.order(names.ROLLBACK, revision(parse(cluster.spec)))
    until("roll-back")
    until("promote")
    return set(story.steps)


def test_three_long_stories_take_every_step():
    assert (of_fleets() | of_swaps_in_place() | of_trials()) - {""} == set(Step)
