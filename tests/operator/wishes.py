"""What users may ask for, in whatever order, and names that others may have taken."""

from __future__ import annotations

import os

from hypothesis import strategies as st

from inference_operator import names
from inference_operator.spec import parse, revision
from tests.operator.model_cluster import spec
from tests.operator.watched_cluster import DRAIN_TIMEOUT

VERSIONS = ("1.0.0", "2.0.0", "3.0.0")


EXAMPLES = int(os.environ.get("RTS_EXAMPLES", "50"))


SCALING = {"maxReplicas": 4, "targetActiveStreams": 2, "scaleDownStabilizationSeconds": 5}


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
        lambda version, replicas, queue, history, strategy, scaling, service, more: spec(
            version,
            replicas=replicas,
            **scaling,
            **service,
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
        st.sampled_from([{}, {}, {"service": {"httpRoute": {"parentRefs": [{"name": "edge"}]}}}]),
        care(by_hand=by_hand),
    )


TAKEN = [
    ("Service", "chat"),
    ("Service", "chat-preview"),
    ("NetworkPolicy", "chat-pods"),
    ("HTTPRoute", "chat"),
    *(("Deployment", names.fleet("chat", revision(parse(spec(version))))) for version in VERSIONS),
    *(
        ("ConfigMap", names.settings(names.fleet("chat", revision(parse(spec(version))))))
        for version in VERSIONS
    ),
    ("ConfigMap", "chat-of-old-settings"),
    ("PodDisruptionBudget", "chat-of-old"),
]
"""Names that the operator would like to have."""
