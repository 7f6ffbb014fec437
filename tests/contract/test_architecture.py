"""docs/architecture.md names every room that there is, and no other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"operator": ROOT / "operator/inference_operator", "server": ROOT / "server/realtime_serve"}


def rooms(package: Path) -> set[str]:
    files = {path.stem for path in package.glob("*.py")} - {"__init__"}
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    return files | folders


def described(name: str) -> list[str]:
    """The names in the first column of the table that is headed by `name`."""
    page = (ROOT / "docs/architecture.md").read_text()
    table = page.split(f"| {name} | what is in it |")[1].split("\n\n")[0]
    first_column = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return re.findall(r"`([^`]+)`", " ".join(first_column))


@pytest.mark.parametrize("name", PACKAGES)
def test_every_room_is_described_once(name):
    named = described(name)
    assert len(named) == len(set(named))
    assert set(named) == rooms(PACKAGES[name])


def test_no_package_is_called_operator():
    """It would stand before the standard library's own on every path that holds the repository."""
    assert not (ROOT / "operator/__init__.py").exists()
    assert not (ROOT / "tests/operator/__init__.py").exists()
