"""What counts as a change of a model: everything but our own writes of its status."""

import copy

import pytest

from inference_operator.cluster.fingerprint import Edition, edition, fingerprint

MODEL = {
    "metadata": {"uid": "m", "generation": 3, "resourceVersion": "9", "annotations": {"a": "b"}},
    "status": {"phase": "Ready"},
}
OWNED = [Edition("d", "5"), Edition("p", "6")]


def test_an_edition_is_the_object_and_its_version():
    assert edition({"metadata": {"uid": "d", "resourceVersion": "5", "name": "x"}}) == OWNED[0]


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
        [*OWNED, Edition("q", "6")],
        OWNED[:1],
        [OWNED[0], Edition("p", "7")],
    ],
    ids=["born", "gone", "written"],
)
def test_a_change_of_what_it_owns_shows(owned):
    assert fingerprint(MODEL, owned) != fingerprint(MODEL, OWNED)
