"""Frames survive whatever way the stream cuts them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.engine import frames
from realtime_serve.engine.messages import Abort, Configure, Hold, Sampling, Step, Submit

MESSAGES = [
    Submit(7, list(range(300)), 5, Sampling(seed=2**63 - 1), [1], 2),
    Abort(7),
    Hold(2**40),
    Configure(max_batch_size=3),
]


@given(cuts=st.lists(st.integers(1, 50), min_size=1, max_size=100))
def test_messages_come_out_whole_and_in_order_wherever_the_reads_cut(cuts):
    stream = b"".join(map(frames.encode, MESSAGES))
    reader, found = frames.reader_of_front_end(), []
    for cut in [*cuts, len(stream)]:
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found == MESSAGES


def test_a_step_is_columns():
    step = Step([1, 2], [30, -1], [0, 4], {2: "broken"}, 1, 0, 0.01)
    assert list(frames.reader_of_engine().feed(frames.encode(step))) == [step]


def test_what_is_no_message_is_refused():
    with pytest.raises(msgspec.DecodeError):
        list(frames.reader_of_engine().feed(b"\x00\x00\x00\x02hi"))
