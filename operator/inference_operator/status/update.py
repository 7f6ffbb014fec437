"""Whether the pods that serve would be made otherwise now. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator import names
from inference_operator.manifests import differences, read_template, template_of
from inference_operator.reasons import Reason

if TYPE_CHECKING:
    from inference_operator.roles import Scene

TAKE_IT = (
    "They stay as they are until the next rolling edit; to have new ones now, change spec.server.restartedAt"
)


def update(scene: Scene) -> tuple[bool, Reason, str]:
    """Whether there is one, why, and a sentence."""
    fleet = scene.roles.active
    if fleet is None or not scene.arrived:
        return False, Reason.ROLLING_OUT, "Pods of a rollout are made as this operator makes them."
    born = read_template(fleet.annotations)
    if born is None or names.IN_PLACE_SINCE in fleet.annotations:
        text = f"Fleet {fleet.name} does not tell what its pods were made from, so nothing is compared."
        return False, Reason.NOT_COMPARED, text
    observed = scene.observed
    now = template_of(observed.model.name, scene.spec, default_image=observed.default_image)
    if found := ", ".join(differences(born, now)):
        return True, Reason.PODS_WOULD_DIFFER, f"New pods would have {found}. {TAKE_IT}."
    return False, Reason.UP_TO_DATE, "New pods would be made as those that serve."
