"""What a pod says of itself: the body of its GET /status. Pure data."""

from __future__ import annotations

import msgspec

from inference_operator.transfers import Transfer


class VersionReport(msgspec.Struct, frozen=True):
    """One version of the model inside a pod. States: loading, warming, ready, failed."""

    state: str
    message: str = ""
    active_streams: int = 0
    progress: Transfer | None = None
    """Of weights that are being downloaded."""

    @property
    def doing(self) -> str:
        """In words, for a sentence that names the pod."""
        said = self.progress.words if self.progress else self.message
        return f"{self.state}: {said}" if self.progress else f"{self.state}{f' ({said})' if said else ''}"


class ModelReport(msgspec.Struct, frozen=True):
    active_version: str = ""
    versions: dict[str, VersionReport] = {}


class StreamsReport(msgspec.Struct, frozen=True):
    active: int = 0


class ErrorsReport(msgspec.Struct, frozen=True):
    """Of one version since its process began."""

    requests_total: int = 0
    errors_total: int = 0
    empty_total: int = 0
    """Requests that ended well and gave not one token."""


class LatencyReport(msgspec.Struct, frozen=True):
    """Of one version over the last minute."""

    ttft_p95_ms: float | None = None
    """None: no request had a first token in that time."""
    ttft_count: int = 0


class PodReport(msgspec.Struct, frozen=True):
    """The body of a pod's GET /status; `msgspec.json.decode(body, type=PodReport)`. Unknown keys are a newer server's."""

    draining: bool
    settings_generation: int
    models: dict[str, ModelReport]
    streams: StreamsReport = StreamsReport()
    settings_error: str = ""
    connections: int = 0
    server_version: str = ""
    errors: dict[str, ErrorsReport] = {}
    """By version; a server that does not count says nothing."""
    latency: dict[str, LatencyReport] = {}

    def version(self, version: str) -> VersionReport | None:
        """What the pod says of `version`, under whatever served name it stands."""
        found = (model.versions.get(version) for model in self.models.values())
        return next((report for report in found if report is not None), None)
