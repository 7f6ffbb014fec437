"""Named yes-or-no questions about a scene, each answered with a reason and a sentence. Pure.

A gate looks only at the fleet that it is asked about and at where traffic goes: the way to a healthy fleet is
never barred by a broken one.
"""

from inference_operator.gates.beginning import (
    at_zero,
    missized,
    revision_absent,
    revision_kept,
    told_to_drain,
    way_to_be_cleared,
)
from inference_operator.gates.draining import (
    LINGER,
    SECOND_LOOK,
    deadline_of,
    drain_deadline,
    drain_overdue,
    drained,
    pods_untold,
    streams,
    streams_back,
    streams_gone,
    untold_pods,
)
from inference_operator.gates.leaving import surplus, unwanted
from inference_operator.gates.promotion import (
    PROMOTION,
    READY,
    RETURN,
    deadline_passed,
    first_unmet,
    gates_of,
    needs_approval,
    promotable,
    unverified,
)
from inference_operator.gates.readiness import (
    accepting,
    model_loaded,
    pods_ready,
    preview_routes,
    service_stands,
)
from inference_operator.gates.traffic import endpoints_verified, traffic_lost

__all__ = [
    "LINGER",
    "PROMOTION",
    "READY",
    "RETURN",
    "SECOND_LOOK",
    "accepting",
    "at_zero",
    "deadline_of",
    "deadline_passed",
    "drain_deadline",
    "drain_overdue",
    "drained",
    "endpoints_verified",
    "first_unmet",
    "gates_of",
    "missized",
    "model_loaded",
    "needs_approval",
    "pods_ready",
    "pods_untold",
    "preview_routes",
    "promotable",
    "revision_absent",
    "revision_kept",
    "service_stands",
    "streams",
    "streams_back",
    "streams_gone",
    "surplus",
    "told_to_drain",
    "traffic_lost",
    "untold_pods",
    "unverified",
    "unwanted",
    "way_to_be_cleared",
]
