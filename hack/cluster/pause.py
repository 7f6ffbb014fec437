"""The sandbox image: a program that waits for ever and reaps, compiled here and imported into containerd."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

from hack.cluster import places

SOURCE = """\
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
  signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, reap);
  for (;;) pause();
}
"""


def ensure() -> None:
    """Have the image in containerd's store, which is up."""
    ctr = ["ctr", "--address", str(places.CONTAINERD_SOCKET), "--namespace", "k8s.io", "images"]
    found = subprocess.run([*ctr, "ls", "-q"], check=True, capture_output=True, text=True).stdout
    if places.PAUSE in found.split():
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "pause.tar"
        archive.write_bytes(image(compile_pause(Path(folder))))
        subprocess.run([*ctr, "import", str(archive)], check=True, capture_output=True)


def compile_pause(folder: Path) -> bytes:
    source, program = folder / "pause.c", folder / "pause"
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-Os", "-static", "-s", "-o", str(program), str(source)], check=True)
    return program.read_bytes()


def image(program: bytes) -> bytes:
    """A docker archive with one layer, which holds /pause."""
    layer = tar({"pause": program}, mode=0o755)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [places.PAUSE], "Layers": ["layer.tar"]}]
    files = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    return tar(files)


def tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
