"""Grammars that answers follow: JSON schemas compiled by llguidance, and where each sequence stands in its own."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from realtime_serve.engine.sequence import Sequence

LONGEST_SCHEMA = 16_384
"""Bytes. What compiles longest of that size (a thousand optional properties) takes about 0.1 s, once."""
LIMITS = LLParserLimits(max_items_in_row=20_000, max_lexer_states=50_000)
"""Rows wide enough for that largest schema; states (about 2 KiB each) for 100 MB at most. What a step may cost is bounded by
llguidance itself."""
GAP = r"[ \t\r\n]{1,40}"
"""White space between the parts of JSON: enough for an indented text, and no model goes on with it for ever."""
KEPT = 32
"""Compiled grammars; a client mostly asks for the same few."""


class GrammarInvalid(Exception):
    """The schema cannot be compiled; the message says what is wrong with it."""


class GrammarBroken(Exception):
    """The answer cannot go on by its grammar."""


def compile_schema(schema: bytes) -> str:
    """The grammar of a JSON schema, as `Sampling.grammar` takes it. Raises GrammarInvalid."""
    if len(schema) > LONGEST_SCHEMA:
        raise GrammarInvalid(f"has {len(schema)} bytes of JSON; at most {LONGEST_SCHEMA} are allowed")
    try:
        grammar = LLMatcher.grammar_from_json_schema(schema.decode(), overrides={"whitespace_pattern": GAP})
    except ValueError as error:
        raise GrammarInvalid(f"cannot be compiled: {error}") from error
    if wrong := LLMatcher.validate_grammar(grammar, limits=LIMITS):
        raise GrammarInvalid(f"cannot be compiled: {wrong}")
    return grammar


@dataclass
class Place:
    """Where a sequence stands: so many of its tokens the matcher has taken."""

    matcher: LLMatcher
    taken: int = 0


class Grammars:
    """For one tokenizer: what may come next in each sequence that has a grammar."""

    def __init__(self, tokenizer: str, *, vocabulary: int, ends: list[int]) -> None:
        """tokenizer: tokenizer.json's content. Raises ValueError when it cannot be used."""
        self._tokenizer = LLTokenizer(tokenizer, n_vocab=vocabulary, eos_token=ends)
        self._begin = functools.lru_cache(maxsize=KEPT)(self._compile)
        # For as long as the scheduler knows the sequence; a preemption takes no token back.
        self._places: WeakKeyDictionary[Sequence, Place] = WeakKeyDictionary()

    def allowed(self, sequence: Sequence) -> bytes:
        """A bit for each token of the vocabulary, the lowest first: whether it may come next. Raises GrammarBroken."""
        place = self._places.get(sequence)
        if place is None:
            matcher = self._begin(sequence.sampling.grammar).deep_copy()
            place = self._places[sequence] = Place(matcher)
        new = sequence.generated[place.taken :]
        if new:
            place.matcher.consume_tokens(new)
            place.taken += len(new)
        bits = place.matcher.compute_bitmask()
        if place.matcher.is_error():
            raise GrammarBroken(first_line(place.matcher.get_error()))
        return bits

    def _compile(self, grammar: str) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=LIMITS)
        if matcher.is_error():
            raise GrammarBroken(first_line(matcher.get_error()))
        return matcher


def first_line(message: str) -> str:
    """What is wrong; llguidance lets its whole state follow it."""
    return message.partition("\n<state>")[0].partition("\n")[0]
