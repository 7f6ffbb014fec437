"""Every error this operator raises on purpose.

OperatorError
├── InvalidSpec          the model asks for something that makes no sense: the user mends it
├── Unreadable           a file that the command line names cannot be used
├── LeaseLost            another process may lead now: this one must write nothing more
└── ClusterError         a call to the API server failed
    ├── Refused          it understood and said no; the same call will be refused again
    ├── KindMissing      the cluster has no such kind: what defines it is not installed
    ├── NamespaceEnding  the namespace is being deleted, and nothing new may be made in it
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


class Unreadable(OperatorError):
    """A file that the command line names is not there, is no YAML, or holds something else."""


class LeaseLost(OperatorError):
    """This process is not the leader any more, or cannot know."""


class ClusterError(OperatorError):
    """The API server could not be asked, or refused."""


class Refused(ClusterError):
    """A 4xx that another try will not change: forbidden, invalid, over quota. `status` is the HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class KindMissing(ClusterError):
    """The API server does not know the kind."""


class NamespaceEnding(ClusterError):
    """The namespace is being deleted. The model goes with it, so there is nothing left to do for it."""


class StaleObservation(ClusterError):
    """What the plan was made from is no longer so (409, or 422 of a `test`). Harmless: plan again."""
