"""A real etcd, API server and controller manager on ports and in a folder of their own: several may run beside each other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from hack import binaries
from hack.binaries import BIN
from hack.kube import Kube
from hack.ports import free_port

Part = Literal["etcd", "kube-apiserver", "kube-controller-manager"]
ADMIN, OPERATOR = "admin-token", "operator-token"
OPERATOR_USER = "operator"
START_SECONDS = 90.0
CONTROLLERS = ("deployment", "replicaset", "endpointslice", "garbage-collector", "namespace", "disruption")
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "users": [OPERATOR_USER]}, {"level": "None"}],
}


class DidNotStart(Exception):
    """A part ended or did not answer; the message ends with the tail of its log."""


class ControlPlane:
    """`with ControlPlane(folder) as plane:`. There is no scheduler and no kubelet: see `FakePods`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[Part, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def audit_log(self) -> Path:
        """A line of JSON for each request of the operator's user."""
        return self.folder / "audit.log"

    @property
    def kube(self) -> Kube:
        return Kube(kubectl=BIN / "kubectl", kubeconfig=self.folder / "admin.kubeconfig")

    def __enter__(self) -> Self:
        binaries.ensure("etcd")
        binaries.ensure("kubernetes")  # minutes, where they are not yet built: ports are drawn after it
        self._etcd_port, self._peer_port, self._port, self._manager_port = (free_port() for _ in range(4))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_files()
        try:
            for part in ("etcd", "kube-apiserver", "kube-controller-manager"):
                self.start(part)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for part in ("kube-controller-manager", "kube-apiserver", "etcd"):
            self.kill(part)
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def start(self, part: Part) -> None:
        """Start a part and wait until it answers. Raises DidNotStart."""
        with (self.folder / f"{part}.log").open("ab") as log:
            command = (str(BIN / part), *self._flags(part))
            self._running[part] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(part):
            if self._running[part].poll() is not None or time.monotonic() > deadline:
                tail = (self.folder / f"{part}.log").read_text(errors="replace").splitlines()[-8:]
                raise DidNotStart("\n".join([f"{part} did not start:", *tail]))
            time.sleep(0.1)

    def kill(self, part: Part) -> None:
        process = self._running.pop(part, None)
        if process is not None:
            process.kill()
            process.wait()

    def restart(self, part: Part) -> None:
        self.kill(part)
        self.start(part)

    @contextmanager
    def paused(self, part: Part) -> Iterator[None]:
        """Stopped but not dead: its connections stay open and nothing answers on them."""
        self._running[part].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running[part].send_signal(signal.SIGCONT)

    def write_kubeconfig(self, path: Path, token: str, server: str = "") -> Path:
        name = "apiserver"
        cluster = {"server": server or self.url}
        if cluster["server"].startswith("https"):
            cluster |= {"insecure-skip-tls-verify": True}  # type: ignore[dict-item]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        path.write_text(json.dumps(config))
        return path

    def _write_files(self) -> None:
        key = str(self.folder / "service-account.key")
        subprocess.run(("openssl", "genrsa", "-out", key, "2048"), check=True, capture_output=True)
        tokens = f'{ADMIN},admin,1,"system:masters"\n{OPERATOR},{OPERATOR_USER},2\n'
        (self.folder / "tokens.csv").write_text(tokens)
        (self.folder / "audit.json").write_text(json.dumps(AUDIT))
        self.write_kubeconfig(self.folder / "admin.kubeconfig", ADMIN)

    def _flags(self, part: Part) -> tuple[str, ...]:
        etcd = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        key = self.folder / "service-account.key"
        config = self.folder / "admin.kubeconfig"
        match part:
            case "etcd":
                return (
                    "--name=local",
                    f"--data-dir={self.folder / 'etcd'}",
                    f"--listen-client-urls={etcd}",
                    f"--advertise-client-urls={etcd}",
                    f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=local={peer}",
                    "--unsafe-no-fsync",
                    "--log-level=warn",
                )
            case "kube-apiserver":
                return (
                    f"--etcd-servers={etcd}",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={self._port}",
                    f"--cert-dir={self.folder}",
                    "--authorization-mode=RBAC",
                    f"--token-auth-file={self.folder / 'tokens.csv'}",
                    "--disable-admission-plugins=ServiceAccount",
                    "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
                    "--service-cluster-ip-range=10.97.0.0/16",
                    "--endpoint-reconciler-type=none",
                    f"--service-account-key-file={key}",
                    f"--service-account-signing-key-file={key}",
                    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                    f"--audit-policy-file={self.folder / 'audit.json'}",
                    f"--audit-log-path={self.audit_log}",
                )
            case "kube-controller-manager":
                return (
                    f"--kubeconfig={config}",
                    f"--controllers={','.join(f'{name}-controller' for name in CONTROLLERS)}",
                    "--leader-elect=false",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={self._manager_port}",
                    f"--cert-dir={self.folder / 'manager'}",
                    "--kube-api-qps=300",
                    "--kube-api-burst=600",
                )

    def _answers(self, part: Part) -> bool:
        url = {
            "etcd": f"http://127.0.0.1:{self._etcd_port}/health",
            "kube-apiserver": f"{self.url}/readyz",
            "kube-controller-manager": f"https://127.0.0.1:{self._manager_port}/healthz",
        }[part]
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {ADMIN}"})  # noqa: S310 - our own
        trusting = ssl._create_unverified_context()  # noqa: S323, SLF001 - it made its certificate itself
        try:
            with urllib.request.urlopen(request, timeout=2, context=trusting) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            return part == "kube-controller-manager" and error.code == 403
        except OSError:
            return False


def is_root() -> bool:
    return os.geteuid() == 0
