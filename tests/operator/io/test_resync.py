"""Health is that the work goes on, not that the loop turns; and a resync queues what has changed unheard."""

from prometheus_client import CollectorRegistry

from inference_operator.cluster.survey import Sighting
from inference_operator.controller.key import Key
from inference_operator.controller.memory import Memory
from inference_operator.controller.metrics import Metrics
from inference_operator.controller.queue import WorkQueue
from inference_operator.controller.work import Resync
from inference_operator.errors import ClusterError

CHAT, CODE = Key("a", "chat"), Key("b", "code")


class Survey:
    """A cluster with these models, or one that does not answer."""

    def __init__(self):
        self.models = {}
        self.away = False

    async def look(self):
        if self.away:
            raise ClusterError("no answer")
        return {tuple(key): sighting for key, sighting in self.models.items()}


def make_resync(survey, clock=lambda: 0.0):
    return Resync(
        surveyor=survey,
        queue=WorkQueue(),
        metrics=Metrics(CollectorRegistry()),
        memory=Memory(),
        clock=clock,
    )


async def queued(resync):
    assert await resync._once()
    return {await resync.queue.take() for _ in range(resync.queue.depth)}


async def test_a_model_that_no_run_has_seen_is_queued():
    survey = Survey()
    survey.models = {CHAT: Sighting("x", 0), CODE: Sighting("y", 0)}
    assert await queued(make_resync(survey)) == {CHAT, CODE}


async def test_a_model_that_is_as_its_last_run_saw_it_is_left_alone():
    survey = Survey()
    survey.models = {CHAT: Sighting("x", 0), CODE: Sighting("y", 0)}
    resync = make_resync(survey)
    resync.memory.note(CHAT, Sighting("x", 0))
    assert await queued(resync) == {CODE}


async def test_a_change_that_nobody_told_of_is_found():
    survey = Survey()
    survey.models = {CHAT: Sighting("x", 0)}
    resync = make_resync(survey)
    for seen in (Sighting("w", 0), Sighting("x", 4)):
        resync.memory.note(CHAT, seen)
        assert await queued(resync) == {CHAT}
        resync.queue.done(CHAT)


async def test_a_model_whose_end_nobody_told_of_is_found():
    resync = make_resync(Survey())
    resync.memory.note(CHAT, Sighting("x", 0))
    assert await queued(resync) == {CHAT}
    resync.queue.done(CHAT)
    resync.memory.forget(CHAT)
    assert await queued(resync) == set()


async def test_the_age_grows_until_a_resync_succeeds():
    now = [100.0]
    survey = Survey()
    survey.away = True
    resync = make_resync(survey, lambda: now[0])
    now[0] = 1000.0
    assert not await resync._once()
    assert resync.age() == 900
    survey.away = False
    assert await resync._once()
    assert resync.age() == 0
