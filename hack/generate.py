"""Files that are made from other files: `python -m hack.generate` writes them, `--check` fails where one differs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hack import architecture, chart_readme, dashboard

ROOT = Path(__file__).resolve().parent.parent
CHART = Path("charts/realtime-serve")


@dataclass(frozen=True)
class Generated:
    """A committed file and the function that says what belongs in it."""

    path: Path
    render: Callable[[], str]


def read_crd() -> str:
    return (ROOT / "crds/inferencemodels.yaml").read_text()


def render_chart_readme() -> str:
    chart = ROOT / CHART
    return chart_readme.render((chart / "README.md").read_text(), (chart / "values.yaml").read_text())


GENERATED = (
    Generated(CHART / "files/inferencemodels.yaml", read_crd),
    Generated(CHART / "dashboards/realtime-serve.json", dashboard.render),
    Generated(CHART / "README.md", render_chart_readme),
    Generated(Path("docs/architecture.md"), architecture.page),
)


def find_stale(generated: tuple[Generated, ...]) -> list[Path]:
    """The files whose committed text is not what their generator gives."""
    return [
        item.path
        for item in generated
        if not (ROOT / item.path).is_file() or (ROOT / item.path).read_text() != item.render()
    ]


def write(generated: tuple[Generated, ...]) -> None:
    for item in generated:
        (ROOT / item.path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / item.path).write_text(item.render())
        print(f"wrote {item.path}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    if not parser.parse_args().check:
        write(GENERATED)
        return 0
    stale = find_stale(GENERATED)
    for path in stale:
        print(f"{path} is not what its generator gives; run 'make generate'", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
