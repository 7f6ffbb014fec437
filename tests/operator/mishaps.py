"""Clusters in which something was deleted, spoiled, forbidden, or is in the way."""

from __future__ import annotations

from dataclasses import replace

from inference_operator import names
from inference_operator.plan import plan
from tests.operator.model_cluster import ModelCluster, spec
from tests.operator.situations import streams_end_twice
from tests.operator.versions import FLEETS, V1, V2, V3, fleet, preparing, rounds, serving


def killed_in_mid_creation() -> ModelCluster:
    cluster = serving()
    cluster.edit(spec(V2))
    made = plan(cluster.observe())
    cluster.carry_out(made, stop_after=len(made.actions) - 1)
    return cluster


def asked_for_another_since() -> ModelCluster:
    cluster = killed_in_mid_creation()
    cluster.edit(spec(V1))
    return cluster


def second_fleet_of_the_active_revision() -> ModelCluster:
    cluster = serving()
    twin = replace(fleet(cluster, "v1"), uid="twin", pods=[], annotations={})
    twin.annotations = {
        key: value
        for key, value in fleet(cluster, "v1").annotations.items()
        if key not in {names.PROMOTED_AT, names.PROMOTING}
    }
    cluster.fleets[f"{cluster.active}-2"] = twin
    return cluster


def foreign_service() -> ModelCluster:
    cluster = ModelCluster()
    cluster.foreign("Service", "chat")
    return cluster


def foreign_deployment() -> ModelCluster:
    cluster = ModelCluster()
    cluster.foreign("Deployment", next(iter(FLEETS)))
    return cluster


CLIENTS = [{"name": "web", "secretRef": "web-key"}]


def forbidden_edit() -> ModelCluster:
    cluster = serving()
    cluster.secrets_refused = "Secrets may not be read"
    cluster.edit(spec(V2, clients=CLIENTS, replicas=5, limits={"maxQueue": 7}))
    return cluster


def forbidden_while_draining() -> ModelCluster:
    cluster = streams_end_twice()
    cluster.secrets_refused = "Secrets may not be read"
    cluster.edit(spec(V3, clients=CLIENTS))
    return cluster


def nonsense() -> ModelCluster:
    cluster = serving()
    cluster.edit({"model": "x"})
    return cluster


def service_deleted() -> ModelCluster:
    cluster = serving()
    cluster.delete_service("chat")
    return cluster


def service_deleted_in_mid_rollout() -> ModelCluster:
    cluster = preparing()
    cluster.delete_service("chat")
    return rounds(cluster, 1)


def selector_spoiled() -> ModelCluster:
    cluster = serving()
    cluster.children["Service", "chat"].content["spec"]["selector"] = {"app": "other"}
    return cluster


def scaled_by_hand() -> ModelCluster:
    cluster = serving()
    fleet(cluster, "v1").replicas = 5
    return cluster


def active_deployment_deleted() -> ModelCluster:
    cluster = serving()
    del cluster.fleets[cluster.active]
    return cluster


def active_told_to_drain_by_hand() -> ModelCluster:
    cluster = serving()
    fleet(cluster, "v1").annotations[names.DRAIN_STARTED] = "2026-01-01T12:00:00Z"
    fleet(cluster, "v1").pods[0].annotations[names.DRAIN] = "2026-01-01T12:00:00Z"
    return cluster


def service_changed_by_hand() -> ModelCluster:
    cluster = serving()
    cluster.children["Service", "chat"].content["spec"]["ports"] = []
    return cluster
