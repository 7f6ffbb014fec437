"""The models of a server in a program: loaded, swapped and unloaded by calls."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import NamedTuple

from realtime_serve.api.configs import TRANSFORMERS, ModelConfig
from realtime_serve.api.loaders import Loader, environment_of, reference_of
from realtime_serve.engine.client import Engine
from realtime_serve.engine.messages import Load, Step
from realtime_serve.errors import LoadFailed, ShuttingDown, VersionNotFound
from realtime_serve.generation.metrics import Metrics
from realtime_serve.generation.model import Model
from realtime_serve.generation.registry import ModelRegistry as Models
from realtime_serve.generation.served import ServedVersion
from realtime_serve.generation.swap import Wanted
from realtime_serve.settings.live import LiveSettings
from realtime_serve.settings.version import ModelVersion


class ModelStatistics(NamedTuple):
    """Of one version, since it was first asked."""

    state: str
    active: int  # accepted requests whose answers are not whole yet
    running: int  # sequences in the batch
    waiting: int  # sequences that are not
    requests: int  # that ended
    errors: int  # of those, what the version answers for
    empty: int  # of those, answers without text


class ModelRegistry(Models):
    """Several models, each with any number of versions; new requests go to a model's active version.

    A request ends on the version that it began on: `set_active_version` and `unload_model` cut none.
    """

    def __init__(self, settings: LiveSettings | None = None, metrics: Metrics | None = None) -> None:
        super().__init__()
        self._settings = LiveSettings("") if settings is None else settings
        self._metrics = Metrics() if metrics is None else metrics
        self.expected: set[str] = set()
        """Models that are about to be loaded: without them nobody is told that all is ready."""
        self._loaders: dict[str, str] = {}
        self._configs: dict[tuple[str, str], ModelConfig] = {}
        self._tasks: dict[str, asyncio.Task[object]] = {}

    @property
    def trouble(self) -> str:
        """Why new work is not taken for each model that is or shall be here; empty when it is."""
        missing = [f"{name} is not loaded yet" for name in sorted(self.expected - self._models.keys())]
        return "; ".join(part for part in (super().trouble, *missing) if part)

    def register_loader(self, name: str, loader: Loader) -> None:
        """Make a way to load models known.

        Args:
            name: what `ModelConfig.loader` says.
            loader: a function or class at the top level of a module. It gets the ModelConfig and returns a model that has
                `logits` or `generate` (see `LogitsModel` and `TokenModel`). It is called in the engine's process.

        Raises:
            ValueError: the name is taken, or another process could not find the loader.

        """
        if name == TRANSFORMERS or name in self._loaders:
            raise ValueError(f"loader: the name {name!r} is taken")
        self._loaders[name] = reference_of(loader)

    async def load_model(self, config: ModelConfig) -> None:
        """Load a version beside those that are there; return when it has generated its first tokens.

        Raises:
            ValueError: its loader is not known, or this version is there already.
            LoadFailed: it could not be loaded.

        """
        if config.loader != TRANSFORMERS and config.loader not in self._loaders:
            known = ", ".join(map(repr, (TRANSFORMERS, *self._loaders)))
            raise ValueError(f"loader: {config.loader!r} is not registered; known are {known}")
        if (config.name, config.version) in self._configs:
            raise ValueError(f"version: {config.version!r} of {config.name!r} is there already")
        self._configs[config.name, config.version] = config
        definition = _definition(config)
        model = self._models.get(config.name)
        if model is None:
            model = self._add(config.name, definition)
        else:
            model.want(Wanted((*model.wanted.versions, definition), model.wanted.active))
            self._follow(model)
        await model.settled(lambda: _is_settled(model, config.version))
        held = model.versions[config.version]
        if held.loaded is None:
            await self._forget(model, config.version)
            raise LoadFailed(held.message)

    async def unload_model(self, name: str, version: str = "") -> None:
        """End a version, or all of a model: new requests are refused at once, running ones end, memory is given back.

        Raises:
            ModelNotFound, VersionNotFound: it is not here.
            ValueError: it is the version that gets new work, and there are others: activate one of them first.

        """
        model = self.find(name)
        if version and version not in model.versions:
            raise VersionNotFound(f"the model {name!r} has no version {version!r} here")
        if version == model.active_version and len(model.versions) > 1:
            raise ValueError(f"version: {version!r} is active; set another version active first")
        await self._forget(model, version)

    async def set_active_version(self, name: str, version: str) -> None:
        """Send new work to this version from now on.

        Raises:
            ModelNotFound, VersionNotFound: it is not here, or not ready.

        """
        model = self.find(name)
        model.find(version)
        model.want(Wanted(model.wanted.versions, version))
        await model.settled(lambda: model.active_version == version)

    async def health_check(self) -> dict[str, dict[str, str]]:
        """Return the state of each version of each model: loading, warming, ready, draining or failed."""
        return {
            name: {label: str(version.state) for label, version in model.versions.items()}
            for name, model in self._models.items()
        }

    def statistics(self) -> dict[str, dict[str, ModelStatistics]]:
        """Return the counts of each version of each model."""
        return {
            name: {label: self._count(name, version) for label, version in model.versions.items()}
            for name, model in self._models.items()
        }

    async def stop(self) -> None:
        """End every engine process."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await super().stop()

    def _count(self, name: str, version: ServedVersion) -> ModelStatistics:
        tally, stats = self._metrics.tally.of(name, version.version), version.stats
        return ModelStatistics(
            state=str(version.state),
            active=version.work.active,
            running=stats.running,
            waiting=stats.waiting,
            requests=tally.requests,
            errors=tally.errors,
            empty=tally.empty,
        )

    def _add(self, name: str, definition: ModelVersion) -> Model:
        model = Model(
            name,
            wanted=Wanted((definition,), definition.version),
            make_version=lambda wanted, on_change: self._make_version(name, wanted, on_change),
            drain_seconds=lambda: self._settings.current.limits.request_timeout_seconds,
        )
        self._models[name] = model
        self._follow(model)
        return model

    def _follow(self, model: Model) -> None:
        """Have the model brought to what is wanted, now and later; it gives up when it has nothing to serve."""
        task = self._tasks.get(model.name)
        if task is None or task.done():
            task = self._tasks[model.name] = asyncio.create_task(model.run(), name=f"model {model.name}")
            task.add_done_callback(_retrieve)

    async def _forget(self, model: Model, version: str) -> None:
        left = tuple(one for one in model.wanted.versions if version and one.version != version)
        gone = [one.version for one in model.wanted.versions if one not in left]
        if left:
            active = model.wanted.active if model.wanted.active != version else left[0].version
            model.want(Wanted(left, active))
            await model.settled(lambda: version not in model.versions)
        else:
            del self._models[model.name]
            self.expected.discard(model.name)
            seconds = self._settings.current.limits.request_timeout_seconds
            reason = ShuttingDown(f"the model {model.name} was unloaded before this answer was whole")
            await asyncio.gather(*[held.work.finish(seconds, reason) for held in model.versions.values()])
            task = self._tasks.pop(model.name)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await model.stop()
        for label in gone:
            del self._configs[model.name, label]

    def _make_version(
        self, name: str, definition: ModelVersion, on_change: Callable[[], None]
    ) -> ServedVersion:
        config = self._configs[name, definition.version]
        on_step = self._metrics.of_steps(name, definition.version)
        return ServedVersion(
            definition,
            name=name,
            make_engine=lambda: self._make_engine(config, definition, on_step),
            settings=self._settings,
            on_change=on_change,
        )

    def _make_engine(
        self, config: ModelConfig, definition: ModelVersion, on_step: Callable[[Step], None]
    ) -> Engine:
        load = Load(
            model=definition.uri,
            revision=definition.revision,
            dtype=definition.dtype,
            sha256=definition.sha256,
            device=config.device,
            compile=config.compile,
            max_model_length=definition.max_model_length,
        )
        command = [sys.executable, "-m", "realtime_serve.engine_process"]
        environment: dict[str, str] = {}
        if config.loader != TRANSFORMERS:
            command += ["--loader", self._loaders[config.loader]]
            environment = environment_of(config)
        return Engine(command=command, load=load, environment=environment, on_step=on_step)


def _definition(config: ModelConfig) -> ModelVersion:
    return ModelVersion(
        version=config.version,
        uri=config.model_path or config.loader,
        revision=config.revision,
        sha256=config.sha256,
        dtype=config.dtype,
        max_model_length=config.max_model_length,
    )


def _is_settled(model: Model, version: str) -> bool:
    held = model.versions.get(version)
    return held is not None and (held.loaded is not None or held.given_up)


def _retrieve(task: asyncio.Task[object]) -> None:
    """A model that could not be loaded is told to who asked for it; afterwards it shows in its state."""
    if not task.cancelled():
        task.exception()
