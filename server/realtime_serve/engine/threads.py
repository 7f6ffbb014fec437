"""How the threads of one engine process wait for each other. libgomp reads it from the environment when torch is imported."""

from __future__ import annotations

import os

CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
SPINS = "1000"
"""Looks at a flag before a waiting thread sleeps, some 20 microseconds. To be woken takes longer than most of a decode step's
parts: without a look, steps of small models took 1.3 to 2 times as long. Threads that look for long, as libgomp's do by default,
take the core from the one they wait for as soon as anything else wants it, the front end or a second engine during a swap: a step
then took up to ten times as long."""


def thread_environment() -> dict[str, str]:
    """Variables to set; none where the environment chooses itself."""
    return {} if any(name in os.environ for name in CHOICES) else {"GOMP_SPINCOUNT": SPINS}
