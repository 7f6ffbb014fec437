"""Object stores that speak as Azure and Google do: enough of them to read, and to be refused."""

from __future__ import annotations

from http import HTTPStatus
from xml.sax.saxutils import escape

from aiohttp import web

CHANGED = "Mon, 12 Jan 2026 10:00:00 GMT"


class Blobs:
    """Named contents in one container, or bucket, called `models`; all who ask must be `welcome`."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.refuses = False
        self.authorisations: list[str] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/azure/{container}", self.list_azure)
        app.router.add_get("/azure/{container}/{name:.+}", self.get)
        app.router.add_get("/google/{container}/", self.list_google)
        app.router.add_get("/google/{container}", self.list_google)
        app.router.add_get("/google/{container}/{name:.+}", self.get)
        return app

    async def list_azure(self, request: web.Request) -> web.Response:
        entry = (
            "<Blob><Name>{name}</Name><Properties><Last-Modified>{changed}</Last-Modified><Content-Length>{size}"
            "</Content-Length><Content-Type>a/b</Content-Type><Etag>0x1</Etag></Properties></Blob>"
        )
        return self._list(
            request, "<EnumerationResults><Blobs>{}</Blobs><NextMarker/></EnumerationResults>", entry
        )

    async def list_google(self, request: web.Request) -> web.Response:
        entry = (
            "<Contents><Key>{name}</Key><LastModified>2026-01-12T10:00:00.000Z</LastModified><Size>{size}</Size>"
            '<ETag>"1"</ETag></Contents>'
        )
        return self._list(request, "<ListBucketResult>{}</ListBucketResult>", entry)

    def _list(self, request: web.Request, whole: str, entry: str) -> web.Response:
        self._check(request)
        prefix = request.query.get("prefix", "")
        found = [
            entry.format(name=escape(name), size=len(content), changed=CHANGED)
            for name, content in sorted(self.contents.items())
            if name.startswith(prefix)
        ]
        return web.Response(text=whole.format("".join(found)), content_type="application/xml")

    async def get(self, request: web.Request) -> web.Response:
        self._check(request)
        content = self.contents.get(request.match_info["name"])
        if content is None:
            raise web.HTTPNotFound
        headers = {"ETag": '"0x1"', "Last-Modified": CHANGED}
        begin = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if "Range" in request.headers:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        status = HTTPStatus.PARTIAL_CONTENT if "Range" in request.headers else HTTPStatus.OK
        return web.Response(body=content[begin:], status=status, headers=headers)

    def _check(self, request: web.Request) -> None:
        self.authorisations.append(request.headers.get("Authorization", ""))
        if self.refuses:
            raise web.HTTPForbidden(text="<Error><Message>This key may not read.</Message></Error>")
        if request.match_info["container"] != "models":
            raise web.HTTPNotFound(text="<Error><Message>There is no such container.</Message></Error>")
