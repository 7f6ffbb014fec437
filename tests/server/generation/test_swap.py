"""What is decided about versions, whatever is wanted and whatever happens."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from realtime_serve.generation.swap import Held, Wanted, decide
from realtime_serve.settings.version import ModelVersion

LABELS = ("1", "2", "3")
DEFINITIONS = {label: ModelVersion(version=label, uri=f"/models/{label}") for label in LABELS}
READY = {"ready": True}


def wanted(*labels: str, active: str = "") -> Wanted:
    return Wanted(tuple(DEFINITIONS[label] for label in labels), active or labels[-1])


def held(**versions: dict) -> dict[str, Held]:
    return {
        label.removeprefix("v"): Held(definition=DEFINITIONS[label.removeprefix("v")], **state)
        for label, state in versions.items()
    }


def test_the_active_one_is_loaded_first_and_the_others_after_it():
    listed = wanted("1", "2", active="2")
    assert decide(listed, {}, "").load == DEFINITIONS["2"]
    assert decide(listed, held(v2={"loading": True}), "2").load is None
    assert decide(listed, held(v2=READY), "2").load == DEFINITIONS["1"]
    assert decide(listed, held(v2={"given_up": True}), "2").load == DEFINITIONS["1"]


def test_new_work_moves_when_the_new_version_is_ready_and_not_before():
    listed = wanted("1", "2", active="2")
    assert decide(listed, held(v1=READY, v2={"loading": True}), "1").current == "1"
    assert decide(listed, held(v1=READY, v2=READY), "1").current == "2"
    assert decide(listed, held(v1=READY, v2={"given_up": True}), "1").current == "1"
    assert decide(wanted("1", "2", active="1"), held(v1=READY, v2=READY), "2").current == "1"


def test_a_crash_keeps_the_work_where_it_is_until_the_version_is_given_up():
    listed = wanted("1", "2", active="2")
    assert decide(listed, held(v1=READY, v2={}), "2").current == "2"
    assert decide(listed, held(v1=READY, v2={"given_up": True}), "2").current == "1"


def test_what_is_no_longer_listed_ends_its_work_before_its_process():
    listed = wanted("2")
    busy = decide(listed, held(v1={**READY, "work": 3}, v2=READY), "2")
    assert (busy.drain, busy.drop) == ({"1"}, frozenset())
    assert decide(listed, held(v1=READY, v2=READY), "2").drop == {"1"}
    overdue = held(v1={**READY, "work": 3, "overdue": True}, v2=READY)
    assert decide(listed, overdue, "2").drop == {"1"}


def test_memory_is_given_back_before_it_is_taken():
    listed = wanted("2")
    leaving = decide(listed, held(v1={**READY, "work": 1}), "1")
    assert (leaving.load, leaving.current) == (None, "2")
    assert decide(listed, held(v1={**READY, "ending": True}), "2").load is None
    assert decide(listed, {}, "2").load == DEFINITIONS["2"]


def test_a_failure_is_tried_again_with_another_definition_or_when_memory_came_back():
    listed, failed = wanted("1", "2", active="1"), {"given_up": True}
    assert decide(listed, held(v1=READY, v2=failed), "1").drop == frozenset()
    assert decide(listed, held(v1=READY, v2={**failed, "again": True}), "1").drop == {"2"}
    mended = Wanted((DEFINITIONS["1"], ModelVersion(version="2", uri="/models/mended")), "1")
    assert decide(mended, held(v1=READY, v2=failed), "1").drop == {"2"}
    assert decide(mended, held(v1=READY, v2=READY), "1").drop == frozenset(), "what serves is never torn down"


def test_all_is_lost_only_when_everything_was_tried_and_nothing_has_work_to_end():
    failed = {"given_up": True}
    assert decide(wanted("1"), held(v1=failed), "1").lost
    assert not decide(wanted("1", "2"), held(v1=failed), "1").lost
    assert not decide(wanted("1", "2"), held(v1=failed, v2=READY), "2").lost
    assert not decide(wanted("2"), held(v1={**READY, "work": 1}, v2=failed), "2").lost


STATES = st.fixed_dictionaries(
    {
        "ready": st.booleans(),
        "loading": st.booleans(),
        "given_up": st.booleans(),
        "ending": st.booleans(),
        "again": st.booleans(),
        "overdue": st.booleans(),
        "work": st.integers(0, 2),
    }
)
PICTURES = st.dictionaries(st.sampled_from(LABELS), STATES).map(
    lambda states: {label: Held(definition=DEFINITIONS[label], **state) for label, state in states.items()}
)
LISTS = st.lists(st.sampled_from(LABELS), min_size=1, unique=True).flatmap(
    lambda labels: st.sampled_from(labels).map(lambda active: wanted(*labels, active=active))
)


@given(listed=LISTS, picture=PICTURES, current=st.sampled_from(("", *LABELS)))
def test_in_every_picture_no_work_is_lost_and_no_two_things_happen_to_memory_at_once(
    listed, picture, current
):
    decision = decide(listed, picture, current)
    labels = {version.version for version in listed.versions}
    assert decision.current in labels, "new work goes to a version that is wanted"
    for label in decision.drop:
        version = picture[label]
        assert version.work == 0 or version.overdue or version.given_up
        assert label not in labels or version.given_up
    assert decision.drain == set(picture) - labels
    if decision.load is not None:
        assert decision.load.version in labels - set(picture)
        assert not decision.drop
        assert not any(v.loading or v.ending for v in picture.values())
        assert set(picture) <= labels


@given(
    listed=LISTS,
    picture=PICTURES,
    current=st.sampled_from(("", *LABELS)),
    outcomes=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_from_every_picture_what_is_wanted_is_reached_when_work_ends(listed, picture, current, outcomes):
    """Loads end as `outcomes` say; work ends; processes end."""
    results = iter(outcomes)
    for _ in range(20):
        decision = decide(listed, picture, current)
        current = decision.current
        picture = {label: version for label, version in picture.items() if not version.ending}
        picture = {label: settled(version) for label, version in picture.items()}
        for label in decision.drop & set(picture):
            picture[label] = replace(picture[label], ending=True)
        if decision.load is not None:
            good = next(results)
            picture[decision.load.version] = Held(definition=decision.load, ready=good, given_up=not good)
    labels = {version.version for version in listed.versions}
    assert set(picture) == labels
    ready = {label for label in labels if picture[label].ready}
    assert decide(listed, picture, current).lost == (not ready)
    if listed.active in ready:
        assert current == listed.active
    elif ready:
        assert current in ready


def settled(version: Held) -> Held:
    """Its load is over and its work has ended."""
    serves = version.ready and not version.given_up
    return replace(version, loading=False, work=0, ready=serves, given_up=not serves, again=False)
