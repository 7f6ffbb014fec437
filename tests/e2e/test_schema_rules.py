"""What `kubectl apply` answers to a wrong spec: the real API server, the real schema, and words that help."""

import copy

import pytest

from inference_operator.cluster import kinds
from inference_operator.errors import Refused

pytestmark = pytest.mark.cluster

PROMPTS = "rollout.verification.prompts"


def wrong(path, value):
    """A good spec with one field changed; `metadata.name` is the resource's name."""
    model = {
        "apiVersion": "realtime-serve.io/v1alpha1",
        "kind": "InferenceModel",
        "metadata": {"name": "chat"},
        "spec": {"model": {"uri": "hf://Qwen/Qwen3-0.6B", "version": "1.0.0"}},
    }
    *parents, last = path.split(".") if path.startswith("metadata") else ["spec", *path.split(".")]
    place = model
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = copy.deepcopy(value)
    return model


CASES = [
    ("model.uri", "az://account", "must be az://ACCOUNT/CONTAINER"),
    ("model", {"uri": "https://host/model.tar.gz", "version": "1"}, "its sha256 has to be given"),
    ("model", {"uri": "hf://a/b", "version": "1", "sha256": "0" * 64}, "the uri names none"),
    ("model.uri", "ftp://example.com/model", "must begin with one of hf://, pvc://, s3://"),
    ("model.uri", "hf://gpt2", "must be hf://ORGANISATION/REPOSITORY"),
    ("model.uri", "hf://a/b/c", "must be hf://ORGANISATION/REPOSITORY"),
    ("model.uri", "pvc://Weights!", "must be pvc://CLAIM or pvc://CLAIM/PATH"),
    ("model.uri", "pvc://weights/../secrets", "must not climb with '..'"),
    ("model.uri", "file://relative/path", "must be file:///ABSOLUTE/PATH"),
    ("model.uri", None, "spec.model.uri: Required value"),
    ("model.version", None, "spec.model.version: Required value"),
    ("model.dtype", "int4", "spec.model.dtype: Unsupported value"),
    ("model.cache", {"claimName": "a", "sizeLimit": "1Gi"}, "exclude each other"),
    ("replicas", -1, "spec.replicas in body should be greater than or equal to 0"),
    ("replicas", 1001, "spec.replicas in body should be less than or equal to 1000"),
    ("replicas", "two", "spec.replicas in body must be of type integer"),
    ("autoscaling", {"minReplicas": 3, "maxReplicas": 2}, "minReplicas must not be above maxReplicas"),
    ("gpu", {"count": 65}, "spec.gpu.count in body should be less than or equal to 64"),
    ("server.env", [{"name": "A"}, {"name": "A"}], "Duplicate value"),
    ("server.env", [{"name": "REALTIME_SERVE_PORT", "value": "1"}], "is set by the operator"),
    (
        "server.env",
        [{"name": "A", "value": "b", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "has both value and valueFrom",
    ),
    ("server.env", [{"name": "A", "valueFrom": {}}], "give exactly one of secretKeyRef and configMapKeyRef"),
    ("server.resources", {"limits": {"memory": "much"}}, "spec.server.resources.limits.memory"),
    ("rateLimit", {"burst": 5}, "give requestsPerMinute, tokensPerMinute, or both"),
    ("rateLimit", {"requestsPerMinute": 5, "key": "cookie"}, "spec.rateLimit.key in body should match"),
    ("clients", [{"name": "web", "secretRef": "a"}, {"name": "web", "secretRef": "b"}], "Duplicate value"),
    ("rollout.drainTimeoutSeconds", 86_401, "should be less than or equal to 86400"),
    ("rollout.progressDeadlineSeconds", 5, "should be greater than or equal to 10"),
    ("rollout.strategy", "Canary", "spec.rollout.strategy: Unsupported value"),
    (PROMPTS, [{"prompt": "a", "expect": {}}], "give exactly one of contains, equals, matches and json"),
    (
        PROMPTS,
        [{"prompt": "a", "expect": {"contains": "b", "equals": "c"}}],
        "give exactly one of contains, equals, matches and json",
    ),
    ("rollout.analysis", {"seconds": 60}, "give maxErrorRate, maxTimeToFirstTokenP95Ms, or both"),
    ("service", {"nodePort": 30_080}, "nodePort needs type NodePort or LoadBalancer"),
    ("service", {"type": "NodePort", "nodePort": 80}, "should be greater than or equal to 30000"),
    (
        "service.httpRoute",
        {"parentRefs": [{"name": "a"}, {"name": "a", "sectionName": "s"}]},
        "a Gateway that is named more than once needs a sectionName of its own each time",
    ),
    ("service.httpRoute", {"hostnames": ["a"]}, "spec.service.httpRoute.parentRefs: Required value"),
    (
        "service.httpRoute",
        {"parentRefs": [{"name": "a"}], "hostnames": ["http://a"]},
        "spec.service.httpRoute.hostnames[0] in body should match",
    ),
    ("replica", 2, 'unknown field "spec.replica"'),
    ("metadata.name", "a" * 41, "at most 40 characters"),
    ("metadata.name", "1chat", "must be a DNS label that begins with a letter"),
    ("metadata.name", "chat.v1", "must be a DNS label that begins with a letter"),
]


@pytest.mark.parametrize(("path", "value", "message"), CASES, ids=[f"{c[0]}={c[1]}"[:60] for c in CASES])
async def test_a_wrong_spec_is_refused_with_words_that_help(client, namespace, path, value, message):
    with pytest.raises(Refused) as refused:
        await client.create(kinds.MODEL, namespace, wrong(path, value))
    assert message in str(refused.value)


async def test_a_spec_that_says_the_least_gets_every_default(client, namespace):
    made = await client.create(kinds.MODEL, namespace, wrong("replicas", 1))
    assert made["spec"]["batching"] == {
        "maxBatchSize": 32,
        "maxWaitMs": 5,
        "dynamic": True,
        "maxBatchTokens": 4096,
    }
    assert made["spec"]["gpu"] == {"count": 1, "resource": "nvidia.com/gpu"}
    assert made["spec"]["rollout"]["drainTimeoutSeconds"] == 600
    assert made["spec"]["service"] == {"type": "ClusterIP"}
    assert "autoscaling" not in made["spec"]
