"""Messages on a stream: a length of 4 bytes, big end first, then msgpack. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from realtime_serve.engine.messages import FromEngine, ToEngine

_HEADER = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_Message = TypeVar("_Message")


def encode(message: ToEngine | FromEngine) -> bytes:
    body = _encoder.encode(message)
    return _HEADER.pack(len(body)) + body


class Reader(Generic[_Message]):
    """Cuts a stream of bytes into messages, wherever the reads cut it."""

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[_Message] = msgspec.msgpack.Decoder(kind)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[_Message]:
        """The messages that are whole now. Raises msgspec.DecodeError on bytes that are none."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (size,) = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + size
            if len(self._buffer) < end:
                return
            message = self._decoder.decode(bytes(self._buffer[_HEADER.size : end]))
            del self._buffer[:end]
            yield message


def reader_of_engine() -> Reader[FromEngine]:
    return Reader(FromEngine)


def reader_of_front_end() -> Reader[ToEngine]:
    return Reader(ToEngine)
