"""Where things that are made once are kept, outside the work tree: $RTS_CACHE, else ~/.cache/realtime-serve."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = Path(os.environ.get("RTS_CACHE") or Path.home() / ".cache" / "realtime-serve")
RUN = CACHE / "run"
