"""The model's HTTPRoute: a kind that the cluster may lack or this operator may not see, and that nothing waits for."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from inference_operator import names
from inference_operator.cluster import convert, kinds
from inference_operator.cluster.client import Client
from inference_operator.errors import ClusterError, KindMissing, Refused
from inference_operator.observed import Child, Model, Obstacle
from inference_operator.reasons import Reason
from inference_operator.spec import Spec

ROUTE_SECONDS = 5.0
"""For one call about an HTTPRoute: a webhook that hangs must not hold up a rollout."""
SWITCH = "gatewayApi.enabled"
MISSING = Obstacle(
    reason=Reason.GATEWAY_API_MISSING,
    message="the cluster does not know HTTPRoutes (gateway.networking.k8s.io/v1); install the Gateway API",
)
FORBIDDEN = Obstacle(
    reason=Reason.ROUTES_FORBIDDEN,
    message=f"this operator has no right to HTTPRoutes; set the chart's value {SWITCH} to true",
)

Found = tuple[Child | None, Obstacle | None]


async def read_route(client: Client, model: Model, wanted: Spec | None) -> Found:
    """Nothing is asked of the API server for a model that has no route and never had one."""
    if wanted is None or (wanted.service.http_route is None and not model.route_noted):
        return None, None
    try:
        async with asyncio.timeout(ROUTE_SECONDS):
            name = names.http_route(model.name)
            content = await client.get_where_known(kinds.HTTP_ROUTE, model.namespace, name)
    except KindMissing:
        return None, MISSING
    except (ClusterError, TimeoutError) as error:
        if isinstance(error, Refused) and error.status == HTTPStatus.FORBIDDEN:
            return None, FORBIDDEN
        said = str(error) or f"no answer within {ROUTE_SECONDS:g} s"
        return None, Obstacle(reason=Reason.ROUTE_UNREADABLE, message=f"it cannot be read: {said}")
    return (convert.read_child(kinds.HTTP_ROUTE.name, content, model.uid) if content else None), None
