"""Golden prompts: where they come from, how an answer is judged, and how the result is written down. Pure."""

from inference_operator.verification.judge import Answer, failure, judge
from inference_operator.verification.mark import GateResult, Result, read_result, subject, write_result
from inference_operator.verification.prompts import Asked, asked

__all__ = [
    "Answer",
    "Asked",
    "GateResult",
    "Result",
    "asked",
    "failure",
    "judge",
    "read_result",
    "subject",
    "write_result",
]
