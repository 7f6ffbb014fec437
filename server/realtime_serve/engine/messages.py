"""What front end and engine process say to each other. Pure data; token ids only."""

from __future__ import annotations

import enum

import msgspec

MOST_LOGPROBS = 20


class FinishReason(enum.IntEnum):
    """How a sequence ended; 0 on the wire means that it goes on."""

    STOP = 1
    LENGTH = 2
    ABORT = 3
    ERROR = 4


class Sampling(msgspec.Struct, frozen=True):
    """How the next token is chosen."""

    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    """1 is off."""
    top_k: int = 0
    """0 is off."""
    min_p: float = 0.0
    """Least probability, as a share of the likeliest token's; 0 is off."""
    seed: int | None = None
    """The same seed gives the same tokens, whatever else is in the batch."""
    presence_penalty: float = 0.0
    """Taken off the logit of every token that the answer has already."""
    frequency_penalty: float = 0.0
    """The same, once for each time that the answer has it."""
    repetition_penalty: float = 1.0
    """Above 1: tokens of prompt and answer get less likely (logits above 0 divided, others multiplied). 1 is off."""
    logit_bias: dict[int, float] = {}
    """Added to the logits of these tokens."""
    logprobs: int = -1
    """-1: none; 0: of the chosen token; N: of the N likeliest too, at most MOST_LOGPROBS. Of the model's own
    distribution, before temperature, penalties and biases."""
    min_tokens: int = 0
    """No stop id is chosen before so many tokens."""
    ignore_eos: bool = False
    """The model's own end tokens do not end the sequence."""
    grammar: str = ""
    """That the answer follows, as `engine.grammar.compile_schema` writes it; empty: none."""


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True):
    """What the model thought of one token; on the wire [chosen, [[token, logprob], ...]]."""

    chosen: float
    top: list[tuple[int, float]] = []
    """The likeliest tokens, the likeliest first."""


class Load(msgspec.Struct, frozen=True, tag=True):
    """The first message: what this process is to serve."""

    model: str
    """As --model takes it."""
    revision: str = "main"
    dtype: str = "auto"
    device: str = "auto"
    sha256: str = ""
    """Of an archive."""
    cache: str = ""
    """Where downloads are kept, but for those of the hub."""
    max_model_length: int = 0
    """Tokens, prompt and answer together; 0: what the model's configuration says."""
    kv_fraction: float = 0.4
    """Share of the memory that is free after loading which the KV cache may take."""
    compile: bool = False
    """Whether layers become code made for this processor before the model is served."""


class Submit(msgspec.Struct, frozen=True, tag=True):
    id: int
    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    stop_ids: list[int]
    priority: int
    """0 HIGH, 1 NORMAL, 2 LOW."""


class Abort(msgspec.Struct, frozen=True, tag=True):
    id: int


class Hold(msgspec.Struct, frozen=True, tag=True):
    """The reader lags: keep the sequence's pages and do not schedule it."""

    id: int


class Resume(msgspec.Struct, frozen=True, tag=True):
    id: int


class Configure(msgspec.Struct, frozen=True, tag=True):
    """How batches are formed, from now on."""

    max_batch_size: int = 32
    max_batch_tokens: int = 4096
    max_wait_ms: int = 5
    dynamic: bool = True


class Shutdown(msgspec.Struct, frozen=True, tag=True):
    pass


class ModelCard(msgspec.Struct, frozen=True):
    """What was loaded."""

    directory: str
    vocab_size: int
    eos_ids: list[int]
    max_model_length: int
    dtype: str
    device: str
    kv_tokens: int
    """Tokens that the KV cache has room for."""
    no_grammar: str = ""
    """Why answers can follow no grammar; empty: they can."""


class Transfer(msgspec.Struct, frozen=True):
    bytes_done: int
    bytes_total: int
    """0: not known."""
    bytes_per_second: int


class Progress(msgspec.Struct, frozen=True, tag=True):
    stage: str
    """loading or warming."""
    message: str = ""
    transfer: Transfer | None = None
    """While weights are being downloaded."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    card: ModelCard


class Step(msgspec.Struct, frozen=True, tag=True):
    """One step's output: column i of `ids`, `tokens` and `finishes` belong together."""

    ids: list[int]
    tokens: list[int]
    """-1 where a sequence ended without a token."""
    finishes: list[int]
    errors: dict[int, str]
    """By sequence, where `finishes` says ERROR."""
    running: int
    waiting: int
    seconds: float
    started: list[int] = []
    """Sequences whose first tokens this step computed: they no longer wait."""
    logprobs: dict[int, TokenLogprob] = {}
    """By sequence, where its sampling asks for them and it has a token in this step."""
    kv_usage: float = 0.0
    """Share of the KV cache's pages that sequences hold after this step."""
    prefix_queries: int = 0
    """Prompt tokens of sequences that this step took in for the first time."""
    prefix_hits: int = 0
    """So many of these had not to be computed, because others begin alike."""


class Heartbeat(msgspec.Struct, frozen=True, tag=True):
    """Sent while nothing is to be done."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The last message of a process that cannot go on."""

    reason: str
    message: str


ToEngine = Load | Submit | Abort | Hold | Resume | Configure | Shutdown
FromEngine = Progress | Ready | Step | Heartbeat | Failed
