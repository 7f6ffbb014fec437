"""The engine's runner over a transformers model: one forward for all rows of a step, then sampling."""

from __future__ import annotations

import logging

import torch

from realtime_serve.engine.batch import Batch, Result
from realtime_serve.engine.grammar import Grammars
from realtime_serve.engine.messages import ModelCard
from realtime_serve.model.attention import PagedAttention
from realtime_serve.model.capture import Capture
from realtime_serve.model.captured import CapturedDecode, NotCaptured
from realtime_serve.model.crew import Crew
from realtime_serve.model.floor import packed_in, read_bandwidth, step_bytes
from realtime_serve.model.kv import PAGE_TOKENS, KVCache
from realtime_serve.model.native import NativeAttention
from realtime_serve.model.sampler import sample
from realtime_serve.model.static import StaticPlan

log = logging.getLogger("realtime_serve.model")


class TransformersRunner:
    def __init__(
        self,
        *,
        model: torch.nn.Module,
        attention: PagedAttention,
        cache: KVCache,
        card: ModelCard,
        grammars: Grammars | None = None,
        capture: Capture | None = None,
        crew: Crew | None = None,
    ) -> None:
        """capture: how steps that only decode are kept; None: not at all. crew: whose threads compute the steps."""
        self.card = card
        self.page_count = cache.pages
        self.page_size = PAGE_TOKENS
        self._model = model
        self._attention = attention
        self._cache = cache
        attention.use(cache)
        self._grammars = grammars
        self._crew = crew
        parameter = next(model.parameters())
        self._device, self.dtype = parameter.device, parameter.dtype
        self.compiled = False
        """Whether the layers are code made for this processor."""
        self.captured: CapturedDecode | None = None
        if capture is not None:
            self.captured = CapturedDecode(self._forward, capture, cache, longest=card.max_model_length)

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
    def multiplies(self) -> str:
        """In which types linear layers lie and multiply; empty where they are in no order of the processor's."""
        return packed_in(self._model)

    @property
    def native(self) -> NativeAttention | None:
        """See `attention.Way`."""
        return self._attention.way.native

    @property
    def path(self) -> str:
        """Which way steps go that only decode, in words."""
        name = self._attention.way.name
        if self.compiled:
            return f"compiled layers over {name}"
        return f"captured steps over {name}" if self.captured else name

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def run(self, batch: Batch) -> list[Result]:
        """Raises what torch raises; nothing of the step then counts."""
        if self._crew is not None:
            self._crew.look()
        if self.captured is not None and self.captured.takes(batch):
            self._clean(batch)
            try:
                return self.captured.run(batch)
            except NotCaptured as reason:
                self.give_up_capture(reason)
        logits = self.logits(batch)
        sampling = [row for row in batch.rows if row.samples]
        return sample(logits, sampling, self._grammars) if sampling else []

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def logits(self, batch: Batch) -> torch.Tensor:
        """[sampling rows, vocabulary]: computes all rows, writes their keys and values."""
        tokens = [token for row in batch.rows for token in row.tokens]
        positions = [position for row in batch.rows for position in range(row.start, row.end)]
        self._clean(batch)
        self._attention.begin(batch)
        output = self._model(
            input_ids=torch.tensor([tokens], device=self._device),
            position_ids=torch.tensor([positions], device=self._device),
            use_cache=False,
            logits_to_keep=torch.tensor(last_tokens(batch), device=self._device, dtype=torch.long),
        )
        logits: torch.Tensor = output.logits[0]
        return logits

    def _forward(self, tokens: torch.Tensor, positions: torch.Tensor, plan: StaticPlan) -> torch.Tensor:
        """See `captured.Forward`."""
        self._attention.plan = plan
        output = self._model(input_ids=tokens[None], position_ids=positions[None], use_cache=False)
        logits: torch.Tensor = output.logits[0]
        return logits

    def _clean(self, batch: Batch) -> None:
        if batch.clean:
            self._cache.clean(batch.clean)

    def give_up_capture(self, reason: Exception) -> None:
        """Every step takes the ordinary path from now on."""
        log.warning("steps of this model cannot be captured", extra={"fields": {"reason": str(reason)}})
        self.captured = None


def last_tokens(batch: Batch) -> list[int]:
    """The places in the step of the tokens whose logits are wanted."""
    places, end = [], 0
    for row in batch.rows:
        end += len(row.tokens)
        if row.samples:
            places.append(end - 1)
    return places
