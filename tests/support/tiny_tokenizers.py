"""A tokenizer whose tokens are single bytes, so that every character beyond ASCII crosses a border of tokens."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe brief.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
VOCABULARY = 256 + len(SPECIAL)
END = VOCABULARY - 1  # <|im_end|>
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
NO_GAPS = {LETTERS.index(letter): -100 for letter in "ĉĊčĠ"}
"""A bias against white space, which a random model is as fond of as of anything else."""


def write_tokenizer(directory: Path, *, template: str | None = CHATML, in_config: bool = False) -> Path:
    """Put the tokenizer's files into a model's directory."""
    tokenizer = Tokenizer(
        models.BPE(vocab={letter: number for number, letter in enumerate(LETTERS)}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": {"content": "</s>", "__type": "AddedToken"},
    }
    if template and in_config:
        config["chat_template"] = template
    elif template:
        (directory / "chat_template.jinja").write_text(template)
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return directory
