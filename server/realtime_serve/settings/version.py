"""One version of a model: which weights a label stands for. Pure data."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Label = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]


class ModelVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """What the settings list, and what the command line gives for the first one."""

    version: Label  # the user's label; it is in every response
    uri: Annotated[str, Meta(min_length=1, max_length=1024)]  # as --model takes it
    revision: Annotated[str, Meta(min_length=1, max_length=128)] = "main"  # of a repository on the hub
    dtype: Dtype = "auto"
    max_model_length: Annotated[int, Meta(ge=0, le=16_777_216)] = 0  # tokens; 0: what the model was made for
    sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")] = ""  # of an archive; empty: not checked
