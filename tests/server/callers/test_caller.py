"""Who a request is taken to come from."""

from __future__ import annotations

import hashlib

import pytest

from realtime_serve.callers.caller import Caller, Presented, identify
from realtime_serve.errors import KeyUnknown
from realtime_serve.settings.callers import Client, RateLimit
from realtime_serve.settings.runtime import Settings

KEY, OLD, OTHER = "k" * 32, "o" * 32, "x" * 32


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


WEB = Client(name="web", key_sha256=(digest(KEY), digest(OLD)), priority="high")
BATCH = Client(name="batch", key_sha256=(digest("b" * 32),), priority="low")


def who(key="", by="apiKey", clients=(WEB, BATCH), **headers):
    presented = Presented(key, "10.0.0.9", headers)
    return identify(presented, Settings(rate_limit=RateLimit(key=by), clients=clients))


@pytest.mark.parametrize("key", [KEY, OLD])
def test_a_client_is_known_by_any_of_its_keys(key):
    assert who(key) == Caller("web", "web", "web", "high")


@pytest.mark.parametrize("key", ["", OTHER, KEY[:-1], digest(KEY)])
def test_where_clients_are_listed_a_key_of_one_is_needed(key):
    with pytest.raises(KeyUnknown) as refused:
        who(key)
    assert key == "" or key not in str(refused.value)


def test_a_client_whose_keys_are_not_there_lets_nobody_in():
    with pytest.raises(KeyUnknown):
        who("", clients=(Client(name="web"),))


def test_where_callers_are_told_apart_otherwise_a_key_only_names_a_client():
    assert who(KEY, by="address").name == "web"
    assert who(OTHER, by="address").bucket == "address:10.0.0.9"
    assert who("", by="header:team", team="red").bucket != who("", by="header:team", team="blue").bucket
    assert who("", by="header:team").bucket == "address:10.0.0.9"


def test_without_clients_each_key_is_a_caller_of_its_own_and_is_not_shown():
    one, other = who(KEY, clients=()), who(OTHER, clients=())
    assert one.bucket != other.bucket
    assert KEY not in one.name + one.bucket
    assert who("", clients=()).bucket == "address:10.0.0.9"


def test_bytes_that_are_no_text_are_a_key_like_any_other():
    assert who("\udcff\udcfe", clients=()).bucket.startswith("key:")
