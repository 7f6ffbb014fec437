"""What is free in the cluster, read over real HTTP: once for all who ask, and unknown where it may not be seen."""

from __future__ import annotations

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from inference_operator.cluster.client import Client
from inference_operator.cluster.rooms import FRESH, RUNNING, RoomReader
from inference_operator.errors import ClusterError
from inference_operator.room import fit

POD = {"containers": [{"name": "server", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}


class Api:
    """An API server that has nodes, pods and quotas."""

    def __init__(self) -> None:
        self.items = {
            "nodes": [
                {
                    "metadata": {"name": "a"},
                    "spec": {},
                    "status": {"allocatable": {"nvidia.com/gpu": "1", "pods": "9"}},
                }
            ],
            "pods": [],
            "resourcequotas": [],
        }
        self.refuse = 0
        self.asked = []

    async def answer(self, request):
        kind = request.path.rpartition("/")[2]
        self.asked.append((kind, request.query.get("fieldSelector", "")))
        if self.refuse:
            body = {"kind": "Status", "code": self.refuse, "message": f"no: {self.refuse}"}
            return web.json_response(body, status=self.refuse)
        return web.json_response({"metadata": {}, "items": self.items[kind]})


@pytest.fixture
async def api(tmp_path):
    made = Api()
    app = web.Application()
    app.add_routes([web.get("/{path:.*}", made.answer)])
    async with TestServer(app) as server:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "current-context": "a",
                    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                    "users": [{"name": "a", "user": {}}],
                    "clusters": [{"name": "a", "cluster": {"server": str(server.make_url("/"))}}],
                }
            )
        )
        made.client = await Client.connect(str(kubeconfig))
        yield made
        await made.client.close()


async def test_pods_of_all_namespaces_take_room_on_their_nodes(api):
    reader = RoomReader(client=api.client)
    assert fit(await reader.read("ai"), POD, 1).fits
    api.items["pods"] = [{"spec": POD | {"nodeName": "a", "volumes": []}, "status": {"phase": "Running"}}]
    found = fit(await RoomReader(client=api.client).read("ai"), POD, 1)
    assert found.lacks == "1 pod needs 1 nvidia.com/gpu: node a has 0 of 1 nvidia.com/gpu free"
    assert ("pods", RUNNING) in api.asked


async def test_one_picture_of_the_nodes_serves_all_who_ask_at_the_same_time_and_not_for_long(api):
    now = [0.0]
    reader = RoomReader(client=api.client, clock=lambda: now[0])
    await reader.read("ai")
    await reader.read("other")
    assert [kind for kind, _ in api.asked].count("nodes") == 1
    assert [kind for kind, _ in api.asked].count("resourcequotas") == 2
    now[0] = FRESH
    await reader.read("ai")
    assert [kind for kind, _ in api.asked].count("nodes") == 2


async def test_what_may_not_be_seen_is_unknown(api):
    api.refuse = 403
    assert await RoomReader(client=api.client).read("ai") is None


async def test_what_cannot_be_asked_is_an_error_and_not_unknown(api):
    api.refuse = 503
    with pytest.raises(ClusterError):
        await RoomReader(client=api.client).read("ai")


async def test_whoever_installs_may_say_that_nodes_come(api):
    api.items["nodes"] = []
    assert fit(await RoomReader(client=api.client, nodes_come=True).read("ai"), POD, 1).more_nodes_help
