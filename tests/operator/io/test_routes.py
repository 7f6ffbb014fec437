"""HTTPRoutes over real HTTP: what can be read of them, and a run in which they cannot be written."""

from __future__ import annotations

import asyncio
import json

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from inference_operator.cluster import routes
from inference_operator.cluster.apply import Executor
from inference_operator.cluster.client import Client
from inference_operator.cluster.routes import FORBIDDEN, MISSING, read_route
from inference_operator.controller import reconcile
from inference_operator.controller.key import Key
from inference_operator.controller.memory import Memory
from inference_operator.controller.metrics import Metrics
from inference_operator.controller.reconcile import Reconciler
from inference_operator.controller.report import Reporter
from inference_operator.errors import NamespaceEnding
from inference_operator.observed import Model
from inference_operator.reasons import Reason
from inference_operator.spec import parse
from tests.operator.model_cluster import ModelCluster, spec
from tests.operator.model_world import UID

ROUTED = spec(service={"httpRoute": {"parentRefs": [{"name": "edge"}]}})
NOTED = {"conditions": [{"type": "RouteAccepted", "status": "True"}]}
PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/chat"


class Api:
    """Answers everything about the route with one status and body; None: goes silent. Keeps statuses of models."""

    def __init__(self) -> None:
        self.answers = {"GET": (404, not_found()), "PATCH": (201, {})}
        self.asked: list[str] = []
        self.told: list[dict] = []

    async def route(self, request: web.Request) -> web.Response:
        self.asked.append(request.method)
        status, body = self.answers[request.method]
        if status is None:
            await asyncio.sleep(3600)
        return web.json_response(body, status=status) if body is not None else web.Response(status=status)

    async def report(self, request: web.Request) -> web.Response:
        self.told.append(json.loads(await request.text())[1]["value"])
        return web.json_response({})


@pytest.fixture
async def api(tmp_path):
    api = Api()
    app = web.Application()
    model = "/apis/realtime-serve.io/v1alpha1/namespaces/default/inferencemodels/chat/status"
    app.add_routes([web.route("*", PATH, api.route), web.patch(model, api.report)])
    async with TestServer(app) as server:
        cluster = {"name": "a", "cluster": {"server": str(server.make_url("/"))}}
        context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
        config = {"current-context": "a", "contexts": [context], "clusters": [cluster]}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config | {"users": [{"name": "a", "user": {}}]}))
        api.client = await Client.connect(str(kubeconfig))
        yield api
        await api.client.close()


def not_found():
    return {"kind": "Status", "code": 404, "reason": "NotFound", "details": {"name": "chat"}}


def model(status=None):
    return Model(
        namespace="default",
        name="chat",
        uid=UID,
        generation=1,
        resource_version="1",
        spec={},
        status=status or {},
    )


async def read(api, wanted=ROUTED, status=None):
    return await read_route(api.client, model(status), parse(wanted) if wanted else None)


async def test_a_model_without_a_route_costs_no_request(api):
    assert await read(api, spec()) == (None, None)
    assert await read(api, None, NOTED) == (None, None)
    assert api.asked == []


async def test_a_model_whose_status_tells_of_one_is_looked_at(api):
    assert await read(api, spec(), NOTED) == (None, None)
    assert api.asked == ["GET"]


async def test_whose_it_is_is_told_by_its_owner(api):
    meta = {"name": "chat", "uid": "r", "resourceVersion": "1"}
    api.answers["GET"] = (200, {"metadata": meta})
    assert not (await read(api))[0].ours
    api.answers["GET"] = (200, {"metadata": meta | {"ownerReferences": [{"uid": UID, "controller": True}]}})
    assert (await read(api))[0].ours


@pytest.mark.parametrize(
    ("status", "body", "obstacle"),
    [
        (404, None, MISSING),
        (404, {"kind": "Status", "code": 404, "reason": "NotFound", "details": {}}, MISSING),
        (403, {"kind": "Status", "code": 403, "reason": "Forbidden"}, FORBIDDEN),
    ],
)
async def test_a_kind_that_is_missing_and_a_right_that_is_missing_are_told_apart(api, status, body, obstacle):
    api.answers["GET"] = (status, body)
    assert await read(api) == (None, obstacle)


@pytest.mark.parametrize("status", [500, None], ids=["broken", "silent"])
async def test_one_that_cannot_be_read_is_said_to_be_so_and_holds_nothing_up(api, monkeypatch, status):
    monkeypatch.setattr(routes, "ROUTE_SECONDS", 0.2)
    api.answers["GET"] = (status, {"kind": "Status", "message": "conversion webhook failed"})
    child, obstacle = await read(api)
    assert child is None
    assert obstacle.reason is Reason.ROUTE_UNREADABLE
    assert ("no answer within 0.2 s" if status is None else "conversion webhook failed") in obstacle.message


def about_to_make_it(api):
    """A run for a model at rest that lacks nothing but its route."""
    cluster = ModelCluster(ROUTED)
    cluster.route_refused = "not yet"
    cluster.settle()

    class Observer:
        async def observe(self, *_place):
            return cluster.observe()

    return Reconciler(
        observer=Observer(),
        executor=Executor(client=api.client, verifier=None),
        reporter=Reporter(client=api.client),
        recorder=None,
        metrics=Metrics(CollectorRegistry()),
        memory=Memory(),
    )


def told(api):
    (status,) = api.told
    (found,) = [each for each in status["conditions"] if each["type"] == "RouteAccepted"]
    return status["phase"], found["status"], found["reason"], found["message"]


@pytest.mark.parametrize("status", [422, 403, 409, 500, None])
async def test_a_run_in_which_it_cannot_be_made_says_so_and_is_done(api, monkeypatch, status):
    monkeypatch.setattr(reconcile, "ROUTE_SECONDS", 0.2)
    causes = {"details": {"causes": [{"field": "spec.hostnames"}]}}
    api.answers["PATCH"] = (status, {"kind": "Status", "message": "hosts of others", **causes})
    assert await about_to_make_it(api).reconcile(Key("default", "chat")) is not None
    phase, value, reason, message = told(api)
    assert (phase, value, reason) == ("Ready", "False", "RefusedByCluster")
    assert ("no answer within 0.2 s" if status is None else "hosts of others") in message


async def test_a_run_in_which_it_is_made_says_that_its_gateways_are_to_answer(api):
    await about_to_make_it(api).reconcile(Key("default", "chat"))
    assert api.asked == ["GET", "PATCH"]
    assert told(api)[1:3] == ("Unknown", "WaitingForGateway")


async def test_in_a_namespace_that_ends_nothing_more_is_said(api):
    ending = {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    api.answers["PATCH"] = (403, {"kind": "Status", **ending})
    with pytest.raises(NamespaceEnding):
        await about_to_make_it(api).reconcile(Key("default", "chat"))
    assert api.told == []
