"""Whether an error means that memory ran out. Told by names and words: whoever asks has not imported torch."""

from __future__ import annotations

import errno

OUT_OF_MEMORY = "OutOfMemory"

_WORDS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "cublas_status_alloc_failed",
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Also when it is the cause of the error."""
    while error is not None:
        no_memory = isinstance(error, OSError) and error.errno == errno.ENOMEM
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or no_memory:
            return True
        if isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def reason_of(error: BaseException, otherwise: str) -> str:
    """The word for why the engine ended."""
    return OUT_OF_MEMORY if is_out_of_memory(error) else otherwise
