"""The histogram of every token tells Prometheus what its client's own one would."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest

from realtime_serve.generation.histogram import TokenHistogram
from realtime_serve.generation.metrics import BETWEEN_TOKENS

ABOUT = ("gap_seconds", "Between two tokens", ("model", "version"))
VALUES = st.one_of(st.sampled_from(BETWEEN_TOKENS), st.floats(0, 10))
SEEN = st.lists(st.tuples(VALUES, st.integers(0, 3), st.sampled_from(["1", '2 "beta"'])), max_size=40)


@given(seen=SEEN)
def test_its_text_is_the_same(seen):
    disable_created_metrics()
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = TokenHistogram(*ABOUT, edges=BETWEEN_TOKENS, registry=ours)
    known = Histogram(*ABOUT, buckets=BETWEEN_TOKENS, registry=theirs)
    for value, times, version in seen:
        mine.labels("chat", version).observe(value, times)
        child = known.labels("chat", version)
        for _ in range(times):
            child.observe(value)
    assert samples(ours) == samples(theirs)


def samples(registry):
    """Sums of many floats may differ in their last digits."""
    lines = generate_latest(registry).decode().splitlines()
    return [
        (name, round(float(value), 6)) if not name.startswith("#") else (name, value)
        for name, _, value in (line.rpartition(" ") for line in lines)
    ]
