"""The engine's end of the socket. Blocking: the loop waits here when it has nothing to do."""

from __future__ import annotations

import select
import socket

from realtime_serve.engine import frames
from realtime_serve.engine.messages import FromEngine, Load, ToEngine

READ_SIZE = 1 << 16
PATIENCE_SECONDS = 5.0


class FrontEndGone(Exception):
    """The other end of the socket was closed."""


class Link:
    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = frames.reader_of_front_end()
        # poll and not select: a front end with many streams gives this socket a number that select cannot take.
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def send(self, message: FromEngine) -> None:
        """Raises FrontEndGone."""
        try:
            self._socket.sendall(frames.encode(message))
        except OSError as error:
            raise FrontEndGone(str(error)) from error

    def receive(self, seconds: float) -> list[ToEngine]:
        """All that has come; waits at most so long for something to come. Raises FrontEndGone."""
        messages: list[ToEngine] = []
        wait = max(0.0, seconds) * 1000
        while self._poll.poll(wait):
            messages += self._reader.feed(self._read())
            wait = 0.0
        return messages

    def receive_load(self) -> Load:
        """The first message. Raises FrontEndGone."""
        while True:
            for message in self.receive(PATIENCE_SECONDS):
                if isinstance(message, Load):
                    return message

    def _read(self) -> bytes:
        try:
            data = self._socket.recv(READ_SIZE)
        except OSError as error:
            raise FrontEndGone(str(error)) from error
        if not data:
            raise FrontEndGone("end of file")
        return data
