"""The HTTPRoute of a model: made, followed by its gateways' words, taken away; and never in the way of anything else."""

from __future__ import annotations

import pytest

from inference_operator import timing
from inference_operator.cluster.routes import FORBIDDEN, MISSING
from inference_operator.forecast import forecast, render
from inference_operator.observed import Obstacle
from inference_operator.plan import plan
from inference_operator.reasons import Reason
from inference_operator.spec import parse, revision
from tests.operator.model_cluster import ModelCluster, describe, spec

KEY = ("HTTPRoute", "chat")
EDGE = {"name": "edge", "namespace": "infra", "sectionName": "https"}
UNREADABLE = Obstacle(reason=Reason.ROUTE_UNREADABLE, message="it cannot be read: 500")


def routed(version="1.0.0", parents=(EDGE,), **more):
    return spec(version, service={"httpRoute": {"parentRefs": list(parents), **more}})


def settled(wanted=None):
    cluster = ModelCluster(wanted or routed())
    cluster.settle()
    return cluster


def told(cluster):
    """(status, reason, message) of the condition in the next plan, or None where there is none."""
    found = [each for each in plan(cluster.observe()).status["conditions"] if each["type"] == "RouteAccepted"]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None


def answer(cluster, *parents):
    """What gateways say of the route: (parentRef, conditions)."""
    cluster.gateways_answer = False
    route = cluster.children[KEY]
    said = [{"parentRef": reference, "conditions": list(conditions)} for reference, conditions in parents]
    route.content = route.content | {"status": {"parents": said}}


def says(kind, status, reason="Because", message="", **more):
    return {"type": kind, "status": status, "reason": reason, "message": message, **more}


YES, NO = (
    says("Accepted", "True"),
    says("Accepted", "False", "NotAllowedByListeners", "namespace ai is not let in."),
)


def test_it_brings_every_request_of_its_hosts_to_the_active_service_without_a_timeout():
    content = settled(routed(hostnames=["chat.example.com"])).children[KEY].content
    assert content["spec"] == {
        "parentRefs": [EDGE],
        "hostnames": ["chat.example.com"],
        "rules": [{"backendRefs": [{"name": "chat", "port": 80}], "timeouts": {"request": "0s"}}],
    }
    assert content["metadata"]["ownerReferences"][0]["name"] == "chat"
    assert content["metadata"]["labels"]["realtime-serve.io/model"] == "chat"


def test_a_model_that_asks_for_none_has_neither_a_route_nor_a_word_of_it():
    cluster = settled(spec())
    assert KEY not in cluster.children
    assert told(cluster) is None
    assert plan(cluster.observe()).recheck_after is None


def test_it_is_no_part_of_the_revision():
    assert revision(parse(routed())) == revision(parse(spec()))


def test_a_swap_does_not_touch_it():
    cluster = settled()
    before = cluster.children[KEY].resource_version
    cluster.edit(routed("2.0.0"))
    cluster.settle()
    assert cluster.status["active"]["version"] == "2.0.0"
    assert cluster.children[KEY].resource_version == before


def test_it_is_made_only_after_the_status_tells_of_it_and_soon():
    cluster = settled(spec())
    cluster.edit(routed())
    first = cluster.round()
    assert first.route is None
    assert first.recheck_after == timing.AFTER_A_STEP
    assert describe(cluster.round().route) == "apply HTTPRoute chat"


def test_an_edit_of_its_hosts_is_applied_and_waits_for_the_gateways_anew():
    cluster = settled()
    cluster.gateways_answer = False
    cluster.edit(routed(hostnames=["a.example.com"]))
    assert told(cluster)[:2] == ("Unknown", "WaitingForGateway")
    assert describe(cluster.round().route) == "apply HTTPRoute chat"
    assert told(cluster)[:2] == ("Unknown", "WaitingForGateway"), "what was said is of the route before"
    cluster.gateways_answer = True
    cluster.settle()
    assert told(cluster)[:2] == ("True", "Accepted")


def test_when_every_gateway_accepts_it_the_condition_holds():
    cluster = settled()
    assert told(cluster) == (
        "True",
        "Accepted",
        "HTTPRoute chat is accepted by Gateway infra/edge section https.",
    )
    assert plan(cluster.observe()).recheck_after == timing.ROUTE


def test_while_a_gateway_is_silent_it_is_looked_at_soon_again():
    cluster = settled(routed(parents=[EDGE, {"name": "own"}]))
    answer(cluster, (EDGE, [YES]))
    status, reason, message = told(cluster)
    assert (status, reason) == ("Unknown", "WaitingForGateway")
    assert "waits for an answer of Gateway own." in message
    assert plan(cluster.observe()).recheck_after == timing.GATEWAY


def test_a_refusal_has_the_gateways_own_reason_and_names_it():
    cluster = settled(routed(parents=[{"name": "own"}, EDGE]))
    answer(cluster, ({"name": "own", "namespace": "default"}, [YES]), (EDGE, [NO]))
    assert told(cluster) == (
        "False",
        "NotAllowedByListeners",
        "HTTPRoute chat: Gateway infra/edge section https does not accept it: namespace ai is not let in.",
    )
    assert plan(cluster.observe()).recheck_after == timing.NO_ROUTE


def test_what_a_gateway_cannot_resolve_counts_as_refused():
    cluster = settled()
    answer(cluster, (EDGE, [YES, says("ResolvedRefs", "False", "BackendNotFound")]))
    status, reason, message = told(cluster)
    assert (status, reason) == ("False", "BackendNotFound")
    assert message.endswith("cannot resolve what it names: BackendNotFound.")


@pytest.mark.parametrize(
    "reference",
    [
        {**EDGE, "namespace": "other"},
        {**EDGE, "sectionName": "http"},
        {**EDGE, "port": 443},
        {"name": "edge"},
    ],
)
def test_a_word_about_another_parent_counts_for_nothing(reference):
    cluster = settled()
    answer(cluster, (reference, [YES]), (reference, [NO]))
    assert told(cluster)[:2] == ("Unknown", "WaitingForGateway")


def test_a_word_about_an_older_route_counts_for_nothing():
    cluster = settled()
    old = cluster.children[KEY].content["metadata"]["generation"] - 1
    answer(cluster, (EDGE, [{**NO, "observedGeneration": old}]))
    assert told(cluster)[:2] == ("Unknown", "WaitingForGateway")


def test_a_strangers_route_of_that_name_is_told_and_never_touched():
    cluster = ModelCluster(routed())
    cluster.foreign(*KEY)
    cluster.settle()
    assert cluster.children[KEY].uid == "foreign"
    assert told(cluster)[:2] == ("False", "Conflict")
    assert cluster.status["phase"] == "Ready"
    cluster.edit(spec())
    cluster.settle()
    assert cluster.children[KEY].uid == "foreign"
    assert told(cluster) is None


@pytest.mark.parametrize(
    ("obstacle", "status", "advice"),
    [
        (MISSING, "False", "install the Gateway API"),
        (FORBIDDEN, "False", "set the chart's value gatewayApi.enabled to true"),
        (UNREADABLE, "Unknown", "it cannot be read"),
    ],
    ids=lambda each: getattr(each, "reason", None),
)
def test_what_stands_in_its_way_is_told_with_what_to_do_and_noticed_when_it_goes(obstacle, status, advice):
    cluster = ModelCluster(routed())
    cluster.route_obstacle = obstacle
    cluster.settle()
    found, reason, message = told(cluster)
    assert (found, reason) == (status, obstacle.reason)
    assert advice in message
    assert KEY not in cluster.children
    assert cluster.status["phase"] == "Ready"
    assert plan(cluster.observe()).recheck_after in {timing.NO_ROUTE, timing.GATEWAY}
    cluster.route_obstacle = None
    cluster.settle()
    assert told(cluster)[0] == "True"


def test_a_refusal_to_make_it_is_told_once_and_tried_again():
    cluster = ModelCluster(routed())
    cluster.route_refused = "admission webhook: hosts of others"
    cluster.settle()
    (told_now,) = [each for each in cluster.status["conditions"] if each["type"] == "RouteAccepted"]
    assert (told_now["status"], told_now["reason"]) == ("False", "RefusedByCluster")
    assert "hosts of others" in told_now["message"]
    assert cluster.status["phase"] == "Ready"
    before = cluster.status
    cluster.round()
    assert cluster.status == before
    cluster.route_refused = ""
    cluster.settle()
    assert told(cluster)[0] == "True"


def test_without_the_field_ours_is_deleted_and_then_nothing_tells_of_it():
    cluster = settled()
    cluster.edit(spec())
    assert told(cluster)[1] == "RouteUnwanted"
    assert describe(cluster.round().route) == "delete HTTPRoute chat"
    cluster.settle()
    assert KEY not in cluster.children
    assert told(cluster) is None


def test_one_that_cannot_be_deleted_is_not_forgotten():
    cluster = settled()
    cluster.edit(spec())
    cluster.route_obstacle = FORBIDDEN
    cluster.settle()
    assert told(cluster)[:2] == ("False", "RoutesForbidden")
    cluster.route_obstacle = None
    cluster.settle()
    assert KEY not in cluster.children


def test_it_is_gone_with_the_gateway_api():
    cluster = settled()
    cluster.edit(spec())
    cluster.route_obstacle = MISSING
    assert told(cluster) is None


def test_a_spec_that_makes_no_sense_in_between_does_not_make_it_forgotten():
    cluster = settled()
    cluster.edit(spec(replicas=-1))
    cluster.round()
    assert cluster.status["phase"] == "Invalid"
    assert KEY in cluster.children
    cluster.edit(spec())
    cluster.settle()
    assert KEY not in cluster.children


@pytest.mark.parametrize("stop_after", range(8))
def test_an_operator_that_is_killed_never_forgets_a_route_that_it_made(stop_after):
    cluster = ModelCluster(routed())
    cluster.carry_out(plan(cluster.observe()), stop_after=stop_after)
    cluster.carry_out(plan(cluster.observe()), stop_after=stop_after)
    made = plan(cluster.observe())
    if made.route:
        cluster.act(made.route)  # killed before the status
    cluster.edit(spec())
    cluster.settle()
    assert KEY not in cluster.children


def test_a_suspended_model_gets_no_change_of_its_route():
    cluster = settled()
    cluster.edit(spec(suspend=True))
    assert plan(cluster.observe()).route is None


def test_a_forecast_shows_it_beside_everything_else():
    found = forecast(settled(spec()).observe(), routed("2.0.0"))
    text = render(found)
    assert "apply HTTPRoute chat" in text
    assert "spec.service.httpRoute.parentRefs" in text
    assert found.said("RouteAccepted").startswith("HTTPRoute chat is accepted")
