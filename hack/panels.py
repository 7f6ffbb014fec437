"""What the Grafana dashboard shows, as a table. Every query here is run against a real Prometheus by tests/chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MATCH = '{namespace=~"$namespace", model=~"$model"}'


@dataclass(frozen=True)
class Panel:
    """One picture: queries by their legends; `kind` and `unit` are Grafana's names."""

    title: str
    meaning: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """Panels of one size; `width` and `height` count cells of Grafana's grid, which is 24 wide."""

    title: str
    panels: tuple[Panel, ...]
    width: int = 8
    height: int = 8


def grouped(function: str, by: str, expr: str) -> str:
    return f"{function} by ({by}) ({expr})" if by else f"{function}({expr})"


def gauge(metric: str, by: str = "", function: str = "sum", match: str = MATCH) -> str:
    return grouped(function, by, f"{metric}{match}")


def rate(counter: str, by: str = "", match: str = MATCH) -> str:
    return grouped("sum", by, f"rate({counter}{match}[$__rate_interval])")


def quantile(q: float, histogram: str, match: str = MATCH) -> str:
    return f"histogram_quantile({q}, {rate(f'{histogram}_bucket', 'le', match)})"


def count_phases(phases: str) -> str:
    """How many models are in these phases; 0, not nothing, when the operator knows models and none is."""
    metric = "inference_operator_model_phase"
    return f'count({metric}{MATCH[:-1]}, phase=~"{phases}"}}) or 0 * count({metric}{MATCH})'


def latency(title: str, meaning: str, histogram: str, match: str = MATCH) -> Panel:
    queries = {f"p{q * 100:g}": quantile(q, histogram, match) for q in (0.5, 0.95, 0.99)}
    return Panel(title, meaning, queries, unit="s")


def now(title: str, meaning: str, expr: str, unit: str = "short") -> Panel:
    return Panel(title, meaning, {"": expr}, unit=unit, kind="stat")


NOW = (
    now(
        "Requests", "Requests that finished, a second.", rate("realtime_serve_request_success_total"), "reqps"
    ),
    now("Tokens", "Tokens generated a second.", rate("realtime_serve_generation_tokens_total")),
    now(
        "Time to first token p95",
        "19 of 20 requests got their first token within this time.",
        quantile(0.95, "realtime_serve_time_to_first_token_seconds"),
        "s",
    ),
    now(
        "Active streams",
        "Accepted requests that are not answered whole yet.",
        gauge("realtime_serve_active_streams"),
    ),
    now(
        "Models ready",
        "Models in phase Ready: they serve, and no rollout runs.",
        count_phases("Ready"),
    ),
    now(
        "Models failed or refused",
        "Models whose last edit failed or was refused; the version before it goes on serving.",
        count_phases("Failed|Invalid|Conflict"),
    ),
)

TRAFFIC = (
    Panel(
        "Requests by outcome",
        "Finished requests a second, by why they ended.",
        {"{{finished_reason}}": rate("realtime_serve_request_success_total", "finished_reason")},
        unit="reqps",
        stacked=True,
    ),
    Panel(
        "Refused, failed and abandoned",
        "Requests a second that got an error (429 and 503 among them), by reason, and clients that went away.",
        {
            "{{reason}}": rate("realtime_serve_request_failure_total", "reason"),
            "client went away": rate("realtime_serve_client_disconnects_total"),
        },
        unit="reqps",
    ),
    Panel(
        "Prompt and generated tokens",
        "Tokens a second: read from prompts, and generated.",
        {
            "prompt": rate("realtime_serve_prompt_tokens_total"),
            "generated": rate("realtime_serve_generation_tokens_total"),
        },
    ),
)

LATENCY = (
    latency(
        "Time to first token",
        "From the request's arrival to its first token.",
        "realtime_serve_time_to_first_token_seconds",
    ),
    latency(
        "Between two tokens",
        "Inter-token latency inside a stream.",
        "realtime_serve_inter_token_latency_seconds",
    ),
    latency(
        "Whole request",
        "From arrival to the last token; long answers take long.",
        "realtime_serve_e2e_request_latency_seconds",
    ),
    latency(
        "Waiting in the queue",
        "From arrival to the first step in the engine.",
        "realtime_serve_request_queue_time_seconds",
    ),
)

VERSIONS = (
    Panel(
        "Tokens by version",
        "Tokens generated a second by each version: in a swap one line hands over to the next.",
        {
            "{{model}} {{model_version}}": rate(
                "realtime_serve_generation_tokens_total", "model, model_version"
            )
        },
        stacked=True,
    ),
    Panel(
        "Streams by fleet",
        "Active streams as the pods count them.",
        {"{{fleet}} ({{model_version}})": gauge("realtime_serve_active_streams", "fleet, model_version")},
        stacked=True,
    ),
    Panel(
        "Streams by role",
        "Active streams as the operator sees them; a draining fleet goes to zero before its pods end.",
        {"{{model}} {{version}} {{role}}": gauge("inference_operator_fleet_streams", "model, version, role")},
        stacked=True,
    ),
    Panel(
        "Phase of each model",
        "The phase that `kubectl get im` shows.",
        {
            "{{namespace}}/{{model}} {{phase}}": gauge(
                "inference_operator_model_phase", "namespace, model, phase", "max"
            )
            + " == 1"
        },
        kind="state-timeline",
    ),
    Panel(
        "Rollout steps",
        "Steps that the operator has taken since it started.",
        {"{{model}} {{step}}": gauge("inference_operator_rollout_steps_total", "model, step")},
    ),
    Panel(
        "Draining pods",
        "Pods that finish their streams and take no new ones.",
        {"{{fleet}}": gauge("realtime_serve_draining", "fleet")},
    ),
)

ENGINE = (
    Panel(
        "Running and waiting",
        "Sequences in the batch, and requests that wait for a place in it.",
        {
            "{{fleet}} running": gauge("realtime_serve_num_requests_running", "fleet"),
            "{{fleet}} waiting": gauge("realtime_serve_num_requests_waiting", "fleet"),
        },
    ),
    latency("Step", "Time of one engine step.", "realtime_serve_engine_step_seconds"),
    Panel(
        "Settings generation",
        "The generation of the InferenceModel whose settings each pod runs.",
        {"{{pod}}": gauge("realtime_serve_settings_generation", "fleet, pod", "max")},
    ),
    Panel(
        "KV cache in use",
        "Share of the KV cache that sequences hold. What they left behind for others that begin alike counts as free.",
        {"{{pod}}": gauge("realtime_serve_kv_cache_usage_perc", "fleet, pod", "max")},
        unit="percentunit",
    ),
    Panel(
        "Prompt tokens found in the cache",
        "Tokens of prompts that the engine took in, and how many of them others had computed already.",
        {
            "all": rate("realtime_serve_prefix_cache_queries_total"),
            "found": rate("realtime_serve_prefix_cache_hits_total"),
        },
    ),
)

OPERATOR = (
    Panel(
        "Reconciles",
        "Reconciles a second, by result.",
        {"{{result}}": rate("inference_operator_reconciles_total", "result", "")},
        unit="ops",
    ),
    latency(
        "Time of a reconcile",
        "From the first read to the last write.",
        "inference_operator_reconcile_seconds",
        match="",
    ),
    Panel(
        "Queue",
        "Models that wait for a reconcile.",
        {"waiting": gauge("inference_operator_queue_depth", match="")},
    ),
    Panel(
        "Oldest in the queue",
        "How long the oldest entry has waited.",
        {"age": gauge("inference_operator_queue_oldest_seconds", function="max", match="")},
        unit="s",
    ),
    Panel(
        "API requests",
        "Requests a second to the API server, by verb and answer.",
        {"{{verb}} {{code}}": rate("inference_operator_api_requests_total", "verb, code", "")},
        unit="reqps",
    ),
    Panel(
        "Since the last resync",
        "Time since the operator last looked at every model; it grows when the operator is stuck.",
        {"age": "time() - max(inference_operator_last_resync_timestamp_seconds)"},
        unit="s",
    ),
    Panel(
        "Leaders",
        "Operator pods that hold the Lease: one, and none only for moments.",
        {"leaders": gauge("inference_operator_leader", match="")},
    ),
)

ROWS = (
    Row("Now", NOW, width=4, height=4),
    Row("Traffic", TRAFFIC),
    Row("Latency", LATENCY, width=6),
    Row("Versions and rollouts", VERSIONS),
    Row("Engine", ENGINE),
    Row("Operator", OPERATOR, width=6),
)
