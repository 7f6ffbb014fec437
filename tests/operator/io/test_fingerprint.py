"""What counts as a change of a model: everything but our own writes of its status."""

import copy

import pytest

from inference_operator.cluster.fingerprint import fingerprint

MODEL = {
    "metadata": {"uid": "m", "generation": 3, "resourceVersion": "9", "annotations": {"a": "b"}},
    "status": {"phase": "Ready"},
}
OWNED = [
    {"metadata": {"uid": "d", "resourceVersion": "5"}},
    {"metadata": {"uid": "p", "resourceVersion": "6"}},
]


def test_the_order_of_a_list_and_our_own_status_make_no_difference():
    written = copy.deepcopy(MODEL)
    written["metadata"]["resourceVersion"] = "10"
    written["status"]["phase"] = "Draining"
    assert fingerprint(written, reversed(OWNED)) == fingerprint(MODEL, OWNED)


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 4},
        {"annotations": {"a": "c"}},
        {"annotations": None},
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        {"uid": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_the_model_shows(change):
    changed = {"metadata": MODEL["metadata"] | change}
    assert fingerprint(changed, OWNED) != fingerprint(MODEL, OWNED)


@pytest.mark.parametrize(
    "owned",
    [
        [*OWNED, {"metadata": {"uid": "q", "resourceVersion": "6"}}],
        OWNED[:1],
        [OWNED[0], {"metadata": {"uid": "p", "resourceVersion": "7"}}],
    ],
    ids=["born", "gone", "written"],
)
def test_a_change_of_what_it_owns_shows(owned):
    assert fingerprint(MODEL, owned) != fingerprint(MODEL, OWNED)
