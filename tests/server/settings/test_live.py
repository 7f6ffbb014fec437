"""Settings follow their file, and bad ones change nothing but the error that is told."""

from __future__ import annotations

from realtime_serve.settings.live import LiveSettings
from realtime_serve.settings.watching import FileWatcher


def mount(directory, content: str, name: str) -> None:
    """Put a file there as the kubelet does: `settings.json` -> `..data/settings.json`, `..data` -> a new directory."""
    version = directory / name
    version.mkdir()
    (version / "settings.json").write_text(content)
    link = directory / "..data_tmp"
    link.symlink_to(version.name)
    link.replace(directory / "..data")
    path = directory / "settings.json"
    if not path.is_symlink():
        path.symlink_to("..data/settings.json")


async def test_a_swapped_mount_is_seen_and_told_once(tmp_path):
    live, seen = LiveSettings("1.0.0"), []

    async def note(settings):
        seen.append(settings.generation)

    live.subscribe(note)
    watcher = FileWatcher(tmp_path / "settings.json", live.load)
    mount(tmp_path, '{"generation": 1}', "..1")
    await watcher.check()
    await watcher.check()
    mount(tmp_path, '{"generation": 2, "limits": {"maxQueue": 3}}', "..2")
    await watcher.check()
    assert seen == [1, 2]
    assert live.current.limits.max_queue == 3


async def test_bad_settings_keep_the_last_good_ones_until_good_ones_come():
    live = LiveSettings("1.0.0")
    await live.load(b'{"generation": 1, "limits": {"maxQueue": 3}}')
    await live.load(b'{"generation": 2, "limits": {"maxQueue": -1}}')
    assert (live.current.generation, live.current.limits.max_queue) == (1, 3)
    assert live.error == "limits.maxQueue: expected `int` >= 0"
    await live.load(b'{"generation": 3}')
    assert (live.current.generation, live.error) == (3, "")


async def test_a_version_that_is_not_held_is_an_error():
    live = LiveSettings("1.0.0")
    await live.load(b'{"generation": 1, "activeVersion": "2.0.0"}')
    assert live.current.generation == 0
    assert live.error == "activeVersion: '2.0.0' is not held by this server (it holds '1.0.0')"


async def test_a_missing_file_is_an_error_and_its_coming_mends_it(tmp_path):
    live = LiveSettings("1.0.0")
    watcher = FileWatcher(tmp_path / "settings.json", live.load)
    await watcher.check()
    assert "No such file" in live.error
    mount(tmp_path, '{"generation": 5}', "..1")
    await watcher.check()
    assert (live.current.generation, live.error) == (5, "")
