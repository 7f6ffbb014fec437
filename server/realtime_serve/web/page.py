"""The page at `/`: three files as they are, under a policy that lets a browser load nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aiohttp import hdrs, web

ASSETS = Path(__file__).parent / "assets"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # pods of two releases may answer one browser
}


class Page:
    """Handlers; the files are read once."""

    def __init__(self) -> None:
        self._files = {path.name: path.read_bytes() for path in ASSETS.iterdir() if path.suffix in KINDS}

    async def index(self, request: web.Request) -> web.Response:
        """GET /."""
        return self._answer(request, "page.html")

    async def asset(self, request: web.Request) -> web.Response:
        """GET /assets/{name}."""
        name = request.match_info["name"]
        if name not in self._files:
            raise web.HTTPNotFound
        return self._answer(request, name)

    def _answer(self, request: web.Request, name: str) -> web.Response:
        content = self._files[name]
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {**HEADERS, hdrs.ETAG: tag}
        if request.headers.get(hdrs.IF_NONE_MATCH) == tag:
            return web.Response(status=304, headers=headers)
        kind = KINDS[Path(name).suffix]
        return web.Response(body=content, headers=headers, content_type=kind, charset="utf-8")
