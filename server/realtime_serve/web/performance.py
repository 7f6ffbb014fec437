"""How the versions do, as JSON: for the operator's analysis in /status, for people and scripts in /metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_serve.generation.tally import WINDOW_SECONDS, Percentiles, Tally, VersionTally, Window

Versions = Mapping[str, VersionTally]


def errors_json(versions: Versions) -> dict[str, dict[str, int]]:
    """Counts since the process began."""
    return {
        name: {
            "requests_total": version.requests,
            "errors_total": version.errors,
            "empty_total": version.empty,
        }
        for name, version in versions.items()
    }


def latency_json(versions: Versions, now: float) -> dict[str, dict[str, float | int | None]]:
    """The time to the first token, over the last minute."""
    found = {name: version.first_token.percentiles(now) for name, version in versions.items()}
    return {name: {"ttft_p95_ms": _ms(seen.p95), "ttft_count": seen.samples} for name, seen in found.items()}


def percentiles_json(tally: Tally, now: float) -> dict[str, object]:
    """Everything that is known of the last minute, by model and version."""
    models = {
        model: {"versions": {name: _version(version, now) for name, version in versions.items()}}
        for model, versions in tally.models.items()
    }
    return {"window_seconds": WINDOW_SECONDS, "models": models}


def _version(version: VersionTally, now: float) -> dict[str, object]:
    ends = version.failed.values(now)
    return {
        "time_to_first_token_ms": _spread(version.first_token, now),
        "inter_token_latency_ms": _spread(version.between_tokens, now),
        "request_latency_ms": _spread(version.whole_request, now),
        "tokens_per_second": round(sum(version.generated.values(now)) / WINDOW_SECONDS, 3),
        "requests_per_second": round(len(ends) / WINDOW_SECONDS, 3),
        "error_rate": round(sum(ends) / len(ends), 6) if ends else 0.0,
    }


def _spread(window: Window, now: float) -> dict[str, float | int | None]:
    seen: Percentiles = window.percentiles(now)
    return {"count": seen.samples, "p50": _ms(seen.p50), "p95": _ms(seen.p95), "p99": _ms(seen.p99)}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
