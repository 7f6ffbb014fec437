"""Marks on a fleet: how they are put there and taken away. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference_operator.actions import PatchFleet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inference_operator.observed import Fleet


def patch(fleet: Fleet, marks: Mapping[str, str | None], *, replicas: int | None = None) -> PatchFleet:
    return PatchFleet(
        fleet=fleet.name,
        uid=fleet.uid,
        resource_version=fleet.resource_version,
        replicas=replicas,
        annotations=marks,
    )


def gone(fleet: Fleet, *marks: str) -> dict[str, str | None]:
    return {mark: None for mark in marks if mark in fleet.annotations}
