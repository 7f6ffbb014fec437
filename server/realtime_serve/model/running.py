"""The engine's runner over a transformers model: one forward for all rows of a step, then sampling."""

from __future__ import annotations

import torch

from realtime_serve.engine.batch import Batch, Result
from realtime_serve.engine.grammar import Grammars
from realtime_serve.engine.messages import ModelCard
from realtime_serve.model.attention import PagedAttention
from realtime_serve.model.floor import is_packed, read_bandwidth, step_bytes
from realtime_serve.model.kv import PAGE_TOKENS, KVCache
from realtime_serve.model.sampler import sample
from realtime_serve.model.step import StepPlan


class TransformersRunner:
    def __init__(
        self,
        *,
        model: torch.nn.Module,
        attention: PagedAttention,
        cache: KVCache,
        card: ModelCard,
        grammars: Grammars | None = None,
    ) -> None:
        self.card = card
        self.page_count = cache.pages
        self.page_size = PAGE_TOKENS
        self._model = model
        self._attention = attention
        self._cache = self._attention.cache = cache
        self._grammars = grammars
        self._device = next(model.parameters()).device

    def step_bytes(self) -> int:
        """Weights that a step reads, in bytes."""
        return step_bytes(self._model)

    def token_bytes(self) -> int:
        """Keys and values of one token, in bytes."""
        return self._cache.token_bytes

    def read_bandwidth(self) -> float:
        """Of the device's memory, bytes a second, measured now."""
        return read_bandwidth(self._device)

    @property
    def packed(self) -> bool:
        """Whether linear layers lie in the order in which the processor's kernels read them."""
        return is_packed(self._model)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def run(self, batch: Batch) -> list[Result]:
        """Raises what torch raises; nothing of the step then counts."""
        logits = self.logits(batch)
        sampling = [row for row in batch.rows if row.samples]
        return sample(logits, sampling, self._grammars) if sampling else []

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def logits(self, batch: Batch) -> torch.Tensor:
        """[sampling rows, vocabulary]: computes all rows, writes their keys and values."""
        tokens = [token for row in batch.rows for token in row.tokens]
        positions = [position for row in batch.rows for position in range(row.start, row.end)]
        if batch.clean:
            self._cache.clean(batch.clean)
        self._attention.plan = StepPlan(batch, self._cache.blank, self._device)
        output = self._model(
            input_ids=torch.tensor([tokens], device=self._device),
            position_ids=torch.tensor([positions], device=self._device),
            use_cache=False,
            logits_to_keep=torch.tensor(last_tokens(batch), device=self._device, dtype=torch.long),
        )
        logits: torch.Tensor = output.logits[0]
        return logits


def last_tokens(batch: Batch) -> list[int]:
    """The places in the step of the tokens whose logits are wanted."""
    places, end = [], 0
    for row in batch.rows:
        end += len(row.tokens)
        if row.samples:
            places.append(end - 1)
    return places
