"""Requests that schemathesis makes from the OpenAPI document of a running server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_CHECKED = "positive_data_acceptance"
"""A body may be right by its schema and wrong for the model: a text that is too long, a token that there is not."""


@dataclass(frozen=True)
class Report:
    """What came of it."""

    cases: int
    failures: int
    text: str


def run_cases(address: str, *, each: int, phases: str, seed: int, folder: Path) -> Report:
    """At most `each` cases an operation and phase; what schemathesis leaves lies in the folder afterwards."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://{address}/openapi.json"]
    command += [f"--phases={phases}", f"--max-examples={each}", f"--seed={seed}", "--continue-on-failure"]
    command += [f"--exclude-checks={NOT_CHECKED}", "--warnings=off", "--suppress-health-check=all"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.support.api_hooks"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"(\d+) generated(?:, \d+ found (\d+) unique)?", done.stdout)
    if found is None:
        raise RuntimeError(f"schemathesis told no count: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    failures = int(found[2] or 0)
    if bool(failures) != bool(done.returncode):
        raise RuntimeError(f"schemathesis ended with {done.returncode}: {done.stdout[-4000:]}")
    return Report(int(found[1]), failures, done.stdout)
