"""Requests to the API server: a burst at once, then one after another."""

import asyncio

from inference_operator.cluster.pace import Pace


class Time:
    """A clock that the sleeps move on."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(round(seconds, 3))


def make(time, rate=10.0, burst=2.0):
    return Pace(rate=rate, burst=burst, clock=time, sleep=time.sleep)


async def test_what_fits_into_the_burst_does_not_wait_and_what_comes_later_waits_its_turn():
    time = Time()
    pace = make(time)
    await asyncio.gather(*(pace.wait() for _ in range(5)))
    assert time.slept == [0.1, 0.2, 0.3]


async def test_time_without_requests_fills_the_burst_and_no_more():
    time = Time()
    pace = make(time)
    await pace.wait()
    time.now = 1000.0
    for _ in range(3):
        await pace.wait()
    assert time.slept == [0.1]
