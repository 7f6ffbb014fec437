"""A token bucket whose takings can be reserved first and given back later. Pure.

Turner's token bucket, kept as what has been taken (`load`) and not as what is left: a changed quota then holds at once,
and a new caller needs no history. A generation takes the most that it may need and gives back what it did not; the
libraries at hand (limits, aiolimiter, pyrate-limiter) can neither give back nor change a quota without forgetting
its past, which is why this is ours.

In any stretch of time what was taken and not given back is at most `max(capacity, largest taking) + rate * time`:
time pays off settled takings before reserved ones, and what it has paid of a reservation is not given back again.
"""

from __future__ import annotations

from typing import NamedTuple

SLACK = 1e-9  # of a request or token; sums of floats are no more exact


class Quota(NamedTuple):
    """What may be taken."""

    rate: float  # a second
    capacity: float  # at once


class Hold:
    """Something reserved. `left`: the part that time has not paid off yet."""

    __slots__ = ("amount", "left")

    def __init__(self, amount: float) -> None:
        self.amount = amount
        self.left = amount


class Bucket:
    """Of one caller and one kind of thing. Times are seconds on any clock that does not go back."""

    def __init__(self, now: float) -> None:
        self._at = now
        self._rate = 0.0
        self._spent = 0.0
        self._holds: dict[Hold, None] = {}  # the oldest first

    @property
    def load(self) -> float:
        """What has been taken and not been paid off by time."""
        return self._spent + sum(hold.left for hold in self._holds)

    def wait(self, amount: float, quota: Quota, now: float) -> float:
        """Return the seconds until so much may be taken, 0 for now.

        More than the capacity may be taken from a full bucket, which then needs the longer to fill: so nothing is
        impossible, however small the pod's share of a limit is.
        """
        self.flow(quota.rate, now)
        load = self.load
        excess = min(load, load + amount - quota.capacity)
        return excess / quota.rate if excess > SLACK else 0.0

    def take(self, amount: float) -> Hold:
        """Reserve; ask `wait` first."""
        hold = Hold(amount)
        self._holds[hold] = None
        return hold

    def settle(self, hold: Hold, used: float) -> None:
        """Give back what was reserved and not used. A second time changes nothing."""
        if hold not in self._holds:
            return
        del self._holds[hold]
        paid = hold.amount - hold.left
        self._spent += min(hold.left, max(0.0, used - paid))

    def idle(self, now: float) -> bool:
        """Whether it is as good as new."""
        self.flow(self._rate, now)
        return not self._holds and self._spent <= SLACK

    def flow(self, rate: float, now: float) -> None:
        """Let time pay off, up to now at the rate so far, from now on at this one."""
        paid = self._rate * max(0.0, now - self._at)
        self._at, self._rate = max(self._at, now), rate
        settled = min(paid, self._spent)
        self._spent -= settled
        paid -= settled
        for hold in self._holds:
            part = min(paid, hold.left)
            hold.left -= part
            paid -= part
            if paid <= 0:
                break
