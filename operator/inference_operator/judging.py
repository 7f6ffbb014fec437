"""The active fleet under traffic: what its pods say of errors and latency while its predecessor is still warm. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from inference_operator.diagnosis import diagnose
from inference_operator.reasons import Reason
from inference_operator.verdicts import Verdict, count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from inference_operator.observed import Fleet
    from inference_operator.reports import ErrorsReport, LatencyReport
    from inference_operator.roles import Scene
    from inference_operator.spec.rollout import Analysis

GONE_WRONG = {Reason.CRASH_LOOPING, Reason.OUT_OF_MEMORY, Reason.LOAD_FAILED}
"""What pods under traffic can only suffer from by their own doing."""


def window_end(scene: Scene) -> datetime | None:
    """Until when the active fleet is on trial; None when it is not: nothing is asked, or it was called back."""
    analysis, active = scene.spec.rollout.analysis, scene.roles.active
    if analysis is None or active is None or not scene.arrived or active.recalled_at:
        return None
    return active.promoted_at + timedelta(seconds=analysis.seconds) if active.promoted_at else None


def on_trial(scene: Scene) -> bool:
    end = window_end(scene)
    return end is not None and scene.observed.now < end


def breached(scene: Scene, fleet: Fleet) -> Verdict:
    """A bound of the analysis is broken, and there is a fleet to go back to."""
    found = breach(scene, fleet)
    return Verdict(
        passed=bool(found) and scene.previous is not None,
        reason=Reason.ANALYSIS_BREACHED,
        message=f"Version {fleet.version} does badly under traffic: {found}",
    )


def breach(scene: Scene, fleet: Fleet) -> str:
    """What is wrong, without a full stop; empty while nothing is known to be."""
    analysis = scene.spec.rollout.analysis
    if analysis is None:
        return ""
    finding = diagnose(fleet)
    if finding and finding.reason in GONE_WRONG:
        return finding.message
    return _errors(fleet, analysis) or _latency(fleet, analysis)


def reading(fleet: Fleet) -> str:
    """What is known so far, for people."""
    errors = _sum_errors(fleet)
    if errors is None:
        return f"no pod of fleet {fleet.name} counts its requests"
    requests, failed = errors
    p95 = _mean_p95(fleet)
    latency = "" if p95 is None else f", p95 of the time to the first token {p95[0]:.0f} ms"
    return f"{failed} of {count(requests, 'request')} failed{latency}"


def _errors(fleet: Fleet, analysis: Analysis) -> str:
    found = _sum_errors(fleet)
    if found is None or analysis.max_error_rate is None:
        return ""
    requests, failed = found
    if requests < analysis.min_requests or failed <= analysis.max_error_rate * requests:
        return ""
    return f"{failed} of {requests} requests failed or were answered with nothing; at most {analysis.max_error_rate:.2%} are allowed"


def _latency(fleet: Fleet, analysis: Analysis) -> str:
    found, most = _mean_p95(fleet), analysis.max_time_to_first_token_p95_ms
    if found is None or most is None:
        return ""
    p95, requests = found
    if requests < analysis.min_requests or p95 <= most:
        return ""
    return f"the p95 of the time to the first token is {p95:.0f} ms; at most {most} ms are allowed"


def _sum_errors(fleet: Fleet) -> tuple[int, int] | None:
    """(requests, failed or empty) of all pods; None when none of them counts."""
    found = list(_error_reports(fleet))
    if not found:
        return None
    failed = sum(report.errors_total + report.empty_total for report in found)
    return sum(report.requests_total for report in found), failed


def _mean_p95(fleet: Fleet) -> tuple[float, int] | None:
    """(milliseconds, requests): the pods' percentiles, weighted by their requests; percentiles do not add up exactly."""
    found = [
        (report.ttft_p95_ms, report.ttft_count)
        for report in _latency_reports(fleet)
        if report.ttft_p95_ms is not None and report.ttft_count
    ]
    requests = sum(number for _, number in found)
    return (sum(p95 * number for p95, number in found) / requests, requests) if requests else None


def _error_reports(fleet: Fleet) -> Iterator[ErrorsReport]:
    reports = (pod.report.errors.get(fleet.version) for pod in fleet.live_pods if pod.report)
    return (report for report in reports if report is not None)


def _latency_reports(fleet: Fleet) -> Iterator[LatencyReport]:
    reports = (pod.report.latency.get(fleet.version) for pod in fleet.live_pods if pod.report)
    return (report for report in reports if report is not None)
