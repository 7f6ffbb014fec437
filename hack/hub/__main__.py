"""python -m hack.hub up|down|status|model|serve."""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
import urllib.request

from aiohttp import web

from hack import model
from hack.background import Background, DidNotStart
from hack.hub import samples
from hack.hub.app import Hub

NODE = "10.87.0.1"  # the local cluster's node address: pods and the host both reach it
PORT = 8090


def pick_address(wanted: str | None) -> str:
    """The wanted address, else the node's where this machine holds it, else loopback."""
    if wanted:
        return wanted
    with socket.socket() as probe:
        try:
            probe.bind((NODE, 0))
        except OSError:
            return "127.0.0.1"
    return NODE


def background(address: str, port: int) -> Background:
    command = [sys.executable, "-m", "hack.hub", "serve", "--bind", address, "--port", str(port)]
    return Background("hub", command, f"http://{address}:{port}/_stats")


def up(address: str, port: int) -> int:
    begin = time.monotonic()
    samples.publish()
    started = background(address, port).start()
    state = f"up after {time.monotonic() - begin:.1f} s" if started else "was up"
    print(f"hub {state}: HF_ENDPOINT=http://{address}:{port}")
    return 0


def down(address: str, port: int) -> int:
    print("hub ended" if background(address, port).stop() else "hub was not running")
    return 0


def status(address: str, port: int) -> int:
    hub = background(address, port)
    pid = hub.pid()
    if pid is None:
        print("hub is not running")
        return 1
    url = hub.recorded_url()
    print(f"hub runs as process {pid} at {url.removesuffix('/_stats')}, log {hub.log}")
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # our own http:// address
        files: dict[str, dict[str, int]] = json.load(answer)["files"]
    for name, count in sorted(files.items()):
        print(f"  {count['gets']:>4} downloads {count['heads']:>4} heads  {name}")
    return 0


def serve(address: str, port: int) -> int:
    samples.ROOT.mkdir(parents=True, exist_ok=True)
    web.run_app(Hub(samples.ROOT).app(), host=address, port=port)
    return 0


def main() -> int:
    commands = {"up": up, "down": down, "status": status, "serve": serve}
    parser = argparse.ArgumentParser(prog="python -m hack.hub", description=__doc__)
    parser.add_argument("command", choices=[*commands, "model"])
    parser.add_argument("--bind", metavar="ADDRESS", help=f"default: {NODE} where this machine has it")
    parser.add_argument("--port", type=int, default=PORT)
    arguments = parser.parse_args()
    if arguments.command == "model":
        return model.main()
    try:
        return commands[arguments.command](pick_address(arguments.bind), arguments.port)
    except (DidNotStart, model.ModelMissing) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
