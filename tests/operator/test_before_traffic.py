"""What a new version goes through before it gets traffic: golden prompts and approval."""

from __future__ import annotations

import pytest

from inference_operator import names
from inference_operator.actions import Verify
from tests.operator.trials import (
    BY_HAND,
    GOLDEN,
    V1,
    V2,
    V3,
    active,
    asked,
    condition,
    fleet_of,
    revision_of,
    serving,
    until,
)


class TestGoldenPrompts:
    def test_no_traffic_moves_before_they_are_answered(self):
        cluster = serving(**GOLDEN)
        cluster.edit(asked(V2, **GOLDEN))
        seen = []
        while active(cluster) == V1:
            seen.append(cluster.round().step)
        assert seen[-2:] == ["verify", "promote"]

    def test_an_answer_is_an_event_and_a_gate(self):
        cluster = serving(**GOLDEN)
        cluster.edit(asked(V2, **GOLDEN))
        events = []
        while active(cluster) == V1:
            made = cluster.round()
            events += [event.reason for event in made.events]
        assert events == ["FleetCreated", "VerificationStarted", "Promoted", "Verified"]
        gate = next(g for g in made.status["target"]["gates"] if g["name"] == "golden-sum")
        assert (gate["passed"], gate["answer"], gate["ttftMs"]) == (True, "4", 9.0)

    def test_a_wrong_answer_fails_the_rollout_and_what_serves_is_not_touched(self):
        cluster = serving(**GOLDEN)
        cluster.wrong.add(V2)
        cluster.edit(asked(V2, **GOLDEN))
        until(cluster, "Failed")
        assert active(cluster) == V1
        assert fleet_of(cluster, V2).replicas == 0
        assert condition(cluster, "Verified")["reason"] == "VerificationFailed"
        assert "gate sum: answered" in condition(cluster, "Progressing")["message"]
        assert not any("flip" in line for line in cluster.log[-12:])

    def test_a_pod_that_is_replaced_is_judged_anew(self):
        cluster = serving(**GOLDEN, **BY_HAND)
        cluster.edit(asked(V2, **GOLDEN, **BY_HAND))
        until(cluster, "AwaitingApproval")
        cluster.wrong.add(V2)
        fleet_of(cluster, V2).pods.clear()
        until(cluster, "Failed")
        assert condition(cluster, "Progressing")["reason"] == "VerificationFailed"

    def test_a_pod_that_restarts_is_judged_anew(self):
        cluster = serving(**GOLDEN, **BY_HAND)
        cluster.edit(asked(V2, **GOLDEN, **BY_HAND))
        until(cluster, "AwaitingApproval")
        fleet_of(cluster, V2).pods[0].restarts = 1
        assert cluster.round().step == "verify"

    def test_a_verification_that_was_lost_is_begun_again_by_the_next_operator(self):
        cluster = serving(**GOLDEN)
        cluster.edit(asked(V2, **GOLDEN))
        while cluster.round().step != "verify":
            pass
        cluster.questions.clear()
        fleet_of(cluster, V2).annotations.pop(names.VERIFICATION, None)
        made = cluster.round()
        assert (made.step, cluster.log[-1].split()[0]) == ("", "ask")
        cluster.settle()
        assert active(cluster) == V2

    def test_prompts_of_a_config_map_are_asked(self):
        source = {"verification": {"promptsFrom": {"configMapKeyRef": {"name": "golden", "key": "p"}}}}
        cluster = serving()
        cluster.prompts = {"p": "- {prompt: hi, name: greeting}"}
        cluster.edit(asked(V2, **source))
        made = [cluster.round() for _ in range(10)]
        asked_for = [action.asked for each in made for action in each.actions if isinstance(action, Verify)]
        assert [name for name, _ in asked_for[0].named()] == ["greeting"]
        cluster.settle()
        assert active(cluster) == V2

    @pytest.mark.parametrize(
        ("texts", "problem"),
        [
            (None, "no such ConfigMap"),
            ({"q": ""}, "the ConfigMap has q"),
            ({"p": "{"}, "is no YAML"),
            ({"p": "- {prompt: hi, expect: {equal: x}}"}, "unknown field `equal` - at `$[0].expect`"),
            ({"p": "- &a {prompt: hi}\n- *a"}, "uses a YAML alias"),
            ({"p": "[" * 60_000}, "lists and objects within each other"),
            ({"p": "- {prompt: hi, expect: {matches: '('}}"}, "RE2"),
            (
                {"p": "- {prompt: hi, name: a}\n- {prompt: ho, name: a}"},
                "prompts named a appear more than once",
            ),
        ],
    )
    def test_prompts_that_cannot_be_read_hold_the_rollout_and_say_why(self, texts, problem):
        source = {"verification": {"promptsFrom": {"configMapKeyRef": {"name": "golden", "key": "p"}}}}
        cluster = serving()
        cluster.prompts = texts
        cluster.edit(asked(V2, **source))
        for _ in range(6):
            cluster.round()
        told = condition(cluster, "Progressing")
        assert told["reason"] == "PromptsUnreadable"
        assert problem in told["message"]
        assert active(cluster) == V1


class TestApproval:
    def test_without_it_nothing_moves_and_the_command_is_told(self):
        cluster = serving(**BY_HAND)
        wanted = asked(V2, **BY_HAND)
        cluster.edit(wanted)
        until(cluster, "AwaitingApproval")
        cluster.tick(10_000)
        for _ in range(4):
            cluster.round()
        assert (active(cluster), cluster.status["phase"]) == (V1, "AwaitingApproval")
        command = f"kubectl annotate --overwrite im -n default chat {names.PROMOTE}={revision_of(wanted)}"
        assert command in condition(cluster, "Progressing")["message"]

    def test_it_moves_the_traffic(self):
        cluster = serving(**BY_HAND)
        cluster.edit(asked(V2, **BY_HAND))
        until(cluster, "AwaitingApproval")
        cluster.order(names.PROMOTE, revision_of(cluster.spec))
        assert cluster.round().step == "promote"

    def test_that_of_another_revision_does_nothing_and_says_so_once(self):
        cluster = serving(**BY_HAND)
        cluster.edit(asked(V2, **BY_HAND))
        until(cluster, "AwaitingApproval")
        cluster.edit(asked(V3, **BY_HAND))
        cluster.order(names.PROMOTE, revision_of(asked(V2)))
        events = [event for _ in range(20) for event in cluster.round().events]
        assert [event.reason for event in events].count("VerbIgnored") == 1
        assert (active(cluster), cluster.status["phase"]) == (V1, "AwaitingApproval")
        assert cluster.status["orders"][0]["heeded"] is False

    def test_silence_is_consent_after_the_seconds_that_are_asked_for(self):
        soon = BY_HAND | {"autoPromotionSeconds": 20}
        cluster = serving(**BY_HAND)
        cluster.edit(asked(V2, **soon))
        until(cluster, "AwaitingApproval")
        cluster.round(seconds=15)
        assert active(cluster) == V1
        cluster.round(seconds=6)
        cluster.round()
        assert active(cluster) == V2
