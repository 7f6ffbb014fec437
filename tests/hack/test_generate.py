"""Generated files: what is committed is what the generators give, and a difference is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack import chart_readme, generate


def test_every_committed_file_is_what_its_generator_gives() -> None:
    assert generate.find_stale(generate.GENERATED) == []


def test_a_changed_and_a_missing_file_are_both_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    same, changed, missing = (
        generate.Generated(Path(name), lambda: "text") for name in ("same", "changed", "missing")
    )
    (tmp_path / "same").write_text("text")
    (tmp_path / "changed").write_text("other text")
    assert generate.find_stale((same, changed, missing)) == [Path("changed"), Path("missing")]
    generate.write((same, changed, missing))
    assert generate.find_stale((same, changed, missing)) == []


def test_the_table_gives_each_value_its_default_and_comment() -> None:
    text = "# About image.\nimage:\n  # First line,\n  # second line.\n  tag: ''\n# Some a|b.\nlabels:\n  x: '1'\n"
    assert chart_readme.read_values(text) == [
        chart_readme.Value("image.tag", "", "First line, second line."),
        chart_readme.Value("labels", {"x": "1"}, "Some a|b."),
    ]
    readme = chart_readme.render("Before <!-- values: begin --> old <!-- values: end --> after", text)
    assert '| `labels` | `{"x": "1"}` | Some a\\|b. |' in readme
    assert " old " not in readme
    assert readme.startswith("Before ")
    assert readme.endswith(" after")


@pytest.mark.parametrize("text", ["replicas: 1\n", "image:\n  tag: ''\n", "# Far above.\n\nreplicas: 1\n"])
def test_a_value_without_a_comment_right_above_it_is_refused(text: str) -> None:
    with pytest.raises(chart_readme.UndescribedValueError, match=r"replicas|image\.tag"):
        chart_readme.read_values(text)


def test_a_readme_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the marks"):
        chart_readme.render("no marks", "# One.\nreplicas: 1\n")
