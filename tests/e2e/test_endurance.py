"""Swap after swap under live streams and kept connections, with somebody who changes his mind and an operator that dies.

`--swaps 40 --seed 7 --log-cli-level INFO` asks for more than the few that every run has, and tells what was done.
"""

import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from hack.kube import Kube
from inference_operator.names import ABORT, FLEET_VERSION, PROMOTED_AT
from tests.support.models import ROLLOUT_SECONDS, in_phase, settled_on
from tests.support.operator_process import OperatorProcess
from tests.support.traffic import LiveStreams, address, harmed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

_log = logging.getLogger(__name__)

GRACE = 5.0 + 1.0
"""Seconds for which pods that hear that they drain take new requests still, and what whole seconds of a mark round off."""
HEARING = 30.0
"""Seconds that a busy node may take to tell a pod of its annotations: only who keeps a connection hangs on that."""
UNDER_WAY = ("Preparing", "Promoting", "Draining", "Ready")
"""A phase may be so short that the next one is what is seen first."""


@dataclass
class Story:
    """Edits by a seed, each to its end, and what was promoted when."""

    kube: Kube
    chance: random.Random
    start_operator: Callable[[], OperatorProcess]
    operator: OperatorProcess
    version: int = 1
    told: list[str] = field(default_factory=list)
    flips: set[tuple[float, str]] = field(default_factory=set)
    """Unix time, and the version that got the traffic then."""

    def swap(self) -> None:
        """To a version that never was, with one thing that goes otherwise than planned."""
        deeds = (self._plainly, self._turning_back_first, self._aborting_first, self._resizing, self._killing)
        deed = self.chance.choice(deeds)
        self.told.append(deed.__name__.strip("_"))
        deed()
        self._arrive()

    def _plainly(self) -> None:
        self._edit(self._next())

    def _turning_back_first(self) -> None:
        before = self.version
        self._edit(self._next())
        self._await("Preparing", "Promoting")
        self._edit(before)
        self.kube.wait("im", "chat", settled_on(f"{before}.0.0"), ROLLOUT_SECONDS)
        self._note()
        self._edit(self._next())

    def _aborting_first(self) -> None:
        self._edit(self._next())
        self._await(*UNDER_WAY)
        target = self.kube.get("im", "chat")["status"].get("target")
        if target:
            self.kube.run("annotate", "im", "chat", "--overwrite", f"{ABORT}={target['revision']}")
            self._await("Failed", "Promoting", "Draining", "Ready")
        self._edit(self._next())

    def _resizing(self) -> None:
        self._edit(self._next(), replicas=self.chance.choice((1, 2)))

    def _killing(self) -> None:
        self._edit(self._next())
        self._await(*UNDER_WAY[self.chance.randrange(3) :])
        self.operator.process.kill()
        self.operator.process.wait()
        self.operator = self.start_operator()

    def _next(self) -> int:
        self.version += 1
        return self.version

    def _edit(self, version: int, **changes: Any) -> None:
        self.kube.patch("im", "chat", {"spec": {"model": {"version": f"{version}.0.0"}, **changes}})

    def _await(self, *phases: str) -> None:
        self.kube.wait("im", "chat", in_phase(*phases), ROLLOUT_SECONDS)

    def _arrive(self) -> None:
        self.kube.wait("im", "chat", settled_on(f"{self.version}.0.0"), ROLLOUT_SECONDS)
        self._note()

    def _note(self) -> None:
        for fleet in self.kube.find("deployments"):
            marks = fleet["metadata"]["annotations"]
            if at := marks.get(PROMOTED_AT):
                self.flips.add((datetime.fromisoformat(at).timestamp(), marks[FLEET_VERSION]))


def lateness(streams: list[dict[str, Any]], flips: set[tuple[float, str]]) -> list[float]:
    """Of each request, the seconds from the flip away from its version to its beginning; below 0: it came before."""
    order = sorted(flips)
    ends: dict[str, float] = {}
    for (_, version), (end, _) in zip(order, [*order[1:], (float("inf"), "")], strict=True):
        ends[version] = end
    return [one["opened_at"] - ends[one["version"]] for one in streams]


def test_of_many_swaps_none_harms_a_stream(kube, serving, start_operator, tmp_path, pytestconfig):
    swaps, seed = pytestconfig.getoption("swaps"), pytestconfig.getoption("seed")
    chance = random.Random(seed)
    story = Story(kube=kube, chance=chance, start_operator=start_operator, operator=serving)
    url = address(kube)
    with (
        LiveStreams(url, tmp_path / "streams.json", concurrency=64, tokens=400) as fresh,
        LiveStreams(url, tmp_path / "kept.json", concurrency=8, tokens=60, keep_alive=True) as kept,
    ):
        for _ in range(swaps):
            story.swap()
        summaries = [fresh.stop(), kept.stop()]
    seen = [one for summary in summaries for one in summary["streams"]]
    latest, latest_kept = (max(lateness(summary["streams"], story.flips)) for summary in summaries)
    told = {"seed": seed, "deeds": story.told, "streams": len(seen), "flips": len(story.flips)}
    told |= {"latest on an old version, seconds after the flip": [round(latest, 1), round(latest_kept, 1)]}
    _log.info("%s", json.dumps(told))
    assert [one for summary in summaries for one in harmed(summary)] == []
    assert latest <= GRACE
    assert latest_kept <= GRACE + HEARING
    assert {one["version"] for one in seen} >= {f"{story.version}.0.0"}
    assert len(story.flips) > swaps
