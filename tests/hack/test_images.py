"""What makes an image new, and what does not."""

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hack.images import inputs
from hack.images.inputs import IMAGES, InputMissing

pytestmark = pytest.mark.slow

LABELS = {"VERSION": "1", "REVISION": "abc"}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for path in ("pyproject.toml", "constraints.txt", "server/Dockerfile", "operator/Dockerfile"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(inputs.ROOT / path, tmp_path / path)
    package = tmp_path / "server" / "realtime_serve"
    package.mkdir()
    (package / "one.py").write_text("ONE = 1\n")
    monkeypatch.setattr(inputs, "ROOT", tmp_path)
    return tmp_path


def dependencies(name="server", base="base"):
    return inputs.dependencies_tag(IMAGES[name], base)


def code():
    return inputs.code_tag(IMAGES["server"], "dependencies", LABELS)


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_operator_pulls_in_no_torch_and_the_server_does():
    assert "torch" in inputs.closure(["torch"])
    operator = inputs.pins(inputs.read_extras(inputs.ROOT / "pyproject.toml", ["operator"]))
    server = inputs.pins(inputs.read_extras(inputs.ROOT / "pyproject.toml", ["server", "redis", "otel"]))
    assert not [line for line in operator if line.startswith(("torch", "nvidia", "transformers"))]
    assert [line for line in server if line.startswith("torch==")]
    assert [line for line in server if line.startswith("nvidia-")]


def test_equal_inputs_have_equal_tags(tree):
    assert (dependencies(), code()) == (dependencies(), code())


@pytest.mark.parametrize("base", ["another base"])
def test_another_base_makes_new_dependencies(tree, base):
    assert dependencies() != dependencies(base=base)


def test_a_new_version_of_a_package_far_below_makes_new_dependencies(tree):
    before = dependencies(), dependencies("operator")
    change(tree / "constraints.txt", "sympy==", "sympy==9.")  # torch wants it
    assert dependencies() != before[0]
    assert dependencies("operator") == before[1]


def test_a_new_version_of_the_linter_rebuilds_nothing(tree):
    before = dependencies()
    change(tree / "constraints.txt", "ruff==", "ruff==9.")
    assert dependencies() == before


def test_a_changed_label_leaves_the_dependencies_alone(tree):
    before, code_before = dependencies(), code()
    change(tree / "server" / "Dockerfile", 'image.licenses="MIT"', 'image.licenses="X"')
    assert dependencies() == before
    assert code() != code_before


def test_a_changed_install_step_makes_new_dependencies(tree):
    before = dependencies()
    change(tree / "server" / "Dockerfile", "--no-cache-dir", "--no-cache-dir --no-deps")
    assert dependencies() != before


@pytest.mark.parametrize(
    ("path", "text", "is_new"),
    [
        ("one.py", "ONE = 2\n", True),
        ("two.py", "", True),
        ("deep/er/three.py", "", True),
        ("__pycache__/one.cpython-311.pyc", "x", False),
    ],
)
def test_a_line_of_code_makes_a_new_image_and_a_cache_does_not(tree, path, text, is_new):
    before = code()
    file = tree / "server" / "realtime_serve" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    assert (code() != before) is is_new


def test_a_missing_pin_is_named(tree):
    change(tree / "constraints.txt", "kopf==", "kapf==")
    with pytest.raises(InputMissing, match="no version of kopf"):
        dependencies("operator")


def git(tree, *arguments):
    identity = "-c", "user.name=t", "-c", "user.email=t@example.com"
    subprocess.run(["git", *identity, *arguments], cwd=tree, check=True, capture_output=True)


def test_the_revision_is_the_last_commit_that_changed_the_image(tree):
    assert inputs.revision(IMAGES["server"]) == "unknown"
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "one")
    first = inputs.revision(IMAGES["server"])
    assert re.fullmatch("[0-9a-f]{40}", first)
    (tree / "README.md").write_text("nothing that the image holds")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "two")
    assert inputs.revision(IMAGES["server"]) == first
    (tree / "server" / "realtime_serve" / "one.py").write_text("ONE = 2\n")
    assert inputs.revision(IMAGES["server"]) == f"{first}-dirty"


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_different_parts_have_different_digests(one, other):
    assert (inputs.digest(one) == inputs.digest(other)) == (one == other)


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_an_image_runs_as_the_user_that_restricted_pods_demand(image):
    last_stage = image.dockerfile.read_text().rpartition("\nFROM ")[2]
    assert last_stage.startswith("${DEPENDENCIES}\n")
    assert "\nUSER 65532:65532\n" in last_stage
    assert f"\nCOPY {image.package} " in last_stage
