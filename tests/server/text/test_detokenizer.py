"""Text comes out whole at every border, and is in the end what all tokens decode to at once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from realtime_serve.text.detokenizer import WINDOW_LIMIT, Detokenizer

BYTES = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
FALLBACK = {f"<0x{number:02X}>": number for number in range(256)} | {
    "▁": 256,
    "a": 257,
    "▁b": 258,
    "<unk>": 259,
}


def byte_level() -> Tokenizer:
    """GPT-2's kind: a token is any bytes (here: one)."""
    tokenizer = Tokenizer(models.BPE(vocab=BYTES, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def byte_fallback() -> Tokenizer:
    """Llama 2's kind: pieces of text, single bytes for what is not in the vocabulary, no space in front."""
    tokenizer = Tokenizer(models.BPE(vocab=FALLBACK, merges=[], byte_fallback=True, unk_token="<unk>"))  # noqa: S106  no password
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def fallback_ids(text: str) -> list[int]:
    ids: list[int] = []
    for character in text:
        known = FALLBACK.get("▁" if character == " " else character)
        ids += [known] if known is not None else list(character.encode())
    return ids


def pieces(tokens: list[int], cuts: list[int]) -> list[list[int]]:
    borders = sorted({cut % (len(tokens) + 1) for cut in cuts} | {0, len(tokens)})
    return [tokens[begin:end] for begin, end in itertools.pairwise(borders)]


TEXT = st.text(alphabet=st.sampled_from("a b🙂é漢\n👩\u200d🚀"), max_size=40)
CUTS = st.lists(st.integers(0, 200), max_size=30)
BYTE_LEVEL, BYTE_FALLBACK = byte_level(), byte_fallback()


@given(prompt=TEXT, text=TEXT, cuts=CUTS)
def test_byte_level_text_is_the_same_for_every_cut_of_the_tokens(prompt, text, cuts):
    encode = BYTE_LEVEL.encode
    detokenizer = Detokenizer(BYTE_LEVEL.decode, encode(prompt).ids)
    shown = [detokenizer.push(piece) for piece in pieces(encode(text).ids, cuts)]
    assert "".join(shown) + detokenizer.finish() == text
    assert all("\ufffd" not in piece for piece in shown)


@given(prompt=TEXT, text=TEXT, cuts=CUTS)
def test_byte_fallback_text_is_the_same_for_every_cut_of_the_tokens(prompt, text, cuts):
    head = fallback_ids("a" + prompt)
    detokenizer = Detokenizer(BYTE_FALLBACK.decode, head)
    shown = [detokenizer.push(piece) for piece in pieces(fallback_ids(text), cuts)]
    assert "".join(shown) + detokenizer.finish() == text


@given(noise=st.lists(st.integers(0, 255), max_size=WINDOW_LIMIT - 1), cuts=CUTS)
def test_noise_becomes_what_all_of_it_decodes_to(noise, cuts):
    detokenizer = Detokenizer(BYTE_LEVEL.decode)
    shown = "".join([detokenizer.push(piece) for piece in pieces(noise, cuts)])
    assert shown + detokenizer.finish() == BYTE_LEVEL.decode(noise)


def test_a_character_comes_with_its_last_byte():
    detokenizer = Detokenizer(BYTE_LEVEL.decode)
    tokens = BYTE_LEVEL.encode("a🙂").ids
    assert [detokenizer.push([token]) for token in tokens] == ["a", "", "", "", "🙂"]


def test_a_character_that_never_ends_is_told_at_the_end():
    detokenizer = Detokenizer(BYTE_LEVEL.decode)
    assert detokenizer.push(BYTE_LEVEL.encode("🙂").ids[:2]) == ""
    assert detokenizer.finish() == "\ufffd"


@pytest.mark.parametrize("size", [WINDOW_LIMIT * 2, WINDOW_LIMIT * 20])
def test_endless_noise_is_passed_on_and_not_kept(size):
    detokenizer = Detokenizer(BYTE_LEVEL.decode)
    broken = BYTES[next(c for c in BYTES if BYTE_LEVEL.decode([BYTES[c]]) == "\ufffd")]
    shown = "".join([detokenizer.push([broken]) for _ in range(size)])
    assert len(shown) >= size - WINDOW_LIMIT
    assert len(detokenizer._window) <= 2 * WINDOW_LIMIT


def test_text_whose_pieces_all_end_inside_a_character_stays_whole():
    tokenizer = byte_level()
    text = "🌍" * 200
    tokens = tokenizer.encode(text).ids
    detokenizer = Detokenizer(tokenizer.decode)
    told = detokenizer.push(tokens[:1])
    told += "".join(detokenizer.push(tokens[place : place + 4]) for place in range(1, len(tokens), 4))
    assert told + detokenizer.finish() == text
