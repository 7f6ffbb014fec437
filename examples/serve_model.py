"""Serve a model of one's own: a mock language model, so that this runs anywhere.

python examples/serve_model.py --port 8000
curl -s localhost:8000/infer -d '{"model": "mock", "prompt": "Hello", "max_tokens": 24}' -H 'Content-Type: application/json'
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from collections.abc import Iterator, Sequence

from realtime_serve import InferenceServer, ModelConfig, RequestLogger, Sampling

WORDS = "the quick brown fox jumps over the lazy dog and "


class MockModel:
    """Says the same words for ever. Its tokens are bytes, because it brings no tokenizer."""

    vocab_size = 257
    max_model_length = 4096
    eos_ids = (256,)
    directory = ""

    def __init__(self, words: str) -> None:
        self._words = words.encode()

    def generate(self, tokens: Sequence[int], sampling: Sampling) -> Iterator[int]:
        """Go on with the words at the place where the prompt ends. A model that draws would look at `sampling`."""
        del sampling
        for place in itertools.count(len(tokens)):
            yield self._words[place % len(self._words)]


def load_mock(config: ModelConfig) -> MockModel:
    """What `register_loader` wants: from a ModelConfig to a model. It runs in the engine's process."""
    return MockModel(config.options.get("words", WORDS))


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    RequestLogger().install()
    server = InferenceServer(max_connections=256, request_timeout=30.0, max_batch_size=32)
    server.model_registry.register_loader("mock", load_mock)
    server.register_model(ModelConfig(name="mock", version="1.0.0", loader="mock"))
    asyncio.run(server.start(options.host, options.port))


if __name__ == "__main__":
    main()
