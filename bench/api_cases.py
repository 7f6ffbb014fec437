"""`python -m bench.api_cases [--each 400]`: thousands of requests made from the OpenAPI document, against the whole server."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import psutil

from tests.support.api_cases import run_cases
from tests.support.server_process import ServerProcess
from tests.support.tiny_models import write_model


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.api_cases", description=__doc__)
    parser.add_argument("--each", type=int, default=400, help="cases an operation and phase, at most")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        server = ServerProcess(write_model(folder / "model"), folder / "server.log")
        server.start("--dtype=float32")
        try:
            begin, before = time.monotonic(), memory(server)
            report = run_cases(
                server.address,
                each=arguments.each,
                phases="coverage,fuzzing",
                seed=arguments.seed,
                folder=folder,
            )
            print(report.text if report.failures else "")
            status = server.get("/status")
            print(f"{report.cases} cases in {time.monotonic() - begin:.0f} s, {report.failures} failures")
            print(f"afterwards: {status['streams']}, {status['queues']}, {before} -> {memory(server)} MiB")
        finally:
            server.stop()
    return 1 if report.failures else 0


def memory(server: ServerProcess) -> int:
    """The front end's, in MiB."""
    if server.process is None:
        raise RuntimeError("the server does not run")
    return int(psutil.Process(server.process.pid).memory_info().rss) >> 20


if __name__ == "__main__":
    raise SystemExit(main())
