"""No API server to speak to: told in words."""

import pytest

from inference_operator.cluster import kinds
from inference_operator.cluster.client import Client
from inference_operator.errors import ClusterError

pytestmark = pytest.mark.cluster


async def test_an_api_server_that_is_away_is_a_cluster_error(tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: a, users: [{name: a, user: {}}],"
        " clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}],"
        " contexts: [{name: a, context: {cluster: a, user: a}}]}"
    )
    requests = []
    client = await Client.connect(str(kubeconfig), count=lambda *request: requests.append(request))
    try:
        with pytest.raises(ClusterError, match=r"127\.0\.0\.1"):
            await client.get(kinds.SERVICE, "default", "chat")
    finally:
        await client.close()
    assert requests == [("get", "error")]


async def test_a_kubeconfig_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ClusterError, match="nowhere"):
        await Client.connect(str(tmp_path / "nowhere"))
