"""What compiled layers call, in C++: attention of all rows of a step over their pages, and packed layers.

Torch's compiler, which makes code of the layers, makes it of `cpp/` too: flags, vectors and threads are those of torch. Python
in between took as long as a tenth of a step of one row: between two calls, weights stream by and push its code out of the cache.
Where it is not there, the operators of `operators` and the embedding bags of `bags` do the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import library

from realtime_serve.engine.batch import Batch
from realtime_serve.model import operators
from realtime_serve.model.decoding import Rows, lengths_of, page_table
from realtime_serve.model.kv import PAGE_TOKENS, KVCache
from realtime_serve.model.operators import How, New
from realtime_serve.model.step import slots

SOURCES = Path(__file__).parent / "cpp"
PARTS = ("pages.cpp", "paged_attention.cpp", "panels.cpp", "integers.cpp", "bfloats.cpp", "operators.cpp")
NAMESPACE = "realtime_serve_native"


@cache
def begin_to_build() -> Callable[[], Any]:
    """Some 20 seconds of work for a process beside this one; what comes back waits for its end, and raises what it raised."""
    from torch._inductor.codecache import CppCodeCache  # noqa: PLC0415  # seconds to import, and torch has no public way

    parts = [(SOURCES / name).read_text() for name in PARTS]
    source = "\n".join((f"#define PAGE_TOKENS {PAGE_TOKENS}", *parts))
    pool = ThreadPoolExecutor(1)
    found: Callable[[], Any] = CppCodeCache.load_async(source, needs_vec_isa=True, submit_fn=pool.submit)
    pool.shutdown(wait=False)  # its thread ends with the build
    return found


@cache
def calls() -> Any:
    """The operators. Raises what compilers raise."""
    begin_to_build()()
    library.register_fake(f"{NAMESPACE}::attend", operators.attended)
    library.register_fake(f"{NAMESPACE}::linear", operators.multiplied)
    return getattr(torch.ops, NAMESPACE)


class NativePlan:
    """A step's rows, each of one token or more, one behind the other."""

    def __init__(self, calls: Any, batch: Batch, blank: int) -> None:
        self._calls = calls
        self.places = torch.tensor([place for row in batch.rows for place in slots(row)])
        """Of each token in the cache, counted in tokens."""
        self.table = page_table(batch.rows, blank)
        self.lengths = lengths_of(batch.rows)
        self.firsts = firsts_of(len(row.tokens) for row in batch.rows)

    def attend(self, new: New, cached: tuple[torch.Tensor, torch.Tensor], how: How) -> torch.Tensor:
        """[tokens, heads, size]; writes the new keys and values to their pages."""
        self._calls.write(*cached, *new[1:], self.places)
        tables = self.table, self.lengths, self.firsts
        found: torch.Tensor = self._calls.attend_rows(new[0], *cached, *tables, *how)
        return found


def firsts_of(counts: Iterable[int]) -> torch.Tensor:
    """[rows + 1]: the place in the step of each row's first token, and the end."""
    return torch.tensor([*accumulate(counts, initial=0)], dtype=torch.int32)


class NativeAttention:
    """Over a cache that lies by pages, in the model's type; see `kv.Layout`."""

    def __init__(self) -> None:
        """Raises what compilers raise."""
        self.calls = calls()

    def decode(
        self, rows: Rows, new: New, cached: tuple[torch.Tensor, torch.Tensor], how: How
    ) -> torch.Tensor:
        """[rows, heads, size], of rows of one token whose keys and values are in their pages."""
        firsts = firsts_of([1] * len(rows.lengths))
        tables = rows.table, rows.lengths, firsts
        found: torch.Tensor = self.calls.attend_rows(rows.of(new[0]), *cached, *tables, *how)
        return found

    def own_cache(self, owner: int, cache: KVCache) -> None:
        """From now on compiled code finds it under this number."""
        for layer in cache.layers:
            self.calls.own_cache(owner, layer, *cache.layer(layer))
        weakref.finalize(cache, self.calls.disown_attention, owner)

    def begin(self, owner: int, batch: Batch, blank: int) -> NativePlan:
        """The step that compiled code computes next."""
        plan = NativePlan(self.calls, batch, blank)
        self.calls.begin_step(owner, plan.places, plan.table, plan.lengths, plan.firsts)
        return plan
