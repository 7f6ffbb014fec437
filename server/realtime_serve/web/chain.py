"""What a program puts around every request of its server."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp.typedefs import Middleware


class MiddlewareChain:
    """Functions around the handler of each request, the first one outermost.

    Each is `async def name(request, handler)`: it returns `await handler(request)`, or an answer of its own. They stand inside the
    server's own (ids, errors in one shape, callers), so an error they raise is told as every other.

    >>> from aiohttp import web
    >>> @web.middleware
    ... async def count(request, handler):
    ...     return await handler(request)
    >>> len(MiddlewareChain(count).add(count))
    2

    """

    def __init__(self, *middlewares: Middleware) -> None:
        self._middlewares: list[Middleware] = []
        for middleware in middlewares:
            self.add(middleware)

    def add(self, middleware: Middleware) -> MiddlewareChain:
        """Put one inside those that are there.

        Raises:
            TypeError: it cannot be called.

        """
        if not callable(middleware):
            raise TypeError(
                f"middleware: {middleware!r}; allowed is an async function of request and handler"
            )
        self._middlewares.append(middleware)
        return self

    def __iter__(self) -> Iterator[Middleware]:
        """From the outermost to the innermost."""
        return iter(self._middlewares)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._middlewares)
