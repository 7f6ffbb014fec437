"""Schemas become grammars; a grammar follows the tokens of its sequence, and what cannot be compiled says why."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_serve.engine.grammar import (
    LONGEST_SCHEMA,
    GrammarBroken,
    GrammarInvalid,
    Grammars,
    compile_schema,
)
from realtime_serve.engine.messages import Sampling
from realtime_serve.engine.sequence import Sequence
from tests.support.tiny_tokenizers import END, VOCABULARY, write_tokenizer

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return (write_tokenizer(tmp_path_factory.mktemp("tokenizer")) / "tokenizer.json").read_text()


@pytest.fixture(scope="module")
def grammars(tokenizer):
    return Grammars(tokenizer, vocabulary=VOCABULARY, ends=[END])


def sequence(schema: object) -> Sequence:
    grammar = compile_schema(json.dumps(schema).encode())
    return Sequence(1, [1], 500, Sampling(grammar=grammar), frozenset([END]), 1, 0.0)


def choices(bits: bytes) -> list[int]:
    return [token for token in range(VOCABULARY) if bits[token // 8] >> token % 8 & 1]


def walk(grammars: Grammars, one: Sequence, pick) -> bytes:
    """What `pick` makes of the choices it is given, as long as it chooses no end."""
    letters = letters_by_token()
    while (token := pick(choices(grammars.allowed(one)))) != END:
        one.append(token)
    return bytes(letters[token] for token in one.generated)


def letters_by_token() -> dict[int, int]:
    """Tokens are the letters of GPT-2's byte alphabet, in the order of their code points."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    letters = {chr(byte) if byte in printable else chr(next(others)): byte for byte in range(256)}
    return {number: letters[letter] for number, letter in enumerate(sorted(letters))}


@given(st.data())
@settings(max_examples=25)
def test_whatever_is_drawn_from_what_is_allowed_follows_the_schema(grammars, data):
    text = walk(
        grammars, sequence(PERSON), lambda allowed: data.draw(st.sampled_from(sorted(allowed, reverse=True)))
    )
    jsonschema.validate(json.loads(text), PERSON)


def test_a_place_outlives_what_a_preemption_takes(grammars):
    one, again = sequence(PERSON), sequence(PERSON)
    for _ in range(12):
        token = choices(grammars.allowed(one))[0]
        assert grammars.allowed(one) == grammars.allowed(one)
        one.append(token)
    one.computed, one.pages = 0, []
    again.generated = list(one.generated)
    assert grammars.allowed(one) == grammars.allowed(again)


def test_two_sequences_of_one_schema_stand_at_places_of_their_own(grammars):
    one, other = sequence(PERSON), sequence(PERSON)
    begin = grammars.allowed(one)
    one.append(choices(begin)[0])
    assert grammars.allowed(one) != begin
    assert grammars.allowed(other) == begin


def test_nothing_but_the_end_follows_a_whole_answer(grammars):
    one = sequence({"const": 7})
    one.append(next(token for token, byte in letters_by_token().items() if byte == ord("7")))
    assert choices(grammars.allowed(one)) == [END]


def test_a_token_that_is_not_allowed_breaks_the_grammar(grammars):
    one = sequence({"const": 7})
    one.append(next(token for token, byte in letters_by_token().items() if byte == ord("8")))
    with pytest.raises(GrammarBroken):
        grammars.allowed(one)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "objekt"}, "objekt"),
        ({"not": {"type": "string"}}, "not"),
        ({"$ref": "https://example.com/schema.json"}, "does not fetch"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-ahead"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "greater than"),
        ({"description": "x" * LONGEST_SCHEMA}, "at most"),
    ],
)
def test_what_cannot_be_compiled_says_why(schema, words):
    with pytest.raises(GrammarInvalid, match=words):
        compile_schema(json.dumps(schema).encode())


def test_nesting_without_end_is_told_and_not_followed():
    deep = b'{"items":' * 1000 + b"{}" + b"}" * 1000
    with pytest.raises(GrammarInvalid, match="recursion"):
        compile_schema(deep)


def test_the_largest_schema_can_be_followed(grammars):
    schema = {"type": "object", "properties": {f"p{number}": {"type": "null"} for number in range(620)}}
    one = sequence(schema)
    assert LONGEST_SCHEMA * 0.9 < len(json.dumps(schema)) <= LONGEST_SCHEMA
    for _ in range(40):
        one.append(choices(grammars.allowed(one))[-1])
    assert END not in one.generated
