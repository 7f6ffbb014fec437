"""Whether pods would fit into the cluster beside what runs there, and what lacks where. Pure; knows Kubernetes alone."""

from inference_operator.room.fit import Fit, fit
from inference_operator.room.picture import Node, Quota, Room, read_room

__all__ = ["Fit", "Node", "Quota", "Room", "fit", "read_room"]
