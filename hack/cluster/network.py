"""The node's own address on a bridge, and what must be cleared away when the cluster ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hack.cluster import places


def up() -> None:
    """Idempotent. A bridge, because not every kernel has the dummy type."""
    if not Path(f"/sys/class/net/{places.BRIDGE}").exists():
        command("ip", "link", "add", places.BRIDGE, "type", "bridge")
    command("ip", "addr", "replace", f"{places.NODE_IP}/32", "dev", places.BRIDGE)
    command("ip", "link", "set", places.BRIDGE, "up")
    # A Service address that nothing serves must end here, not on the machine's default route.
    command("ip", "route", "replace", places.SERVICE_CIDR, "dev", places.BRIDGE)
    command("mount", "--make-rshared", "/")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def down() -> None:
    for link in (places.BRIDGE, "rtspods0"):
        if Path(f"/sys/class/net/{link}").exists():
            command("ip", "link", "delete", link)
    for family in ("ip", "ip6"):
        listed = subprocess.run(
            ["nft", "list", "tables", family], capture_output=True, text=True, check=False
        )
        if f"table {family} kube-proxy" in listed.stdout:
            command("nft", "delete", "table", family, "kube-proxy")


def unmount_below(folder: Path) -> None:
    """What killed pods left mounted, the deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount.replace(r"\040", " ")], check=False, capture_output=True)


def command(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True)
