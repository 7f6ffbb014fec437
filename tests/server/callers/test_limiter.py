"""Limits of callers as the settings have them: shares, live change, and nobody in anybody's way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.callers import limiter as limiter_module
from realtime_serve.callers.caller import Caller
from realtime_serve.callers.limiter import LONGEST_WAIT_SECONDS, RateLimiter
from realtime_serve.callers.table import Table
from realtime_serve.errors import RateLimited
from realtime_serve.settings.callers import Client, Rate, RateLimit
from realtime_serve.settings.runtime import Settings

A, B = Caller("a", "a"), Caller("b", "b")
WEB = Caller("web", "web", "web", "high")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Limited:
    """A limiter, its settings and its time."""

    def __init__(self, **settings) -> None:
        self.settings, self.clock = Settings(**settings), Clock()
        self.limiter = RateLimiter(lambda: self.settings, self.clock)

    def admits(self, caller=A) -> bool:
        try:
            self.limiter.admit(caller)
        except RateLimited:
            return False
        return True

    def count(self, caller=A) -> int:
        return sum(self.admits(caller) for _ in range(1000))


def test_without_limits_nobody_waits_and_nothing_is_said_of_them():
    limited = Limited()
    ticket = limited.limiter.admit(A)
    ticket.reserve(10**9)
    ticket.settle(0)
    assert ticket.standings == []
    assert limited.count() == 1000


def test_burst_is_what_may_come_at_once_and_a_minutes_worth_without_it():
    assert Limited(rate_limit=RateLimit(requests_per_minute=60)).count() == 60
    assert Limited(rate_limit=RateLimit(requests_per_minute=60, burst=7)).count() == 7


def test_each_pod_allows_its_share():
    assert Limited(rate_limit=RateLimit(requests_per_minute=60), replicas=3).count() == 20
    small = Limited(rate_limit=RateLimit(requests_per_minute=60, burst=1), replicas=3)
    assert small.count() == 1  # never none
    small.clock.now += 2.9
    assert not small.admits()
    small.clock.now += 0.2
    assert small.admits()


def test_a_change_holds_from_the_next_request_on():
    limited = Limited(rate_limit=RateLimit(requests_per_minute=10))
    assert limited.count() == 10
    limited.settings = Settings(rate_limit=RateLimit(requests_per_minute=30))
    assert limited.count() == 20
    limited.settings = Settings()
    assert limited.count() == 1000
    limited.settings = Settings(rate_limit=RateLimit(requests_per_minute=30))
    assert limited.count() == 0


def test_a_clients_own_limit_stands_in_place_of_the_common_one():
    web = Client(name="web", rate_limit=Rate(requests_per_minute=5))
    limited = Limited(rate_limit=RateLimit(requests_per_minute=10), clients=(web, Client(name="batch")))
    assert limited.count(WEB) == 5
    assert limited.count(Caller("batch", "batch", "batch")) == 10


def test_tokens_are_reserved_and_what_was_not_used_comes_back():
    limited = Limited(rate_limit=RateLimit(tokens_per_minute=100))
    first = limited.limiter.admit(A)
    first.reserve(80)
    second = limited.limiter.admit(A)
    with pytest.raises(RateLimited) as refused:
        second.reserve(30)
    assert (refused.value.unit, refused.value.retry_after) == ("tokens", 6)
    first.settle(15)
    second.reserve(85)
    assert [(s.unit, s.limit, s.remaining) for s in second.standings] == [("tokens", 100, 0)]


@pytest.mark.parametrize("requests", [1, 60, 10**9])
@pytest.mark.parametrize("replicas", [1, 1000])
def test_the_wait_that_is_told_is_a_whole_number_of_seconds_and_not_too_long(requests, replicas):
    limited = Limited(rate_limit=RateLimit(requests_per_minute=requests, burst=1), replicas=replicas)
    limited.admits()
    with pytest.raises(RateLimited) as refused:
        limited.limiter.admit(A)
    assert 1 <= refused.value.retry_after <= LONGEST_WAIT_SECONDS
    assert isinstance(refused.value.retry_after, int)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3), st.integers(1, 300)), max_size=60))
def test_what_one_caller_does_changes_nothing_for_another(events):
    rate = RateLimit(requests_per_minute=60, tokens_per_minute=300, burst=3)

    def verdicts(names: str) -> list[bool]:
        limited, found = Limited(rate_limit=rate), []
        for name, pause, tokens in events:
            limited.clock.now += pause
            if name not in names:
                continue
            try:
                limited.limiter.admit(Caller(name, name)).reserve(tokens)
            except RateLimited:
                ok = False
            else:
                ok = True
            if name == "b":
                found.append(ok)
        return found

    assert verdicts("ab") == verdicts("b")


def test_strangers_without_number_take_bounded_memory_and_push_no_client_out(monkeypatch):
    monkeypatch.setattr(limiter_module, "MOST_STRANGERS", 50)
    limited = Limited(rate_limit=RateLimit(requests_per_minute=1), clients=(Client(name="web"),))
    assert limited.admits(WEB)
    assert all(limited.admits(Caller(str(number), str(number))) for number in range(500))
    assert not limited.admits(WEB)
    assert len(limited.limiter._strangers) <= 50


def test_callers_that_owe_nothing_are_forgotten():
    table, limited = Table(1000), Limited(rate_limit=RateLimit(requests_per_minute=60))
    limited.limiter._strangers = table
    for number in range(200):
        limited.clock.now += 1.1
        limited.admits(Caller(str(number), str(number)))
    assert len(table) <= 3
