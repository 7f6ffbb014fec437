"""`python -m hack.rights AUDIT_LOG --user NAME`: what an account asked of the API server, held against what the chart gives it.

Exit code 1 when a request was forbidden or a right of the chart was never used.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, Self

from hack import chart

Event = Mapping[str, Any]
"""One line of an audit log."""


class Right(NamedTuple):
    group: str
    resource: str
    """With its subresource: `inferencemodels/status`."""
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")


FOR_ADMISSION = frozenset({Right("realtime-serve.io", "inferencemodels/finalizers", "update")})
"""What no request asks for by itself: the plugin OwnerReferencesPermissionEnforcement looks whether we might."""


@dataclass
class Comparison:
    given: set[Right]
    used: set[Right] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    requests: int = 0

    @classmethod
    def of(cls, events: Iterable[Event], given: Iterable[Right]) -> Self:
        found = cls(given=set(given))
        for event in events:
            found.requests += 1
            found.used.update(rights_of(event))
            if event.get("responseStatus", {}).get("code") == HTTPStatus.FORBIDDEN:
                found.forbidden.add(_told(event))
        return found

    @property
    def unused(self) -> set[Right]:
        return self.given - self.used - FOR_ADMISSION

    @property
    def fits(self) -> bool:
        return not self.forbidden and not self.unused

    def __str__(self) -> str:
        lines = [f"{self.requests} requests used {len(self.used & self.given)} of {len(self.given)} rights"]
        lines += [f"forbidden: {what}" for what in sorted(self.forbidden)]
        lines += [f"never used: {right}" for right in sorted(self.unused)]
        return "\n".join(lines)


def rights_of(event: Event) -> Iterator[Right]:
    """What a request needed. An apply that made its object needed the right to create it too."""
    place = event.get("objectRef")
    if place is None or "resource" not in place:
        return  # discovery, which everybody may do
    resource = "/".join(part for part in (place["resource"], place.get("subresource", "")) if part)
    yield Right(place.get("apiGroup", ""), resource, event["verb"])
    if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == HTTPStatus.CREATED:
        yield Right(place.get("apiGroup", ""), resource, "create")


def given_by(manifests: list[chart.Manifest]) -> set[Right]:
    """All rights that the chart binds to the operator's own account."""
    bound = {
        (role["kind"], role["name"])
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for binding in chart.find(manifests, kind)
        for role in [binding["roleRef"]]
    }
    return {
        Right(group, resource, verb)
        for role in manifests
        if (role["kind"], role["metadata"]["name"]) in bound
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def read_log(log: Path, user: str = "") -> Iterator[Event]:
    """The finished requests of one user, or of all whom the policy of the log names."""
    with log.open() as lines:
        for line in lines:
            event = json.loads(line)
            if not user or event["user"]["username"] == user:
                yield event


def _told(event: Event) -> str:
    return f"{event['verb']} {event['requestURI'].partition('?')[0]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument(
        "--user", default="", help="as in system:serviceaccount:NAMESPACE:NAME; all by default"
    )
    parser.add_argument("--values", type=Path, help="the chart's values in JSON; its defaults without this")
    given = parser.parse_args()
    values = json.loads(given.values.read_text()) if given.values else {}
    found = Comparison.of(read_log(given.log, given.user), given_by(chart.render(values)))
    print(found)
    return int(not found.fits)


if __name__ == "__main__":
    sys.exit(main())
