"""Addresses and paths of the local cluster: each stands here once."""

from __future__ import annotations

from pathlib import Path

from hack.binaries import BIN
from hack.cache import CACHE, RUN

NODE = "local"
CONTEXT = "realtime-serve"
BRIDGE = "rts0"
NODE_IP = "10.87.0.1"
POD_CIDR = "10.88.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
SERVICE_IP = "10.96.0.1"
NODE_PORT = 30080
HOST_PORT = 8080
PAUSE = "docker.io/realtime-serve/pause:1"
"""Never pulled: `pause.py` imports it."""

PKI = RUN / "pki"
CONFIG = RUN / "config"
LOGS = RUN / "logs"
KUBECONFIG = RUN / "kubeconfig"
CONTAINERD_SOCKET = RUN / "containerd.sock"
CONTAINERD_STATE = RUN / "containerd"
"""Mounts of running pods; gone after `down`."""
CONTAINERD_ROOT = CACHE / "containerd"
"""Pulled images: kept, so that the next start pulls nothing."""
VOLUMES = CACHE / "volumes"

__all__ = ["BIN", "CACHE", "RUN", "Path"]
