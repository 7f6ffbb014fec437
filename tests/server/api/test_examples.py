"""The examples run as they say."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "examples"
PATIENCE = 60


@contextlib.contextmanager
def serve_model():
    """The port of the example, once it listens; it ends by SIGTERM, without an error."""
    command = [sys.executable, str(EXAMPLES / "serve_model.py"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stderr if '"listening"' in line)
            port = json.loads(line)["port"]
            wait_until_ready(f"http://127.0.0.1:{port}/ready")
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            rest = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0, rest


def wait_until_ready(url):
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=PATIENCE):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_benchmark_measures_the_served_model():
    with serve_model() as port:
        url = f"http://127.0.0.1:{port}"
        measure = [sys.executable, str(EXAMPLES / "benchmark_client.py"), "--url", url]
        measure += ["--requests", "12", "--concurrency", "4", "--max-tokens", "9"]
        table = subprocess.run(measure, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        with urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE) as response:
            metrics = response.read().decode()
    assert "requests    12 good, 0 failed" in table
    assert len(re.findall(r"p50 [\d.]+  p95 [\d.]+  p99 [\d.]+", table)) == 2
    made = re.search(r"^realtime_serve_generation_tokens_total\{.*\} (.+)$", metrics, re.MULTILINE)
    assert float(made[1]) == 12 * 9
