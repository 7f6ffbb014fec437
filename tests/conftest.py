"""What holds for all tests."""

from __future__ import annotations

import os

# Before anything imports torch: threads that spin while they wait make tests ten times slower as soon as two processes run.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
