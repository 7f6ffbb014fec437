"""What LitServe measures: transformers' `generate` for a batch that begins and ends together, its tokens streamed as they come.

Run with the peers' interpreter, which knows nothing of this project: `python lit_server.py MODEL PORT BATCH`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from queue import Queue
from threading import Thread
from typing import Any

import litserve
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation import BaseStreamer

WAIT = 0.05
"""Seconds that a batch waits for more requests."""


class Steps(BaseStreamer):  # type: ignore[misc]
    """The tokens of all rows, step by step, from the thread that generates them; None or an error is their end."""

    def __init__(self) -> None:
        self.queue: Queue[torch.Tensor | BaseException | None] = Queue()
        self.prompt = True

    def put(self, value: torch.Tensor) -> None:
        if not self.prompt:
            self.queue.put(value)
        self.prompt = False

    def end(self) -> None:
        self.queue.put(None)

    def __iter__(self) -> Iterator[torch.Tensor]:
        while (found := self.queue.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found


class Completions(litserve.LitAPI):  # type: ignore[misc]
    """OpenAI's streamed completions, as far as the client of the bench reads them."""

    def __init__(self, model: str, batch: int) -> None:
        super().__init__(max_batch_size=batch, batch_timeout=WAIT, api_path="/v1/completions", stream=True)
        self.path = model

    def setup(self, device: str) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(self.path, padding_side="left")
        self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.convert_ids_to_tokens(0)
        self.model = AutoModelForCausalLM.from_pretrained(self.path, dtype=torch.bfloat16).to(device)

    def predict(self, requests: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        """A text and the reason to end for every request, at every step; a row that has its tokens goes on unseen."""
        limits = [request["max_tokens"] for request in requests]
        inputs = self.tokenizer(
            [request["prompt"] for request in requests], return_tensors="pt", padding=True
        )
        steps = Steps()
        Thread(target=self._generate, args=(inputs, max(limits), steps), daemon=True).start()
        for number, tokens in enumerate(steps, 1):
            texts = self.tokenizer.batch_decode(tokens.reshape(-1, 1))
            yield [
                {
                    "text": text if number <= limit else "",
                    "finish_reason": "length" if number == limit else None,
                }
                for text, limit in zip(texts, limits, strict=True)
            ]

    def encode_response(self, output: Iterator[list[dict[str, Any]]]) -> Iterator[list[str]]:
        for choices in output:
            yield [f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices]

    def _generate(self, inputs: Any, tokens: int, steps: Steps) -> None:
        options = {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": self.tokenizer.pad_token_id}
        try:
            with torch.inference_mode():
                self.model.generate(**inputs, **options, streamer=steps)
        except BaseException as error:  # noqa: BLE001  # raised where the steps are read
            steps.queue.put(error)


if __name__ == "__main__":
    model, port, batch = sys.argv[1:]
    server = litserve.LitServer(
        Completions(model, int(batch)), accelerator="cpu", timeout=False, fast_queue=True
    )
    server.run(host="127.0.0.1", port=int(port), log_level="warning", generate_client_file=False)
