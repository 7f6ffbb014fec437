"""How the threads of one engine process wait for each other. libgomp reads it from the environment when torch is imported."""

from __future__ import annotations

import os
from pathlib import Path

CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
LONG, SHORT = "20000", "1000"
"""Looks at a flag before a waiting thread sleeps, some 1,000 and 50 microseconds. To be woken takes longer than most of a decode
step's parts: without a look, steps of small models took 1.3 to 2 times as long. Threads that look for long take the core from
the one they wait for as soon as another process wants it; where the kernel tells of that, there are then fewer (`crowding`)."""
TASKS = Path("/proc/self/task")


def thread_environment(*, fixed: bool = False) -> dict[str, str]:
    """Variables to set; none where the environment chooses itself. fixed: nobody will change the number of threads."""
    if any(name in os.environ for name in CHOICES):
        return {}
    return {"GOMP_SPINCOUNT": SHORT if fixed or not tells_delays() else LONG}


def tells_delays() -> bool:
    """Whether the kernel counts how long threads wait for a core. Sandboxes that imitate it do not."""
    try:
        return run_and_delay() > (0.0, 0.0)
    except (OSError, ValueError, IndexError):
        return False


def run_and_delay() -> tuple[float, float]:
    """Seconds that this process's threads have run on a core, and that they were ready and had none."""
    ran = waited = 0
    for task in TASKS.iterdir():
        try:
            numbers = (task / "schedstat").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        ran += int(numbers[0])
        waited += int(numbers[1])
    return ran / 1e9, waited / 1e9
