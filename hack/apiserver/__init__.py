"""Kubernetes without a node: etcd, API server and controllers of one's own, to break at will; pods are fiction."""

from hack.apiserver.plane import ControlPlane
from hack.apiserver.pods import FakePods
from hack.apiserver.traffic import FakeTraffic

__all__ = ["ControlPlane", "FakePods", "FakeTraffic"]
