"""A fleet's Deployment. Rendered at birth alone: afterwards only its size and annotations are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference_operator import names
from inference_operator.manifests.metadata import metadata, seal
from inference_operator.manifests.pod import pod_spec
from inference_operator.manifests.template import template_of, written_template
from inference_operator.weights import birth_marks

if TYPE_CHECKING:
    from inference_operator.observed import Model
    from inference_operator.spec import Spec


def deployment(
    model: Model,
    spec: Spec,
    *,
    fleet: str,
    revision: str,
    replicas: int,
    default_image: str,
    prepare_started: str,
    strategy: str = "",
) -> dict[str, Any]:
    """`strategy`: how its rollout was begun, and why."""
    labels = names.fleet_labels(model.name, fleet, revision)
    marks = {
        names.FLEET_VERSION: spec.model.version,
        names.FLEET_REVISION: revision,
        names.PREPARE_STARTED: prepare_started,
        names.TEMPLATE: written_template(template_of(model.name, spec, default_image=default_image)),
        **({names.STRATEGY: strategy} if strategy else {}),
        **birth_marks(spec),
    }
    return seal(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata(model, fleet, labels, marks),
            "spec": {
                "replicas": replicas,
                "revisionHistoryLimit": 1,
                "selector": {"matchLabels": names.fleet_selector(model.name, fleet)},
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": {names.FLEET_VERSION: spec.model.version},
                    },
                    "spec": pod_spec(model.name, spec, fleet=fleet, default_image=default_image),
                },
            },
        }
    )
