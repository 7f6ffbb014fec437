"""The file of the pod's annotations."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.settings.annotations import DRAIN, parse_annotations

KEY = st.from_regex(r"[a-z][a-z0-9./-]{0,20}", fullmatch=True)


@given(annotations=st.dictionaries(KEY, st.text(st.characters(codec="utf-8"), max_size=30)))
def test_every_annotation_is_read_as_it_was_written(annotations):
    lines = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in annotations.items()]
    assert parse_annotations("\n".join(lines).encode()) == annotations


@given(content=st.binary(max_size=80))
def test_no_content_is_an_order_by_accident(content):
    assert DRAIN not in parse_annotations(content)


def test_an_order_in_the_middle_is_found():
    content = b'a="b=\\"c\\""\nrealtime-serve.io/drain="2026-01-01T00:00:00Z"\nlast="x\\ny"\n'
    assert parse_annotations(content) == {"a": 'b="c"', DRAIN: "2026-01-01T00:00:00Z", "last": "x\ny"}


def test_a_value_that_looks_like_an_order_is_none():
    content = json.dumps(f'x\n{DRAIN}="now"').encode()
    assert DRAIN not in parse_annotations(b"note=" + content)
