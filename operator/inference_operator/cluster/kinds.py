"""Where each kind that we read or write lives in the API. No discovery: these versions are all stable."""

from __future__ import annotations

from dataclasses import dataclass

from inference_operator import names


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind of the API."""

    name: str
    api_version: str
    plural: str

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path; without a namespace, of all namespaces."""
        root = "/api/" if "/" not in self.api_version else "/apis/"
        place = f"/namespaces/{namespace}" if namespace else ""
        parts = [part for part in (self.plural, name, subresource) if part]
        return f"{root}{self.api_version}{place}/{'/'.join(parts)}"


MODEL = Kind(names.KIND, names.API_VERSION, names.PLURAL)
DEPLOYMENT = Kind("Deployment", "apps/v1", "deployments")
POD = Kind("Pod", "v1", "pods")
NODE = Kind("Node", "v1", "nodes")
RESOURCE_QUOTA = Kind("ResourceQuota", "v1", "resourcequotas")
SERVICE = Kind("Service", "v1", "services")
CONFIG_MAP = Kind("ConfigMap", "v1", "configmaps")
SECRET = Kind("Secret", "v1", "secrets")
EVENT = Kind("Event", "v1", "events")
DISRUPTION_BUDGET = Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets")
NETWORK_POLICY = Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies")
ENDPOINT_SLICE = Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices")
HTTP_ROUTE = Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes")
"""Of the Gateway API, which a cluster need not have."""
LEASE = Kind("Lease", "coordination.k8s.io/v1", "leases")

CHILDREN = (SERVICE, CONFIG_MAP, DISRUPTION_BUDGET, NETWORK_POLICY)
"""What every model has besides its fleets."""
BY_NAME = {kind.name: kind for kind in (DEPLOYMENT, *CHILDREN, HTTP_ROUTE)}
"""What a plan may write."""
