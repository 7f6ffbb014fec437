"""What a change of the status is worth telling: events that come once, not each round. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator.actions import Event
from inference_operator.reasons import Condition, Phase, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def news(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Event, ...]:
    """Events for what the new status says and the old one did not."""
    return (*_warnings(before, after), *_orders(before, after), *_good(before, after))


_ALARMING = {
    Reason.INVALID_SPEC,
    Reason.SECRETS_FORBIDDEN,
    Reason.CLIENT_KEY_MISSING,
    Reason.CONFLICT,
    Reason.IMAGE_PULL_FAILED,
    Reason.CRASH_LOOPING,
    Reason.CONTAINER_CONFIG_ERROR,
    Reason.OUT_OF_MEMORY,
    Reason.UNSCHEDULABLE,
    Reason.QUOTA_EXCEEDED,
    Reason.LOAD_FAILED,
    Reason.PROMPTS_UNREADABLE,
    Reason.ANALYSIS_BREACHED,
    Reason.SETTINGS_REJECTED,
    Reason.NO_READY_ENDPOINTS,
}


_WATCHED = {Condition.PROGRESSING, Condition.DEGRADED, Condition.AVAILABLE}
_TOLD_BY_THE_STEP = {Condition.PROGRESSING, Condition.DEGRADED}
"""The step that gives a version up has told already why; that nothing serves any more is another matter."""


def _warnings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    """A Warning when a condition comes to have a reason that a person should hear of; once, not each round."""
    given_up = after["phase"] in {Phase.FAILED, Phase.ROLLING_BACK} and after["phase"] != before.get("phase")
    told = _TOLD_BY_THE_STEP if given_up else set()
    old = {each.get("type"): each.get("reason") for each in before.get("conditions") or ()}
    heard = set()
    for condition in after["conditions"]:
        reason = condition["reason"]
        watched = condition["type"] in _WATCHED - told
        if watched and reason in _ALARMING and reason != old.get(condition["type"]) and reason not in heard:
            heard.add(reason)
            yield Event(type="Warning", reason=reason, message=condition["message"])


def _orders(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    """An order that does nothing says so."""
    told = {(order["verb"], order["revision"]) for order in before.get("orders") or () if not order["heeded"]}
    for order in after.get("orders") or ():
        if not order["heeded"] and (order["verb"], order["revision"]) not in told:
            message = f"{order['verb']}: {order['revision']} does nothing. {order['message']}"
            yield Event(type="Normal", reason=Reason.VERB_IGNORED, message=message)


def _good(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Event]:
    """Golden prompts that were answered, with the answers; a trial that was passed."""
    gates = after.get("target", {}).get("gates") or ()
    known = {gate["name"] for gate in before.get("target", {}).get("gates") or () if gate["passed"]}
    for gate in gates:
        if gate["passed"] and "answer" in gate and gate["name"] not in known:
            yield Event(
                type="Normal", reason=Reason.VERIFIED, message=f"Gate {gate['name']}: {gate['message']}."
            )
    ended = before.get("phase") == Phase.ANALYZING and after["phase"] in {Phase.READY, Phase.DRAINING}
    if ended and before.get("active", {}).get("fleet") == after.get("active", {}).get("fleet"):
        message = f"Version {after['active']['version']} did well under traffic and stays."
        yield Event(type="Normal", reason=Reason.ANALYSIS_PASSED, message=message)
