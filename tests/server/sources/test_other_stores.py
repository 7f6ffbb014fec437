"""Azure and Google: the account and the path of the uri, their standard variables, and their refusals."""

from __future__ import annotations

import base64
import json

import pytest
from obstore.exceptions import GenericError

from realtime_serve.errors import EngineFailed
from realtime_serve.sources.objects import telling_store
from tests.server.sources.conftest import FILES
from tests.support.stores import Blobs
from tests.support.threaded import serving

NEEDED = {name: content for name, content in FILES.items() if name != "pytorch_model.bin"}
KEY = base64.b64encode(b"a key of the account").decode()
URIS = {"az": "az://account/models", "gs": "gs://models"}


@pytest.fixture(scope="module")
def blobs():
    return Blobs({f"small/v1/{name}": content for name, content in FILES.items()})


@pytest.fixture(scope="module")
def address(blobs):
    with serving(blobs.app()) as url:
        yield url


@pytest.fixture(params=["az", "gs"])
def root(request, blobs, address, monkeypatch):
    """The uri of the container, with the variables that open it."""
    service = {"gcs_base_url": f"{address}/google", "disable_oauth": True}
    service |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(service))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"{address}/azure")
    blobs.refuses = False
    blobs.authorisations.clear()
    return URIS[request.param]


def failure(get, uri) -> EngineFailed:
    with pytest.raises(EngineFailed) as caught:
        get(uri)
    return caught.value


def test_a_prefix_becomes_a_directory_with_what_is_needed_and_no_pickles(get, root, blobs):
    directory = get(f"{root}/small/v1")
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == NEEDED
    if root.startswith("az"):
        assert {one.partition(":")[0] for one in blobs.authorisations} == {"SharedKey account"}


def test_nothing_there_and_no_such_container(get, root):
    assert failure(get, f"{root}/absent").reason == "SourceNotFound"
    assert failure(get, root.replace("models", "nothing")).reason == "SourceNotFound"


def test_a_key_that_may_not_read_is_told_without_the_key(get, root, blobs):
    blobs.refuses = True
    refused = failure(get, f"{root}/small/v1")
    assert refused.reason == "SourceUnauthorised"
    assert "This key may not read." in str(refused)
    assert KEY not in str(refused)


@pytest.mark.parametrize("uri", ["az://account", "az://Account_1/models/small"])
def test_a_uri_that_names_no_account_and_container(get, uri):
    refused = failure(get, uri)
    assert (refused.reason, "az://ACCOUNT/CONTAINER/PATH" in str(refused)) == ("SourceInvalid", True)


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("s3://models/small", "AWS_SECRET_ACCESS_KEY"),
        ("gs://models/small", "GOOGLE_SERVICE_ACCOUNT_KEY"),
        ("az://account/models/small", "AZURE_STORAGE_ACCOUNT_KEY"),
    ],
)
def test_without_credentials_it_is_told_which_variables_give_them(uri, key):
    error = GenericError("Error performing GET http://169.254.169.254/latest - status code: 404 Not Found")
    with pytest.raises(EngineFailed) as caught, telling_store(uri):
        raise error
    assert caught.value.reason == "SourceUnauthorised"
    assert key in str(caught.value)
    assert "169.254" not in str(caught.value)
