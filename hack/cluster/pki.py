"""Certificates and kubeconfigs of the local cluster, by openssl: one CA, a client for each part, short and local."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster import places

DAYS = "3650"
SERVING_NAMES = (
    "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,"
    f"DNS:localhost,IP:127.0.0.1,IP:{places.SERVICE_IP},IP:{places.NODE_IP}"
)


@dataclass(frozen=True)
class Certificate:
    """`subject` is openssl's: /O=.../CN=... ; `names` are subjectAltNames, only servers need them."""

    name: str
    subject: str
    names: str = ""


CERTIFICATES = (
    Certificate("apiserver", "/CN=kube-apiserver", SERVING_NAMES),
    Certificate(
        "kubelet-serving",
        f"/O=system:nodes/CN=system:node:{places.NODE}",
        f"DNS:{places.NODE},IP:{places.NODE_IP}",
    ),
    Certificate("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
    Certificate("admin", "/O=system:masters/CN=admin"),
    Certificate("controller-manager", "/CN=system:kube-controller-manager"),
    Certificate("scheduler", "/CN=system:kube-scheduler"),
    Certificate("proxy", "/CN=system:kube-proxy"),
    Certificate("node", f"/O=system:nodes/CN=system:node:{places.NODE}"),
)
CLIENTS = ("admin", "controller-manager", "scheduler", "proxy", "node")


def ensure(folder: Path = places.PKI) -> None:
    """Make what is missing; a complete folder is left as it is, so that clients keep working over a restart."""
    if (folder / "complete").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    make_authority(folder)
    for certificate in CERTIFICATES:
        make_certificate(folder, certificate)
    openssl("genrsa", "-out", str(folder / "service-account.key"), "2048")
    openssl(
        "rsa",
        "-in",
        str(folder / "service-account.key"),
        "-pubout",
        "-out",
        str(folder / "service-account.pub"),
    )
    (folder / "complete").touch()


def make_authority(folder: Path) -> None:
    key, certificate = str(folder / "ca.key"), str(folder / "ca.crt")
    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        DAYS,
        "-subj",
        "/CN=realtime-serve local CA",
        "-keyout",
        key,
        "-out",
        certificate,
    )


def make_certificate(folder: Path, wanted: Certificate) -> None:
    key, request, signed = (str(folder / f"{wanted.name}.{suffix}") for suffix in ("key", "csr", "crt"))
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", wanted.subject, "-keyout", key, "-out", request)
    extensions = folder / f"{wanted.name}.ext"
    lines = [
        "extendedKeyUsage=clientAuth,serverAuth",
        *([f"subjectAltName={wanted.names}"] if wanted.names else []),
    ]
    extensions.write_text("\n".join(lines) + "\n")
    authority = ("-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"), "-CAcreateserial")
    openssl(
        "x509", "-req", "-in", request, *authority, "-days", DAYS, "-extfile", str(extensions), "-out", signed
    )


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def kubeconfig(client: str) -> dict[str, Any]:
    """One cluster, one user, one context whose name nothing else has."""
    pki = places.PKI
    user = {"client-certificate": str(pki / f"{client}.crt"), "client-key": str(pki / f"{client}.key")}
    server = {"server": "https://127.0.0.1:6443", "certificate-authority": str(pki / "ca.crt")}
    name = places.CONTEXT
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": client, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": client}}],
        "current-context": name,
    }


def write_kubeconfigs() -> None:
    for client in CLIENTS:
        path = places.KUBECONFIG if client == "admin" else places.CONFIG / f"{client}.kubeconfig"
        path.write_text(json.dumps(kubeconfig(client), indent=1) + "\n")
        path.chmod(0o600)
