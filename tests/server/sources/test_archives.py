"""Archives that a stranger made."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.errors import EngineFailed
from realtime_serve.sources import archives
from realtime_serve.sources.archives import model_directory, unpack


def tar(path, *members: tuple[str, bytes]):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path, *members: tuple[str, bytes]):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.fixture
def target(tmp_path):
    directory = tmp_path / "outer" / "target"
    directory.mkdir(parents=True)
    return directory


@pytest.mark.parametrize("make", [tar, zipped])
def test_plain_files_are_unpacked_with_their_folders_and_without_pickles(tmp_path, target, make):
    archive = make(
        tmp_path / "a", ("m/config.json", b"{}"), ("m/model.safetensors", b"x"), ("m/pytorch_model.bin", b"p")
    )
    unpack(archive, target)
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == [
        "config.json",
        "model.safetensors",
    ]
    assert model_directory(target, "a") == target / "m"


@pytest.mark.parametrize("make", [tar, zipped])
@pytest.mark.parametrize("name", ["../evil.json", "/evil.json", "a/../../evil.json", "a\\..\\evil.json"])
def test_what_leads_out_is_refused(tmp_path, target, make, name):
    with pytest.raises(EngineFailed, match="leads out"):
        unpack(make(tmp_path / "a", (name, b"{}")), target)
    assert not list(tmp_path.rglob("evil.json"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, target, kind):
    with tarfile.open(tmp_path / "a", "w") as archive:
        info = tarfile.TarInfo("config.json")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(EngineFailed, match="no plain file") as caught:
        unpack(tmp_path / "a", target)
    assert caught.value.reason == "SourceInvalid"


def test_a_link_in_a_zip_is_refused(tmp_path, target):
    info = zipfile.ZipInfo("config.json")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(EngineFailed, match="no plain file"):
        unpack(tmp_path / "a", target)


def test_a_file_that_is_there_twice_is_refused(tmp_path, target):
    with pytest.raises(EngineFailed, match="twice"):
        unpack(tar(tmp_path / "a", ("config.json", b"1"), ("config.json", b"2")), target)


def test_what_unpacks_to_far_more_than_it_is_is_refused(tmp_path, target, monkeypatch):
    monkeypatch.setattr(archives, "PLAUSIBLE_EXTRA", 1000)
    bomb = zipped(tmp_path / "a", ("model.safetensors", b"\0" * 10_000_000))
    with pytest.raises(EngineFailed, match="unpacks to more than"):
        unpack(bomb, target)


def test_more_files_than_a_model_has_are_refused(tmp_path, target, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    with pytest.raises(EngineFailed, match="more than 3 files"):
        unpack(tar(tmp_path / "a", *[(f"{number}.png", b"") for number in range(4)]), target)


def test_what_is_no_model_is_told(tmp_path, target):
    unpack(tar(tmp_path / "a", ("readme.txt", b"hi")), target)
    with pytest.raises(EngineFailed, match=r"no config\.json"):
        model_directory(target, "a")


def outcome(place) -> str:
    try:
        unpack(place / "a", place / "target")
    except EngineFailed as error:
        return error.reason
    return "unpacked"


@given(content=st.binary(max_size=400))
def test_any_bytes_are_a_reason_and_never_a_crash(tmp_path_factory, content):
    place = tmp_path_factory.mktemp("any")
    (place / "a").write_bytes(content)
    (place / "target").mkdir()
    assert outcome(place) in ("unpacked", "SourceInvalid")


@given(cut=st.integers(0, 600), flip=st.integers(0, 2000))
def test_a_torn_archive_is_a_reason_and_never_a_crash(tmp_path_factory, cut, flip):
    place = tmp_path_factory.mktemp("torn")
    content = bytearray(
        zipped(place / "whole", ("config.json", b"{}" * 50), ("a.txt", b"x" * 90)).read_bytes()
    )
    content[flip % len(content)] ^= 0x55
    (place / "a").write_bytes(content[: max(0, len(content) - cut)])
    (place / "target").mkdir()
    assert outcome(place) in ("unpacked", "SourceInvalid")
