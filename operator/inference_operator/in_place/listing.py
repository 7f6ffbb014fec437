"""Which versions the settings of a fleet list, and which of them new work goes to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from inference_operator import names
from inference_operator.observed import Fleet
from inference_operator.weights import Weights


@dataclass(frozen=True, slots=True)
class Listing:
    active: str
    versions: tuple[Weights, ...] = ()
    """Empty: the one of the pod's command line."""


def listing(fleet: Fleet) -> Listing:
    """By the marks on the fleet alone, so every observation renders the same."""
    own, incoming, outgoing = fleet.weights, fleet.incoming, fleet.outgoing
    if own is None or names.IN_PLACE_SINCE not in fleet.annotations:
        return Listing(fleet.version)
    if incoming and incoming.cleared:
        return Listing(incoming.weights.version, (incoming.weights,))
    if incoming and not incoming.alone_since:
        return Listing(own.version, (own, incoming.weights))
    if outgoing:
        return Listing(own.version, (outgoing.weights, own))
    return Listing(own.version, (own,))


def makes_way(fleet: Fleet) -> bool:
    """Its pods drain, so that the incoming version gets the memory."""
    return fleet.incoming is not None and bool(fleet.incoming.alone_since)
