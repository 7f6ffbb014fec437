"""What an account asked, held against what the chart gives it."""

from __future__ import annotations

from typing import Any

from hack import chart
from hack.rights import Comparison, Right, given_by

GET_PODS, LIST_PODS = Right("", "pods", "get"), Right("", "pods", "list")


def asked(verb: str, resource: str, *, code: int = 200, **more: str) -> dict[str, Any]:
    return {
        "verb": verb,
        "requestURI": f"/api/v1/{resource}?limit=500",
        "objectRef": {"resource": resource, **more},
        "responseStatus": {"code": code},
    }


def test_a_right_that_nobody_used_and_a_request_that_was_forbidden_are_told() -> None:
    events = [asked("get", "pods"), asked("delete", "pods", code=403)]
    found = Comparison.of(events, {GET_PODS, LIST_PODS})
    assert found.unused == {LIST_PODS}
    assert found.forbidden == {"delete /api/v1/pods"}
    assert not found.fits
    assert "never used: list pods" in str(found)


def test_all_rights_used_and_nothing_forbidden_fits() -> None:
    assert Comparison.of([asked("get", "pods"), asked("list", "pods")], {GET_PODS, LIST_PODS}).fits


def test_an_apply_that_makes_its_object_uses_the_right_to_create() -> None:
    given = {Right("", "services", "create"), Right("", "services", "patch")}
    assert not Comparison.of([asked("patch", "services", code=200)], given).fits
    assert Comparison.of([asked("patch", "services", code=201)], given).fits


def test_a_subresource_is_a_right_of_its_own() -> None:
    right = Right("realtime-serve.io", "inferencemodels/status", "patch")
    event = asked("patch", "inferencemodels", subresource="status", apiGroup="realtime-serve.io")
    assert Comparison.of([event], {right}).fits


def test_discovery_uses_no_right_of_the_chart() -> None:
    assert Comparison.of([{"verb": "get", "requestURI": "/apis", "objectRef": {}}], set()).fits


def test_only_what_is_bound_to_the_operator_is_given_to_it() -> None:
    rights = given_by(chart.render({"rbac": {"aggregate": True}}))
    assert Right("", "nodes", "list") in rights
    assert Right("coordination.k8s.io", "leases", "update") in rights
    assert Right("realtime-serve.io", "inferencemodels", "create") not in rights, "that is for people"
