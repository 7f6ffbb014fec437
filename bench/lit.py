"""LitServe, as one writes it for a language model: requests that arrive together are generated together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers import peers_python
from bench.servers import Server, running
from hack.ports import free_port

SCRIPT = Path(__file__).with_name("lit_server.py")
BATCH = 32


@contextmanager
def litserve(directory: Path) -> Iterator[Server]:
    """LitServe with batches of as many requests as wait, its workers on this machine's processor."""
    port = free_port()
    command = [str(peers_python()), str(SCRIPT), str(directory), str(port), str(BATCH)]
    with running(command, port, "/health") as process:
        yield Server("LitServe", f"http://127.0.0.1:{port}", "model", process, restless=True)
