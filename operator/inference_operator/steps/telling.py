"""The sentence that tells of a step, for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from inference_operator import verifying
from inference_operator.actions import Event
from inference_operator.rollout import Step

if TYPE_CHECKING:
    from inference_operator.roles import Scene
    from inference_operator.rollout import Taken


def event_of(scene: Scene, taken: Taken) -> Event:
    kind: Literal["Normal", "Warning"] = "Warning" if taken.row.step in _WARNINGS else "Normal"
    return Event(type=kind, reason=taken.row.reason, message=_sentence(scene, taken))


_WARNINGS = {
    *(Step.RESTORE, Step.FAIL, Step.STOP_OVERDUE, Step.RECREATE),
    *(Step.MAKE_WAY, Step.GIVE_UP, Step.DROP_OVERDUE),
    *(Step.CONDEMN, Step.ROLL_BACK, Step.ABORT, Step.REJECT),
}


def _sentence(scene: Scene, taken: Taken) -> str:
    verdict, fleet = taken.verdict.message, taken.fleet
    doing = {
        Step.RESTORE: "traffic is sent to it again",
        Step.CONDEMN: f"Traffic goes back to {_previous(scene)}; edit the spec or annotate retry to try again",
        Step.ROLL_BACK: "it counts as failed now",
        Step.RETRY: "a fresh fleet is made for it",
        Step.RECALL: "its order to drain is taken back",
        Step.ABORT: "it is stopped, and what served before goes on",
        Step.VERIFY: "no traffic moves before that",
        Step.REJECT: "It is stopped; what served before goes on. Edit the spec or annotate retry to try again",
        Step.AWAIT_APPROVAL: f"to move the traffic: {verifying.order_to_approve(scene)}",
        Step.STOP_SUPERSEDED: "it is stopped",
        Step.REVIVE: f"it is started again with replicas: {scene.preview_size}",
        Step.CREATE: f"one is created with replicas: {scene.preview_size}",
        Step.RESIZE: "it is resized",
        Step.PROMOTE: f"traffic moves to fleet {fleet.name if fleet else ''}",
        Step.FAIL: "It is stopped; what served before goes on. Edit the spec to try again",
        Step.ORDER_DRAIN: f"fleet {fleet.name if fleet else ''} is told to finish its streams and take no more",
        Step.TELL_PODS: "they get it now",
        Step.STOP_DRAINED: "it is stopped",
        Step.STOP_OVERDUE: "it is stopped now",
        Step.MARK_DRAINED: "it is stopped if the next look finds none either",
        Step.UNMARK_DRAINED: "it is not idle after all and goes on draining",
        Step.FORGET: "it is deleted",
        Step.SWITCH_BACK: "it gets new work again as soon as every pod says that it is ready",
        Step.UNLOAD: "it is unloaded",
        Step.VERIFY_INCOMING: "it gets no work before that",
        Step.SWITCH: "new work goes to it, and streams end on the version that they began with",
        Step.MAKE_WAY: "its streams have their time to end",
        Step.LOAD_ALONE: f"version {scene.spec.model.version} is loaded in its place",
        Step.GIVE_UP: "The pods hold the old version alone again and go on serving it. Edit the spec to try again",
        Step.DRAIN_VERSION: "what runs on the old one has its time to end",
        Step.DROP_DRAINED: "it is unloaded",
        Step.DROP_OVERDUE: "it is unloaded now",
        Step.MARK_IDLE: "it is unloaded if the next look finds none either",
        Step.UNMARK_IDLE: "it is not idle after all",
        Step.LOAD: "it is loaded beside the version that serves",
        Step.RECREATE: "the pods are told to finish their streams",
    }[taken.row.step]
    end = " " if verdict.endswith(".") else ". " if doing[0].isupper() else "; "
    return f"{verdict}{end}{doing}."


def _previous(scene: Scene) -> str:
    return f"version {scene.previous.version}" if scene.previous else "no other version"
