"""What `make test` counts."""

import sys
from pathlib import Path

from hack.testrun import Stage, read_report, run_stage

REPORT = """<testsuites><testsuite>
<testcase name="good"/><testcase name="bad"><failure/></testcase>
<testcase name="broken"><error/></testcase><testcase name="left out"><skipped/></testcase>
</testsuite></testsuites>"""


def test_a_skipped_test_counts_as_failed(tmp_path: Path) -> None:
    path = tmp_path / "unit.xml"
    path.write_text(REPORT)
    assert read_report(path) == (1, 3)


def test_a_run_without_a_report_has_failed(tmp_path: Path) -> None:
    assert read_report(tmp_path / "none.xml") == (0, 1)


def test_a_command_that_fails_is_one_failure(tmp_path: Path) -> None:
    outcome = run_stage(Stage("x", (sys.executable, "-c", "raise SystemExit(3)")), tmp_path)
    assert (outcome.passed, outcome.failed) == (0, 1)


def test_a_runner_that_dies_after_its_report_is_a_failure(tmp_path: Path) -> None:
    write = "import sys; open(sys.argv[1].partition('=')[2], 'w').write('<testsuite><testcase/></testsuite>'); sys.exit(2)"
    outcome = run_stage(Stage("x", (sys.executable, "-c", write), is_pytest=True), tmp_path)
    assert (outcome.passed, outcome.failed) == (1, 1)
