"""A model's directory gives the same tokens and prompts as transformers reads from it, without importing torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tokenizers import Tokenizer as FastTokenizer

from realtime_serve.errors import ChatTemplateMissing, ChatTemplateRefused, TokenizerUnusable
from realtime_serve.text.tokenizer import load_tokenizer
from tests.support.tiny_tokenizers import CHATML, VOCABULARY, write_tokenizer

ALTERNATING = (
    "{{ bos_token }}{% for message in messages %}\n"
    "  {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
    "    {{ raise_exception('Roles must alternate') }}\n"
    "  {% endif %}\n"
    "  {% if loop.index0 > 6 %}{% break %}{% endif %}\n"
    "{{ message | tojson }}{% generation %}|{{ message.content | trim }}{% endgeneration %}\n"
    "{% endfor %}{{ eos_token }}"
)
CONVERSATION = [
    {"role": "user", "content": "  Hi <b> é 🙂 "},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Bye"},
]


@pytest.mark.parametrize("template", [CHATML, ALTERNATING], ids=["chatml", "alternating"])
@pytest.mark.parametrize("in_config", [True, False], ids=["in its config", "in a file"])
def test_a_conversation_becomes_the_same_tokens_as_in_transformers(tmp_path, template, in_config):
    from transformers import AutoTokenizer  # noqa: PLC0415  slow, and only here

    directory = write_tokenizer(tmp_path, template=template, in_config=in_config)
    theirs = AutoTokenizer.from_pretrained(str(directory))
    expected = theirs.apply_chat_template(CONVERSATION, add_generation_prompt=True, tokenize=False)
    tokens = load_tokenizer(directory).encode_chat(CONVERSATION)
    assert tokens == theirs.encode(expected, add_special_tokens=False)


def test_special_tokens_are_no_text(tmp_path):
    tokenizer = load_tokenizer(write_tokenizer(tmp_path))
    assert tokenizer.decode(tokenizer.encode("<s>Hi</s>")) == "Hi"


def test_the_reason_of_a_template_is_told(tmp_path):
    tokenizer = load_tokenizer(write_tokenizer(tmp_path, template=ALTERNATING))
    with pytest.raises(ChatTemplateRefused, match="Roles must alternate"):
        tokenizer.encode_chat(CONVERSATION[1:])


def test_a_template_cannot_reach_out_of_its_sandbox(tmp_path):
    escape = "{{ messages.__class__.__mro__[1].__subclasses__() }}"
    tokenizer = load_tokenizer(write_tokenizer(tmp_path, template=escape))
    with pytest.raises(ChatTemplateRefused):
        tokenizer.encode_chat(CONVERSATION)


def test_a_model_without_a_template_is_no_chat_model(tmp_path):
    with pytest.raises(ChatTemplateMissing):
        load_tokenizer(write_tokenizer(tmp_path, template=None)).encode_chat(CONVERSATION)


def test_a_directory_with_a_broken_tokenizer_is_told_by_name(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerUnusable, match=str(tmp_path)):
        load_tokenizer(tmp_path)


def test_a_broken_template_is_told_when_the_model_is_loaded(tmp_path):
    with pytest.raises(TokenizerUnusable, match="chat template"):
        load_tokenizer(write_tokenizer(tmp_path, template="{% for %}"))


def test_the_front_end_does_not_import_torch():
    code = "import sys, realtime_serve.__main__; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_token_alone_is_what_the_library_makes_of_it_again_and_again(tmp_path):
    directory = write_tokenizer(tmp_path)
    tokenizer, library = load_tokenizer(directory), FastTokenizer.from_file(str(directory / "tokenizer.json"))
    expected = [library.decode([token], skip_special_tokens=True) for token in range(VOCABULARY)]
    for _ in range(2):
        assert [tokenizer.decode([token]) for token in range(VOCABULARY)] == expected
