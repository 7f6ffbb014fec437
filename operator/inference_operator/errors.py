"""Every error this operator raises on purpose.

OperatorError
├── InvalidSpec          the model asks for something that makes no sense: the user mends it
└── ClusterError         a call to the API server failed
    └── StaleObservation a precondition did not hold: somebody wrote first; observe again
"""

from __future__ import annotations


class OperatorError(Exception):
    """The root of the tree."""


class InvalidSpec(OperatorError):
    """A field of the resource is wrong.

    `path` is the field as a person would write it (`spec.batching.maxBatchSize`),
    `problem` says what was found and what is allowed.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class ClusterError(OperatorError):
    """The API server could not be asked, or refused."""


class StaleObservation(ClusterError):
    """What the plan was made from is no longer so (409, or 422 of a `test`). Harmless: plan again."""
