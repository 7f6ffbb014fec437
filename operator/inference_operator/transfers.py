"""How far the download of weights is, as pods tell it, and in words. Pure."""

from __future__ import annotations

import msgspec

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Transfer(msgspec.Struct, frozen=True):
    """`progress` of a version in a pod's /status."""

    bytes_done: int
    bytes_total: int = 0
    """0: not known."""
    bytes_per_second: int = 0

    @property
    def words(self) -> str:
        """Such as `1.2 of 3.4 GiB, 85 MiB/s, about 26 s left`."""
        unit = _unit(max(self.bytes_total, self.bytes_done))
        done = _number(self.bytes_done, unit)
        said = [
            f"{done} of {_number(self.bytes_total, unit)} {unit}" if self.bytes_total else f"{done} {unit}"
        ]
        if self.bytes_per_second > 0:
            speed = _unit(self.bytes_per_second)
            said.append(f"{_number(self.bytes_per_second, speed)} {speed}/s")
            left = self.bytes_total - self.bytes_done
            if left > 0:
                said.append(f"about {_duration(left / self.bytes_per_second)} left")
        return ", ".join(said)


def _unit(size: int) -> str:
    place = 0
    while size >= 1024 and place < len(_UNITS) - 1:
        size //= 1024
        place += 1
    return _UNITS[place]


def _number(size: int, unit: str) -> str:
    value = size / 1024 ** _UNITS.index(unit)
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:.0f}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
