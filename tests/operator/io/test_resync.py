"""Health is that the work goes on, not that the loop turns."""

from prometheus_client import CollectorRegistry

from inference_operator.controller.metrics import Key, Metrics
from inference_operator.controller.queue import WorkQueue
from inference_operator.controller.work import Resync
from inference_operator.errors import ClusterError


class Lists:
    """An API server that has these models, or does not answer."""

    def __init__(self):
        self.models = {}
        self.asked = []
        self.away = False

    async def list(self, _kind, namespace=""):
        self.asked.append(namespace)
        if self.away:
            raise ClusterError("no answer")
        found = [(where, name) for where, all_names in self.models.items() for name in all_names]
        return [{"metadata": {"namespace": w, "name": n}} for w, n in found if namespace in ("", w)]


def make_resync(lists, clock, **options):
    return Resync(
        client=lists, queue=WorkQueue(), metrics=Metrics(CollectorRegistry()), clock=clock, **options
    )


async def test_every_model_is_queued():
    lists = Lists()
    lists.models = {"a": ["chat"], "b": ["chat", "code"]}
    resync = make_resync(lists, lambda: 0.0)
    assert await resync._once()
    taken = {await resync.queue.take() for _ in range(resync.queue.depth)}
    assert taken == {Key("a", "chat"), Key("b", "chat"), Key("b", "code")}


async def test_only_the_namespaces_served_are_asked():
    lists = Lists()
    lists.models = {"a": ["chat"], "b": ["chat"], "c": ["chat"]}
    resync = make_resync(lists, lambda: 0.0, namespaces=("a", "c"))
    await resync._once()
    assert lists.asked == ["a", "c"]
    assert resync.queue.depth == 2


async def test_the_age_grows_until_a_resync_succeeds():
    now = [100.0]
    lists = Lists()
    lists.away = True
    resync = make_resync(lists, lambda: now[0])
    now[0] = 1000.0
    assert not await resync._once()
    assert resync.age() == 900
    lists.away = False
    assert await resync._once()
    assert resync.age() == 0
