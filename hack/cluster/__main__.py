"""python -m hack.cluster up|down|status|logs|kill|pause|resume|restart."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from hack import registry
from hack.background import DidNotStart
from hack.binaries import CannotBuild
from hack.cluster import Cluster, choose, kind, objects, places, processes
from hack.packages import PackagesMissing

ACTIONS = {
    "kill": processes.kill,
    "pause": processes.pause_part,
    "resume": processes.resume,
    "restart": processes.restart,
}
FAILURES = (
    CannotBuild,
    PackagesMissing,
    kind.KindFailed,
    objects.NotReady,
    processes.CannotRun,
    processes.PartFailed,
    DidNotStart,
)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m hack.cluster", description="A real Kubernetes on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it, or say that it is up")
    up.add_argument("--gpus", type=int, default=0, help="fake nvidia.com/gpu on the node (default 0)")
    up.add_argument("--backend", choices=["auto", "kind", "processes"], default="auto")
    commands.add_parser("down", help="end it; images and logs stay in the cache")
    commands.add_parser("status", help="a line for each part")
    commands.add_parser("logs", help="the end of each part's log")
    for name in ACTIONS:
        commands.add_parser(name, help=f"{name} one part").add_argument("part")
    return parser.parse_args(arguments)


def up(gpus: int, backend: str) -> None:
    begin = time.monotonic()
    cluster = Cluster.up(gpus, backend)  # type: ignore[arg-type]  # argparse has checked the choices
    print(f"cluster up ({cluster.backend}), node Ready, {time.monotonic() - begin:.1f} s")
    print(f"  export KUBECONFIG={cluster.kubeconfig} PATH={places.BIN}:$PATH")


def down() -> None:
    if choose("auto") == "kind":
        kind.down()
    else:
        processes.down()
        registry.down()
    print("cluster down")


def status() -> int:
    rows = [(p.part.name, p.pid(), p.healthy()) for p in processes.processes()]
    for name, pid, healthy in rows:
        print(
            f"{name:<26}{pid or '-':>8}  {'healthy' if healthy else 'not healthy' if pid else 'not running'}"
        )
    return int(not all(healthy for _, _, healthy in rows))


def logs() -> None:
    for path in sorted(places.LOGS.glob("*.log")):
        print(f"==> {path}")
        subprocess.run(["tail", "-n", "10", str(path)], check=False)


def run(wanted: argparse.Namespace) -> int:
    if wanted.command == "up":
        up(wanted.gpus, wanted.backend)
    elif wanted.command == "status":
        return status()
    elif wanted.command in ACTIONS:
        ACTIONS[wanted.command](wanted.part)
    else:
        {"down": down, "logs": logs}[wanted.command]()
    return 0


def main() -> int:
    try:
        return run(parse(sys.argv[1:]))
    except FAILURES as error:
        print(f"hack.cluster: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
