"""Whatever happens, in whatever order: the promises that a rollout keeps."""

from __future__ import annotations

from datetime import datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inference_operator import names
from inference_operator.actions import Action, Delete, Flip, PatchFleet
from inference_operator.observed import Fleet, Observed
from inference_operator.plan import plan
from inference_operator.spec import parse, revision
from tests.operator.model_cluster import ModelCluster, _rank, spec

VERSIONS = ("1.0.0", "2.0.0", "3.0.0")
ROUNDS = 400
DRAIN_TIMEOUT = 120
SCALING = {"maxReplicas": 4, "targetActiveStreams": 2, "scaleDownStabilizationSeconds": 5}


class WatchedCluster(ModelCluster):
    """Holds each action that the API server would accept against the promises."""

    zero_was_asked = False
    fresh = True
    """The plan was made from what is there now."""

    def __init__(self) -> None:
        super().__init__()
        self.had_traffic: set[str] = set()
        """Fleets (uid) that were active and not stopped since: they may have streams."""
        self.proved: set[tuple[str, str]] = set()
        """(version, pod uid) that answered golden prompts as expected."""

    def _answer(self) -> None:
        uids = {pod.name: pod.uid for pod in self._pods()}
        for asked in self.questions:
            found = {(asked.version, uids[pod.name]) for pod in asked.pods if pod.name in uids}
            self.proved = self.proved - found if asked.version in self.wrong else self.proved | found
        super()._answer()

    def edit(self, wanted):
        self.zero_was_asked |= wanted["replicas"] == 0
        super().edit(wanted)

    def act(self, action: Action) -> None:
        before, streams = self.observe(), {pod.uid: pod.streams for pod in self._pods()}
        active = self.active
        super().act(action)
        match action:
            case Flip(selector=selector):
                self._flipped_only_to_ready(before, selector[names.LABEL_FLEET])
                self.had_traffic.add(self.fleets[selector[names.LABEL_FLEET]].uid)
            case PatchFleet(annotations={names.FLEET_VERSION: str()} as marks, fleet=name):
                self._switched_only_to_what_every_pod_has(before, name, marks[names.FLEET_VERSION])
            case PatchFleet(annotations={names.OUTGOING: None} as marks, fleet=name) if len(marks) == 1:
                self._dropped_only_what_has_no_streams(before, name)
            case PatchFleet(annotations={names.RECREATE: str()}):
                assert self.spec["rollout"]["strategy"] == "Recreate" or not self.fresh
            case PatchFleet(annotations={names.DRAIN_STARTED: str()}) if self.fresh:
                self._told_to_drain_only_behind_a_successor(before, active)
            case PatchFleet(fleet=name, replicas=int() as size) if name == active and size:
                self._shrank_only_by_pods_that_are_done(before, streams, name, size)
            case PatchFleet(fleet=name, replicas=0):
                self._stopped_only_what_may_stop(before, streams, active, name)
            case Delete(kind="Deployment", name=name):
                assert name != active
                assert all(fleet.replicas == 0 for fleet in before.fleets if fleet.name == name)

    def _shrank_only_by_pods_that_are_done(self, before: Observed, streams, name, size) -> None:
        """The pods that the Deployment's controller will take have no streams, or had their time."""
        fleet = self.fleets[name]
        gone = sorted(fleet.pods, key=_rank)[: max(len(fleet.pods) - size, 0)]
        for pod in gone:
            told = pod.annotations.get(names.RETIRE)
            overdue = told and (before.now - datetime.fromisoformat(told)).total_seconds() >= DRAIN_TIMEOUT
            never_served = not pod.ready and not streams[pod.uid]
            assert overdue or never_served or not self.fresh, f"{pod.name} was cut"
        if any(
            f.drain_started is None and f.promoted_at for f in before.fleets if f.name != name and f.replicas
        ):
            assert size >= next(f.replicas for f in before.fleets if f.name == name) or not self.fresh

    def _switched_only_to_what_every_pod_has(self, before: Observed, name: str, version: str) -> None:
        fleet = next(fleet for fleet in before.fleets if fleet.name == name)
        if self.fresh:
            self._proved_and_approved(fleet, version)
        states = [pod.report.version(version) for pod in fleet.live_pods if pod.report]
        assert states or not self.fresh
        assert all(state and state.state == "ready" for state in states) or not self.fresh

    def _dropped_only_what_has_no_streams(self, before: Observed, name: str) -> None:
        fleet = next(fleet for fleet in before.fleets if fleet.name == name)
        told = datetime.fromisoformat(fleet.outgoing.drain_started)
        overdue = (before.now - told).total_seconds() >= DRAIN_TIMEOUT
        version = fleet.outgoing.weights.version
        assert overdue or not any(pod.older.get(version) for pod in self.fleets[name].pods), version

    def _flipped_only_to_ready(self, before: Observed, name: str) -> None:
        """Of a plan from an old observation only that it does not harm: pods may have died since."""
        fleet = next(fleet for fleet in before.fleets if fleet.name == name)
        back = names.RECALLED in fleet.annotations and had_an_active_fleet(before)
        if (fleet.promoted_at and not back) or not self.fresh:
            return
        if names.PROMOTING in fleet.annotations and not had_an_active_fleet(before):
            assert fleet.ready_pods
            return
        pods = {pod.uid for pod in fleet.ready_pods}
        assert not fleet.failed
        if back:
            assert not any(pod.report.draining for pod in fleet.pods)
        else:
            self._proved_and_approved(fleet, fleet.version)
        assert len(pods) == len(fleet.pods) == fleet.replicas > 0
        assert before.ready_endpoints("chat-preview") == pods
        assert all(pod.report.version(fleet.version).state == "ready" for pod in fleet.pods)

    def _proved_and_approved(self, fleet: Fleet, version: str) -> None:
        """Every pod that would get the work answered the golden prompts; a person said yes; nobody said no."""
        rollout, asked = self.spec["rollout"], revision(parse(self.spec))
        if rollout.get("verification"):
            assert {(version, pod.uid) for pod in fleet.pods} <= self.proved
        if rollout.get("autoPromotion") is False:
            assert self.annotations.get(names.PROMOTE) == asked
        assert asked not in {self.annotations.get(verb) for verb in (names.ABORT, names.PAUSE)}

    def _told_to_drain_only_behind_a_successor(self, before: Observed, active: str) -> None:
        successor = next(fleet for fleet in before.fleets if fleet.name == active)
        listed = before.ready_endpoints("chat")
        assert listed or self.zero_was_asked
        assert listed <= {pod.uid for pod in successor.pods}

    def _stopped_only_what_may_stop(self, before, streams, active, name) -> None:
        fleet = next(fleet for fleet in before.fleets if fleet.name == name)
        if name == active and names.RECREATE not in fleet.annotations:
            assert self.zero_was_asked, f"{name} has the traffic and was stopped"
        elif fleet.uid in self.had_traffic:
            told = fleet.drain_started
            overdue = told and (before.now - told).total_seconds() >= DRAIN_TIMEOUT
            assert overdue or not any(streams[pod.uid] for pod in fleet.pods), f"{name} was cut"
            assert told, f"{name} had traffic and was stopped without an order to drain"
        self.had_traffic.discard(fleet.uid)


def had_an_active_fleet(observed: Observed) -> bool:
    """The active Service selected a fleet that is there."""
    selected = observed.child("Service", "chat").selector.get(names.LABEL_FLEET)
    return selected in {fleet.name for fleet in observed.fleets}


GOLDEN = {"prompts": [{"prompt": "2+2=", "expect": {"contains": "4"}}]}
TRIAL = {"seconds": 20, "maxErrorRate": 0.1}


def care(*, by_hand: bool) -> st.SearchStrategy[dict]:
    """What is asked for around a promotion."""
    return st.fixed_dictionaries(
        {},
        optional={
            "verification": st.just(GOLDEN),
            "analysis": st.just(TRIAL),
            "keepPreviousSeconds": st.just(25),
            "autoPromotion": st.just(not by_hand),
        },
    )


def wanted(*, by_hand: bool = False) -> st.SearchStrategy[dict]:
    return st.builds(
        lambda version, replicas, queue, history, strategy, scaling, more: spec(
            version,
            replicas=replicas,
            **scaling,
            limits={"maxQueue": queue},
            rollout={
                "progressDeadlineSeconds": 60,
                "drainTimeoutSeconds": DRAIN_TIMEOUT,
                "historyLimit": history,
                "strategy": strategy,
                **more,
            },
        ),
        st.sampled_from(VERSIONS),
        st.sampled_from([1, 2, 3, 0]),
        st.integers(1, 2),
        st.integers(0, 2),
        st.sampled_from(["Auto", "Auto", "BlueGreen", "InPlace", "Recreate"]),
        st.sampled_from([{}, {}, {"autoscaling": SCALING}, {"autoscaling": SCALING | {"external": True}}]),
        care(by_hand=by_hand),
    )


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


def check_rest(cluster: ModelCluster) -> None:
    size, scaling = cluster.spec.get("replicas", 1), cluster.spec.get("autoscaling")
    if scaling and size:
        size = min(size, scaling["maxReplicas"]) if scaling.get("external") else 1
    assert cluster.status["phase"] == "Ready", cluster.status
    assert cluster.status["active"]["version"] == cluster.spec["model"]["version"]
    assert cluster.running == ({cluster.active: size} if size else {})
    assert plan(cluster.observe()).actions == ()


Rollouts.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
test_rollouts_keep_their_promises = Rollouts.TestCase


@given(
    edits=st.lists(st.tuples(wanted(), st.integers(0, 12)), min_size=1, max_size=3),
    kill=st.integers(0, 40),
    after=st.integers(0, 6),
)
@settings(max_examples=50, deadline=None)
def test_a_kill_between_any_two_actions_changes_nothing_but_time(edits, kill, after):
    assert _end(edits, kill=kill, after=after) == _end(edits, kill=None, after=0)


def _end(edits, *, kill, after):
    """What is there at rest after the edits, with the operator killed in round `kill` after some actions."""
    cluster, number = ModelCluster(), 0
    for asked, rounds in [*edits, (edits[-1][0], 41)]:
        cluster.edit(asked)
        for _ in range(rounds):
            made = plan(cluster.observe())
            cluster.carry_out(made, stop_after=after if number == kill else None)
            cluster.tick()
            number += 1
    cluster.settle()
    version = cluster.fleets[cluster.active].annotations[names.FLEET_VERSION]
    return version, sorted(cluster.running.values()), cluster.status["phase"]
