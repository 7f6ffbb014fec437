"""The generated parts of docs/architecture.md: the picture of the rollout, and the layers as the contracts have them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from inference_operator import rollout

ROOT = Path(__file__).resolve().parent.parent


def render(text: str, pyproject: str) -> str:
    """The page with both parts as they are now. Raises ValueError when a marker is missing. Pure."""
    text = replace(text, "rollout", f"```mermaid\n{rollout.diagram()}```")
    contracts = tomllib.loads(pyproject)["tool"]["importlinter"]["contracts"]
    return replace(text, "layers", "\n\n".join(draw(c) for c in contracts if c["type"] == "layers"))


def draw(contract: dict[str, Any]) -> str:
    return "\n".join([f"{contract['name']}:", "```", *contract["layers"], "```"])


def replace(text: str, name: str, content: str) -> str:
    pattern = rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)"
    replaced, count = re.subn(
        pattern, lambda match: f"{match[1]}{content}\n{match[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"the page has {count} places for {name!r}, not one")
    return replaced


def page() -> str:
    return render((ROOT / "docs/architecture.md").read_text(), (ROOT / "pyproject.toml").read_text())
