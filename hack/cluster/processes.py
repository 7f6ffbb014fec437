"""The back end without Docker: Kubernetes from its own modules, as plain processes of this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from hack import binaries, packages, registry
from hack.background import started_at
from hack.cache import alone
from hack.cluster import configs, network, objects, parts, pause, pki, places
from hack.cluster.parts import Part

START_SECONDS = 90.0
STOP_SECONDS = 3.0


class CannotRun(Exception):
    """This machine cannot hold the cluster; the message says what is missing and what to do."""


class PartFailed(Exception):
    """A part ended, or did not answer in time; the message ends with the tail of its log."""


def require_this_machine() -> None:
    if not sys.platform.startswith("linux"):
        raise CannotRun("the cluster without Docker needs Linux; install Docker, and kind is used instead")
    if os.geteuid() != 0:
        raise CannotRun("the cluster without Docker needs root (network, mounts, cgroups): run it with sudo")


@dataclass(frozen=True)
class Process:
    """A part as it runs, remembered in a file so that another command can find it."""

    part: Part

    @property
    def record(self) -> Path:
        return places.RUN / "pids" / f"{self.part.name}.json"

    @property
    def log(self) -> Path:
        return places.LOGS / f"{self.part.name}.log"

    def pid(self) -> int | None:
        """None when it does not run; a pid that the kernel gave to another program since is not ours."""
        if not self.record.exists():
            return None
        found = json.loads(self.record.read_text())
        return int(found["pid"]) if found["started"] == started_at(found["pid"]) else None

    def start(self) -> None:
        if self.pid() is not None:
            return
        for folder in (self.record.parent, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.part.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
            )
        self.record.write_text(json.dumps({"pid": process.pid, "started": started_at(process.pid)}))

    def await_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.healthy():
            if self.pid() is None or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise PartFailed(f"{self.part.name} did not come up; the end of {self.log}:\n{tail}")
            time.sleep(0.05)

    def healthy(self) -> bool:
        if self.pid() is None:
            return False
        check = self.part.check
        return answers(check) if "://" in check else not check or recovered(Path(check))

    def stop(self, *, force: bool = False) -> bool:
        """False when it did not run."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGKILL if force else signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self.pid() == pid:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)
        self.record.unlink(missing_ok=True)
        return pid is not None


def answers(url: str) -> bool:
    """200 from a health endpoint of this machine, as the admin where a certificate is asked for."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # their self-made certificates
    if (places.PKI / "complete").exists():
        context.load_cert_chain(places.PKI / "admin.crt", places.PKI / "admin.key")
    try:
        with urllib.request.urlopen(url, timeout=3, context=context) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def recovered(runtime: Path) -> bool:
    """Whether containerd answers CRI calls: for a while after it listens it recovers its state and refuses them.

    A kubelet that asks too early ends. The request is gRPC's frame of an empty message; only a success has a body.
    """
    done = subprocess.run(
        (
            *("curl", "--silent", "--max-time", "3", "--http2-prior-knowledge"),
            *("--unix-socket", str(runtime), "--data-binary", "@-"),
            *("--header", "content-type: application/grpc", "--header", "te: trailers"),
            "http://localhost/runtime.v1.RuntimeService/Version",
        ),
        input=bytes(5),
        capture_output=True,
        check=False,
    )
    return bool(done.stdout)


def processes() -> list[Process]:
    return [Process(part) for part in parts.all_parts()]


def up(gpus: int) -> None:
    """A Ready node. Raises CannotRun, PartFailed, and what building and installing raise."""
    require_this_machine()
    with alone("cluster"):  # two starts at once would each take the other's half for a ruin
        packages.ensure(packages.CLUSTER, packages.IMAGES)
        binaries.ensure("kubernetes", "etcd", "coredns", "helm")
        registry.up()
        if not any(process.pid() for process in processes()):
            prepare()
        start_all()
        objects.ensure(gpus)


def prepare() -> None:
    """Clear away what a killed run left, and write what the parts read. Never while a part runs: it may only be slow."""
    down()
    pki.ensure()
    configs.write()
    pki.write_kubeconfigs()
    network.up()


def start_all() -> None:
    """Start the parts that do not run, in their order, and wait for each."""
    for process in processes():
        process.start()
        process.await_healthy()
        if process.part.name == "containerd":
            pause.ensure()
        if process.part.name == "kube-apiserver":
            objects.allow_kubelet_api()


def down() -> None:
    """End all parts, then the pods that outlived them, their mounts, links and rules. Images and logs stay."""
    for process in reversed(processes()):
        if process.part.name == "containerd":
            end_pods()
        process.stop()
    network.unmount_below(places.RUN)
    network.down()
    for name in ("etcd", "kubelet", "containerd", "cni-leases", "pids"):
        shutil.rmtree(places.RUN / name, ignore_errors=True)


def end_pods() -> None:
    """The shims of our containerd: each pod's processes end with its shim."""
    for shim in find_shims():
        for pid in (*children(shim), shim):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def find_shims() -> list[int]:
    """Processes that were started with our containerd's socket, which no other program names."""
    wanted = str(places.CONTAINERD_SOCKET).encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"containerd-shim" in arguments[0] and wanted in arguments:
            found.append(int(path.parent.name))
    return found


def children(pid: int) -> list[int]:
    """All descendants, the deepest first."""
    try:
        direct = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [descendant for child in map(int, direct) for descendant in (*children(child), child)]


def find(name: str) -> Process:
    """Raises CannotRun for a name that no part has."""
    known = {process.part.name: process for process in processes()}
    if name not in known:
        raise CannotRun(f"there is no part {name!r}; the parts are {', '.join(known)}")
    return known[name]


def kill(name: str) -> None:
    find(name).stop(force=True)


def pause_part(name: str) -> None:
    _signal(find(name), signal.SIGSTOP)


def resume(name: str) -> None:
    _signal(find(name), signal.SIGCONT)


def restart(name: str) -> None:
    process = find(name)
    process.stop()
    process.start()
    process.await_healthy()
    objects.restore_gpus()


def _signal(process: Process, number: signal.Signals) -> None:
    pid = process.pid()
    if pid is None:
        raise CannotRun(f"{process.part.name} does not run")
    os.kill(pid, number)
