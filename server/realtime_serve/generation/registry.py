"""The models of one server, by the name that requests call them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import NoReturn

from realtime_serve.errors import ModelNotFound
from realtime_serve.generation.model import Model
from realtime_serve.generation.served import ServedVersion


class ModelRegistry:
    """Finds what a request goes to."""

    def __init__(self, *models: Model) -> None:
        self._models = {model.name: model for model in models}

    @property
    def models(self) -> Mapping[str, Model]:
        """All of them, in the order in which they came."""
        return self._models

    @property
    def first(self) -> Model | None:
        """The model of the command line, or the one that a program loaded first; None before that."""
        return next(iter(self._models.values()), None)

    @property
    def healthy(self) -> bool:
        """Whether every model serves or is on its way to."""
        return all(model.healthy for model in self._models.values())

    @property
    def trouble(self) -> str:
        """Why new work is not taken for each model; empty when it is."""
        return "; ".join(model.trouble for model in self._models.values() if model.trouble)

    def versions(self) -> Iterator[ServedVersion]:
        """Every version of every model, in whatever state."""
        for model in self._models.values():
            yield from model.versions.values()

    def find(self, name: str) -> Model:
        """Return the model of this name.

        Raises:
            ModelNotFound: there is none.

        """
        if name not in self._models:
            names = ", ".join(map(repr, self._models))
            raise ModelNotFound(f"no model {name!r} here; this server has {names}")
        return self._models[name]

    async def run(self) -> NoReturn:
        """Hold all of them until cancelled.

        Raises:
            LoadFailed: one of them cannot be served.

        """
        await asyncio.gather(*[model.run() for model in self._models.values()])
        raise RuntimeError("a model ended by itself")

    async def stop(self) -> None:
        """End every engine process."""
        await asyncio.gather(*[model.stop() for model in self._models.values()])
