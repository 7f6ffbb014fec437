"""The parts of the control plane and the node: how each is started, and what tells that it is up. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hack.cluster import places
from hack.cluster.places import BIN, CONFIG, NODE_IP, PKI, RUN


@dataclass(frozen=True)
class Part:
    """`check` is a URL that answers 200, or the socket of a container runtime whose CRI answers."""

    name: str
    command: tuple[str, ...]
    check: str


ETCD = "http://127.0.0.1:2379"
APISERVER = "https://127.0.0.1:6443"


def etcd() -> Part:
    flags = (
        "--name=local",
        f"--data-dir={RUN / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=local=http://127.0.0.1:2380",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )
    return Part("etcd", (str(BIN / "etcd"), *flags), f"{ETCD}/health")


def apiserver() -> Part:
    flags = (
        f"--etcd-servers={ETCD}",
        f"--advertise-address={NODE_IP}",
        "--secure-port=6443",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={places.SERVICE_CIDR}",
        f"--tls-cert-file={PKI / 'apiserver.crt'}",
        f"--tls-private-key-file={PKI / 'apiserver.key'}",
        f"--client-ca-file={PKI / 'ca.crt'}",
        f"--service-account-key-file={PKI / 'service-account.pub'}",
        f"--service-account-signing-key-file={PKI / 'service-account.key'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--kubelet-client-certificate={PKI / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={PKI / 'apiserver-kubelet-client.key'}",
        f"--kubelet-certificate-authority={PKI / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--cert-dir={RUN / 'apiserver'}",
    )
    return Part("kube-apiserver", (str(BIN / "kube-apiserver"), *flags), f"{APISERVER}/readyz")


def controller_manager() -> Part:
    config = CONFIG / "controller-manager.kubeconfig"
    flags = (
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--service-account-private-key-file={PKI / 'service-account.key'}",
        f"--root-ca-file={PKI / 'ca.crt'}",
        f"--service-cluster-ip-range={places.SERVICE_CIDR}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        f"--cert-dir={RUN / 'controller-manager'}",
    )
    return Part(
        "kube-controller-manager",
        (str(BIN / "kube-controller-manager"), *flags),
        "https://127.0.0.1:10257/healthz",
    )


def scheduler() -> Part:
    config = CONFIG / "scheduler.kubeconfig"
    flags = (
        f"--config={CONFIG / 'scheduler.yaml'}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--cert-dir={RUN / 'scheduler'}",
    )
    return Part("kube-scheduler", (str(BIN / "kube-scheduler"), *flags), "https://127.0.0.1:10259/healthz")


def containerd() -> Part:
    command = ("containerd", "--config", str(CONFIG / "containerd.toml"))
    return Part("containerd", command, str(places.CONTAINERD_SOCKET))


def kubelet() -> Part:
    flags = (
        f"--config={CONFIG / 'kubelet.yaml'}",
        f"--kubeconfig={CONFIG / 'node.kubeconfig'}",
        f"--hostname-override={places.NODE}",
        f"--node-ip={NODE_IP}",
        f"--root-dir={RUN / 'kubelet'}",
        f"--cert-dir={RUN / 'kubelet-certs'}",
    )
    return Part("kubelet", (str(BIN / "kubelet"), *flags), "http://127.0.0.1:10248/healthz")


def proxy() -> Part:
    command = (str(BIN / "kube-proxy"), f"--config={CONFIG / 'proxy.yaml'}")
    return Part("kube-proxy", command, "http://127.0.0.1:10256/livez")


def coredns() -> Part:
    command = (str(BIN / "coredns"), "-conf", str(CONFIG / "Corefile"))
    return Part("coredns", command, f"http://{NODE_IP}:8053/health")


def host_port() -> Part:
    """In nftables mode a NodePort answers on the node's address only; this is what kind does with extraPortMappings."""
    listen = f"TCP-LISTEN:{places.HOST_PORT},bind=127.0.0.1,fork,reuseaddr"
    return Part("host-port", ("socat", listen, f"TCP:{NODE_IP}:{places.NODE_PORT}"), "")


def all_parts() -> tuple[Part, ...]:
    """In the order of their start; they end in reverse, so the API server before etcd, which hangs a minute otherwise."""
    return (
        etcd(),
        apiserver(),
        controller_manager(),
        scheduler(),
        containerd(),
        kubelet(),
        proxy(),
        coredns(),
        host_port(),
    )
