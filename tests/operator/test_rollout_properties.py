"""Whatever happens, in whatever order: the promises that a rollout keeps.

Which promise is held where (`watched`: on each action, as the API server would take it; `machine`: below, after each
rule; `rest`: in `check_rest`, when faults have stopped; a plan from an old observation is held to those with a star):

| | promise | held by |
|---|---|---|
| 1 | traffic moves only to ready endpoints | watched `_flipped_only_to_ready` |
| 2 | the selector names one fleet that is there, the preview one too | machine `the_selector_names_...` *, rest |
| 3 | the active fleet never shrinks for a rollout | watched `_shrank_only_by_...`, `_stopped_only_...` |
| 4 | nothing is stopped before its streams or its time end | watched `_stopped_only_...`, `_dropped_only_...` * |
| 5 | only what is asked for and has not failed is promoted | watched `_flipped_only_to_ready` |
| 6 | approval of one revision promotes no other | watched `_proved_and_approved` |
| 7 | when faults stop, the version asked for comes to serve | machine `teardown` |
| 8 | then nothing is left to do | rest |
| 9 | a kill between two actions costs only time | rule `the_operator_is_killed_...`, `test_rollout_ends` |
| 10 | old observations do no harm | rule `a_plan_is_made_from_an_old_observation` |
| 11 | what is not ours is not touched | watched `_touched_only_what_is_ours` * |
| 12 | nothing is made once the model is being deleted | watched `_touched_only_what_is_ours`, `test_rollout_ends` |
| 13 | a rollout that fails leaves the active fleet as it was | `test_rollout_ends` |
| 14 | the observed generation neither runs ahead nor goes back | machine `the_observed_generation_...` * |
| 15 | the same event twice changes nothing | rule `a_plan_is_carried_out_twice` |
| 16 | budgets and policies are those of fleets that live | rest |
| 17 | one fleet is active, at most one prepared, the others drain | machine `at_most_one_fleet_...` |
| 18 | a status is written once for each change | watched `round`, `settle` |
| 19 | an HTTPRoute that cannot be made changes nothing else | machine `nothing_waits_for_the_route` * |
| 20 | it is there when it is asked for, and never forgotten | rest |

RTS_EXAMPLES=2000 makes a long campaign of it.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inference_operator import names
from inference_operator.actions import Plan
from inference_operator.cluster.routes import FORBIDDEN, MISSING
from inference_operator.plan import plan
from inference_operator.spec import parse, revision
from tests.operator.model_cluster import ModelCluster
from tests.operator.watched_cluster import DRAIN_TIMEOUT, WatchedCluster
from tests.operator.wishes import EXAMPLES, TAKEN, VERSIONS, wanted

ROUNDS = 400


class Rollouts(RuleBasedStateMachine):
    """People, faults and the operator take turns."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = WatchedCluster()
        self.old = [self.cluster.observe()]
        self.lagged = False
        self.generation = 0

    @initialize(first=wanted())
    def begin(self, first):
        self.cluster.edit(first)

    @rule(asked=wanted(by_hand=True), rounds=st.integers(0, 25))
    def edit(self, asked, rounds):
        self.cluster.edit(asked)
        self.rounds(rounds)

    @rule(count=st.integers(1, 25))
    def rounds(self, count):
        for _ in range(count):
            self._remember()
            self.cluster.round()

    @rule(stop_after=st.integers(0, 5))
    def the_operator_is_killed_between_two_actions(self, stop_after):
        self._remember()
        self.cluster.carry_out(plan(self.cluster.observe()), stop_after=stop_after)

    @rule()
    def a_plan_is_carried_out_twice(self):
        self._remember()
        made = plan(self.cluster.observe())
        self.cluster.carry_out(made)
        self.cluster.carry_out(made, stop_after=len(made.actions))

    @rule(lag=st.integers(1, 4))
    def a_plan_is_made_from_an_old_observation(self, lag):
        self.lagged = True
        made = plan(self.old[-min(lag, len(self.old))])
        self.cluster.fresh = False
        self.cluster.carry_out(made, stop_after=len(made.actions))
        self.cluster.fresh = True

    @rule(seconds=st.sampled_from([1, 45, DRAIN_TIMEOUT]))
    def time_passes(self, seconds):
        self.cluster.tick(seconds)

    @rule(count=st.integers(0, 3))
    def clients_come_or_streams_end(self, count):
        if count:
            self.cluster.open_streams(count)
        else:
            self.cluster.finish_streams()

    @rule(version=st.sampled_from([*VERSIONS, None]))
    def a_version_breaks_or_all_are_mended(self, version):
        if version:
            self.cluster.broken.add(version)
        else:
            self.cluster.broken.clear()

    @rule(version=st.sampled_from([*VERSIONS, None]))
    def a_version_answers_nonsense_or_all_are_sane(self, version):
        if version:
            self.cluster.wrong.add(version)
        else:
            self.cluster.wrong.clear()

    @rule(version=st.sampled_from(VERSIONS), errors=st.sampled_from([0, 20]))
    def a_version_fails_requests_or_does_not(self, version, errors):
        self.cluster.misbehave(version, errors=errors)

    @rule(verb=st.sampled_from(names.VERBS), index=st.integers(0, 4))
    def a_person_gives_an_order_or_takes_it_off(self, verb, index):
        known = [revision(parse(self.cluster.spec)), *(f.revision for f in self.cluster.observe().fleets)]
        self.cluster.order(verb, known[index] if index < len(known) else None)

    @rule(on=st.booleans(), rounds=st.integers(0, 5))
    def a_person_suspends_or_resumes(self, on, rounds):
        self.cluster.edit(self.cluster.spec | {"suspend": on})
        self.rounds(rounds)

    @rule(pods=st.sampled_from([1, 2, 4, 6, 1000]), known=st.booleans())
    def capacity_comes_and_goes(self, pods, known):
        self.cluster.capacity, self.cluster.room_is_known = pods, known

    @rule(slow=st.booleans())
    def endpoints_lag_behind(self, slow):
        self.cluster.endpoints_stand_still = slow

    @rule(version=st.sampled_from([*VERSIONS, None]))
    def a_version_grows_or_all_shrink(self, version):
        if version:
            self.cluster.heavy.add(version)
        else:
            self.cluster.heavy.clear()

    @rule(index=st.integers(0, 9), what=st.sampled_from(["dies", "falls silent", "answers"]))
    def a_pod_has_a_fault(self, index, what):
        if what == "dies":
            self.cluster.kill_pod(index)
        else:
            self.cluster.silence_pod(index, reachable=what == "answers")

    @rule(name=st.sampled_from(["chat", "chat-preview"]), index=st.integers(0, 9))
    def somebody_deletes_a_child(self, name, index):
        self.lagged = True
        maps = [key for key in self.cluster.children if key[0] == "ConfigMap"]
        if maps and index:
            del self.cluster.children[maps[index % len(maps)]]
        else:
            self.cluster.delete_service(name)

    @rule(index=st.integers(0, 9))
    def a_node_is_lost(self, index):
        if pods := self.cluster._pods():
            self.cluster.lose_node(pods[index % len(pods)])

    @rule()
    def pods_of_lost_nodes_are_to_be_deleted(self):
        self.cluster.evict_lost()

    @rule(place=st.sampled_from(TAKEN), copied=st.booleans())
    def a_stranger_takes_a_name_that_is_free(self, place, copied):
        """With our labels, where somebody copied a manifest of ours."""
        kind, name = place
        if place not in self.cluster.children and not (kind == "Deployment" and name in self.cluster.fleets):
            labels = names.fleet_labels("chat", name.removesuffix("-settings"), "copied") if copied else {}
            self.cluster.foreign(kind, name, labels)

    @rule()
    def strangers_go(self):
        for place in [place for place, child in self.cluster.children.items() if not child.ours]:
            del self.cluster.children[place]

    @rule(
        obstacle=st.sampled_from([None, None, MISSING, FORBIDDEN]),
        refused=st.sampled_from(["", "", "by a webhook"]),
        answered=st.booleans(),
    )
    def the_gateway_api_comes_and_goes(self, obstacle, refused, answered):
        self.cluster.route_obstacle, self.cluster.route_refused = obstacle, refused
        self.cluster.gateways_answer = answered

    @invariant()
    def nothing_waits_for_the_route(self):
        seen = self.cluster.observe()
        others = tuple(child for child in seen.children if child.kind != "HTTPRoute")
        without = replace(seen, children=others, route_obstacle=MISSING)
        assert but_the_route(plan(without)) == but_the_route(plan(seen))

    @precondition(lambda self: not self.lagged)
    @invariant()
    def at_most_one_fleet_is_being_prepared(self):
        fleets = self.cluster.observe().fleets
        previews = [
            fleet.name
            for fleet in fleets
            if fleet.replicas
            and names.PROMOTING not in fleet.annotations
            and fleet.name != self.cluster.active
        ]
        assert len(previews) <= 1, previews

    @invariant()
    def the_selector_names_a_fleet_that_is_there(self):
        assert self.cluster.active in {"", *self.cluster.fleets}

    @invariant()
    def the_observed_generation_never_goes_back(self):
        seen = self.cluster.status.get("observedGeneration", 0)
        assert self.generation <= seen <= self.cluster.generation
        self.generation = seen

    def teardown(self):
        """When faults stop, the version asked for comes to serve, and then nothing is left to do."""
        cluster = self.cluster
        cluster.endpoints_stand_still = False
        cluster.route_obstacle, cluster.route_refused, cluster.gateways_answer = None, "", True
        self.strangers_go()
        for fleet in cluster.fleets.values():
            fleet.pods = [pod for pod in fleet.pods if not pod.node_lost]
        cluster.broken.clear()
        cluster.wrong.clear()
        cluster.heavy.clear()
        for version in VERSIONS:
            cluster.misbehave(version, errors=0)
        cluster.edit(cluster.spec | {"suspend": False})
        cluster.annotations = {names.PROMOTE: revision(parse(cluster.spec))}
        cluster.capacity = 1000
        for index in range(len(cluster._pods())):
            cluster.silence_pod(index, reachable=True)
        cluster.finish_streams()
        if cluster.settle(ROUNDS).status["phase"] == "Failed":
            cluster.edit(cluster.spec | {"limits": {"maxQueue": 77}})
            cluster.order(names.PROMOTE, revision(parse(cluster.spec)))
            cluster.settle(ROUNDS)
        check_rest(cluster)

    def _remember(self):
        self.old = [*self.old[-3:], self.cluster.observe()]


def but_the_route(made: Plan):
    """All that a plan says and does of anything else."""
    if made.status is None:
        return made.actions, made.events
    others = [each for each in made.status["conditions"] if each["type"] != "RouteAccepted"]
    return made.actions, made.events, made.step, {**made.status, "conditions": others}


def check_rest(cluster: ModelCluster) -> None:
    size, scaling = cluster.spec.get("replicas", 1), cluster.spec.get("autoscaling")
    if scaling and size:
        size = min(size, scaling["maxReplicas"]) if scaling.get("external") else 1
    assert cluster.status["phase"] == "Ready", cluster.status
    assert cluster.status["active"]["version"] == cluster.spec["model"]["version"]
    assert cluster.running == ({cluster.active: size} if size else {})
    assert plan(cluster.observe()).actions == ()
    preview = cluster.children["Service", "chat-preview"].content["spec"]["selector"]
    assert preview[names.LABEL_FLEET] == cluster.active
    children = {kind: {name for k, name in cluster.children if k == kind} for kind, _ in cluster.children}
    assert children["PodDisruptionBudget"] == {names.disruption_budget(cluster.active)}
    assert children["ConfigMap"] <= {names.settings(fleet) for fleet in cluster.fleets}
    assert names.settings(cluster.active) in children["ConfigMap"]
    assert children["NetworkPolicy"] == {"chat-pods"}
    routed = "httpRoute" in cluster.spec.get("service", {})
    assert children.get("HTTPRoute", set()) == ({"chat"} if routed else set())
    conditions = {each["type"]: each["status"] for each in cluster.status["conditions"]}
    assert conditions.get("RouteAccepted") == ("True" if routed else None)


Rollouts.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
test_rollouts_keep_their_promises = Rollouts.TestCase
