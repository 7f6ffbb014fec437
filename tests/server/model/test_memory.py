import pytest
import torch

from realtime_serve.errors import EngineFailed
from realtime_serve.model.kv import count_pages
from realtime_serve.model.memory import free_memory, left_in_container

GIB = 2**30
STAT = {
    2: "anon {anon}\nfile {files}\nfile_mapped {mapped}\ninactive_file {old}\nactive_file {new}\n",
    1: "cache {files}\nmapped_file 7\ninactive_file 7\nactive_file 7\n"
    "total_mapped_file {mapped}\ntotal_inactive_file {old}\ntotal_active_file {new}\n",
}
FILES = {
    2: ("memory.max", "memory.current", "memory.stat"),
    1: ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
}


def container(root, version, *, limit, anon, old=0, new=0, mapped=0):
    """The files of a cgroup, as the kernel writes them."""
    files = old + new
    stat = STAT[version].format(anon=anon, files=files, mapped=mapped, old=old, new=new)
    for name, text in zip(FILES[version], (f"{limit}\n", f"{anon + files}\n", stat), strict=True):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("version", [1, 2])
def test_files_that_were_only_read_leave_the_memory_free(tmp_path, version):
    root = container(tmp_path, version, limit=2 * GIB, anon=GIB // 2, old=GIB, new=GIB // 2)
    assert left_in_container(root) == 2 * GIB - GIB // 2


@pytest.mark.parametrize("version", [1, 2])
def test_files_that_are_mapped_count_as_used(tmp_path, version):
    root = container(tmp_path, version, limit=2 * GIB, anon=GIB // 2, old=GIB, mapped=GIB // 4)
    assert left_in_container(root) == 2 * GIB - GIB // 2 - GIB // 4


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_process_holds_for_itself_is_used(tmp_path, version):
    assert left_in_container(container(tmp_path, version, limit=2 * GIB, anon=GIB)) == GIB


@pytest.mark.parametrize("version", [1, 2])
def test_where_the_kinds_of_memory_are_not_told_all_of_it_is_used(tmp_path, version):
    root = container(tmp_path, version, limit=2 * GIB, anon=GIB, old=GIB // 2)
    (root / FILES[version][2]).unlink()
    assert left_in_container(root) == GIB // 2


def test_without_a_limit_there_is_none_to_come_up_to(tmp_path):
    assert left_in_container(container(tmp_path, 2, limit="max", anon=GIB)) is None
    assert left_in_container(tmp_path / "nothing") is None


def test_some_memory_of_this_machine_is_free():
    assert 0 < free_memory(torch.device("cpu")) < 2**50


def test_what_is_lacking_is_told_in_numbers_that_are_not_rounded_away():
    with pytest.raises(EngineFailed, match=r"needs 0\.25 MiB of KV cache, and 0\.0625 MiB are there"):
        count_pages(token_bytes=128, length=2048, free=2**17, fraction=0.5)
