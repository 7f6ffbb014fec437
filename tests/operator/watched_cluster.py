"""A model cluster that holds each action which the API server would accept against the promises of a rollout."""

from __future__ import annotations

from datetime import datetime

from inference_operator import names
from inference_operator.actions import Action, Apply, Delete, Flip, PatchFleet, Plan
from inference_operator.observed import Fleet, Observed
from inference_operator.plan import plan
from inference_operator.spec import parse, revision
from tests.operator.model_cluster import ModelCluster
from tests.operator.model_pod import rank

DRAIN_TIMEOUT = 120


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

    def round(self, *, seconds: float = 1.0) -> Plan:
        """Besides: what is written of a state is not itself a reason to write again."""
        made = plan(self.observe())
        if self.carry_out(made) and not made.actions and made.route is None:
            again = plan(self.observe())
            assert (again.status, again.events) == (made.status, ()), "the status feeds on itself"
        self.tick(seconds)
        return made

    def act(self, action: Action) -> None:
        before, streams = self.observe(), {pod.uid: pod.streams for pod in self._pods()}
        active = self.active
        super().act(action)
        self._touched_only_what_is_ours(before, action)
        match action:
            case Apply(manifest={"kind": "Deployment"}, uid=uid):
                assert not uid, "a fleet's template is written once"
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

    def _touched_only_what_is_ours(self, before: Observed, action: Action) -> None:
        assert not self.deleting
        strangers = {(child.kind, child.name): child.content for child in before.children if not child.ours}
        for place, content in strangers.items():
            assert self.children[place].content == content, f"{place} is not ours"
        match action:
            case Apply(manifest={"kind": kind, "metadata": {"name": name}}):
                assert (kind, name) not in strangers
            case Flip(service=name):
                assert ("Service", name) not in strangers

    def _shrank_only_by_pods_that_are_done(self, before: Observed, streams, name, size) -> None:
        """The pods that the Deployment's controller will take have no streams, or had their time."""
        fleet = self.fleets[name]
        live = [pod for pod in fleet.pods if not pod.deleting]
        gone = sorted(live, key=rank)[: max(len(live) - size, 0)]
        for pod in gone:
            told = pod.annotations.get(names.RETIRE)
            overdue = told and (before.now - datetime.fromisoformat(told)).total_seconds() >= DRAIN_TIMEOUT
            never_served = not pod.ready and not streams[pod.uid]
            assert overdue or never_served or not self.fresh, f"{pod.name} was cut"
        if any(self._lost_the_traffic(f) for f in before.fleets if f.name != name and f.replicas):
            assert size >= next(f.replicas for f in before.fleets if f.name == name) or not self.fresh

    @staticmethod
    def _lost_the_traffic(fleet: Fleet) -> bool:
        """And does not know it yet. One that was called back is on its way up, as any new fleet."""
        known = fleet.drain_started or names.RECALLED in fleet.annotations
        return bool(fleet.promoted_at and not known)

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
        assert back or fleet.revision == revision(parse(self.spec)), "nobody asks for that any more"
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
