"""`make test`: every check and every test, one summary line, exit code 1 when anything failed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("RTS_CACHE", Path.home() / ".cache" / "realtime-serve"))


@dataclass(frozen=True)
class Stage:
    name: str
    command: tuple[str, ...]
    is_pytest: bool = False


@dataclass(frozen=True)
class Outcome:
    stage: str
    passed: int
    failed: int
    seconds: float


CPP = sorted(str(path) for path in (ROOT / "server").rglob("*.*") if path.suffix in {".cpp", ".h"})
PYTEST = (sys.executable, "-m", "pytest", "-q")
STAGES = (
    Stage("lint", (sys.executable, "-m", "ruff", "check", ".")),
    Stage("format", (sys.executable, "-m", "ruff", "format", "--check", ".")),
    Stage("C++ format", (str(Path(sys.executable).with_name("clang-format")), "--dry-run", "--Werror", *CPP)),
    Stage("types", (sys.executable, "-m", "mypy")),
    Stage("layers", (str(Path(sys.executable).with_name("lint-imports")), "--no-cache")),
    Stage("verify", (sys.executable, "-m", "hack.generate", "--check")),
    Stage(
        "unit", (*PYTEST, "-n", "2", "--dist", "loadfile", "-m", "not cluster and not plane"), is_pytest=True
    ),
    # Their operators and pods mostly wait: three of these take little more than one core.
    Stage("plane", (*PYTEST, "-n", "3", "-m", "plane", "tests/plane"), is_pytest=True),
    Stage("e2e", (*PYTEST, "-m", "cluster", "tests/e2e"), is_pytest=True),
)


def read_report(path: Path) -> tuple[int, int]:
    """Passed and failed tests of a JUnit report. A skipped test counts as failed: a part was missing."""
    if not path.exists():
        return 0, 1
    passed = failed = 0
    for case in ET.parse(path).iter("testcase"):  # noqa: S314  # the report that pytest just wrote
        bad = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
        failed, passed = failed + bad, passed + (not bad)
    return passed, failed


def run_stage(stage: Stage, results: Path) -> Outcome:
    print(f"\n== {stage.name}: {' '.join(Path(part).name for part in stage.command)}", flush=True)
    report = results / f"{stage.name}.xml"
    report.unlink(missing_ok=True)
    extra = (f"--junitxml={report}",) if stage.is_pytest else ()
    begin = time.monotonic()
    code = subprocess.run((*stage.command, *extra), cwd=ROOT, check=False).returncode
    seconds = time.monotonic() - begin
    if not stage.is_pytest:
        return Outcome(stage.name, int(code == 0), int(code != 0), seconds)
    passed, failed = read_report(report)
    return Outcome(stage.name, passed, max(failed, int(code != 0)), seconds)


def main() -> int:
    results = CACHE / "results"
    results.mkdir(parents=True, exist_ok=True)
    outcomes = [run_stage(stage, results) for stage in STAGES]
    print(f"\n{'stage':<10}{'passed':>8}{'failed':>8}{'seconds':>10}")
    for outcome in outcomes:
        print(f"{outcome.stage:<10}{outcome.passed:>8}{outcome.failed:>8}{outcome.seconds:>10.1f}")
    passed, failed = (sum(getattr(o, key) for o in outcomes) for key in ("passed", "failed"))
    print(f"\n{passed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
