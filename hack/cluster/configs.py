"""The configuration files of the parts, rendered. Pure."""

from __future__ import annotations

import json
from typing import Any

from hack.cluster import places


def kubelet() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{places.CONTAINERD_SOCKET}",
        # This kernel offers no cgroup tree of its own to a sandboxed root: pods share the kubelet's.
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        # Without cgroups per pod, a pod that waits for its image makes this feature crash the kubelet (1.36).
        "featureGates": {"InPlacePodVerticalScaling": False},
        "localStorageCapacityIsolation": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(places.PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(places.PKI / "kubelet-serving.crt"),
        "tlsPrivateKeyFile": str(places.PKI / "kubelet-serving.key"),
        "address": places.NODE_IP,
        "clusterDNS": [places.NODE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": str(places.CONFIG / "resolv.conf"),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        # An image of the server takes 6 GB unpacked, and each change of its dependencies makes another.
        "imageMaximumGCAge": "6h",
        "serializeImagePulls": False,
        "maxPods": 60,
        "podLogsDir": str(places.LOGS / "pods"),
        "volumePluginDir": str(places.RUN / "volume-plugins"),
        "nodeStatusUpdateFrequency": "5s",
    }


def proxy() -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(places.CONFIG / "proxy.kubeconfig")},
        "hostnameOverride": places.NODE,
        "mode": "nftables",
        # A flip is seen by new connections once the rules are written: by default up to a second after the last time.
        "nftables": {"minSyncPeriod": "10ms"},
        "clusterCIDR": places.POD_CIDR,
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    }


def scheduler() -> dict[str, Any]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(places.CONFIG / "scheduler.kubeconfig")},
        "leaderElection": {"leaderElect": False},
    }


def containerd() -> str:
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE runc may not lower a score, and every pod would fail.
    return f"""\
version = 2
root = "{places.CONTAINERD_ROOT}"
state = "{places.CONTAINERD_STATE}"
[grpc]
  address = "{places.CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{places.PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{places.CONFIG}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry.mirrors."localhost:5000"]
    endpoint = ["http://localhost:5000"]
"""


def cni() -> dict[str, Any]:
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": places.POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(places.RUN / "cni-leases"),  # in the run folder: what a killed run leased goes with it
    }
    bridge = {
        "type": "bridge",
        "bridge": "rtspods0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": ipam,
    }
    return {
        "cniVersion": "1.0.0",
        "name": "rtspods",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }


def corefile() -> str:
    return f"""\
.:53 {{
    bind {places.NODE_IP}
    errors
    health {places.NODE_IP}:8053
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {places.KUBECONFIG}
        ttl 5
    }}
}}
"""


def files() -> dict[str, str]:
    """File name below the configuration folder: its text. Everything but DNS names of the cluster is unknown to pods."""
    return {
        "kubelet.yaml": json.dumps(kubelet(), indent=1),
        "proxy.yaml": json.dumps(proxy(), indent=1),
        "scheduler.yaml": json.dumps(scheduler(), indent=1),
        "containerd.toml": containerd(),
        "cni/10-rtspods.conflist": json.dumps(cni(), indent=1),
        "Corefile": corefile(),
        "resolv.conf": "",
    }


def write() -> None:
    for name, text in files().items():
        path = places.CONFIG / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
