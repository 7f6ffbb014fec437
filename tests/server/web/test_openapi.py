"""The OpenAPI document names every path and says of each what it answers; the whole server keeps to it."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
import schemathesis

from realtime_serve.web.openapi.document import document
from realtime_serve.web.openapi.operations import OPERATIONS
from realtime_serve.web.routes import routes
from tests.support.api_cases import run_cases

pytestmark = pytest.mark.slow

EACH = 5
SEED = 3


def test_every_route_is_in_the_document_and_no_other():
    found = {(route.method, re.sub(r":[^}]*}", "}", route.path)) for route in routes(None, None, None)}
    assert found == set(OPERATIONS)


def test_the_document_is_one_and_its_schemas_are_schemas():
    found = json.loads(document())
    schemathesis.openapi.from_dict(found).validate()
    for schema in found["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_what_a_body_may_not_ask_for_stands_in_the_document():
    properties = json.loads(document())["components"]["schemas"]["ChatBody"]["properties"]
    assert properties["tool_choice"] == {"enum": ["none", "auto", None], "default": None}
    assert properties["top_logprobs"]["anyOf"][0]["maximum"] == 20


def test_the_server_answers_what_its_document_says(real_server, tmp_path):
    report = run_cases(real_server.address, each=EACH, phases="fuzzing", seed=SEED, folder=tmp_path)
    assert not report.failures, report.text
    assert report.cases >= len(OPERATIONS)
    assert real_server.get("/status")["streams"] == {"active": 0}
