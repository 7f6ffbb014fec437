"""The routes that huggingface_hub uses to download a model, and a count of what was asked for."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from hack.hub.repositories import HubFile, Repositories, RepositoryMissing, Revision, RevisionMissing


@dataclass
class Count:
    heads: int = 0
    gets: int = 0
    bytes: int = 0
    """Bytes promised by Content-Length in answers to GET."""


EXTRA_HEADERS = web.RequestKey("extra_headers", dict[str, str])


class Hub:
    def __init__(self, root: Path) -> None:
        self._repositories = Repositories(root)
        self._reading = asyncio.Lock()  # two first readers must not both hash 269 MB
        self._counts: defaultdict[str, Count] = defaultdict(Count)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/_stats", self.stats)
        app.router.add_get("/api/models/{org}/{repo}", self.info)
        app.router.add_get("/api/models/{org}/{repo}/revision/{revision}", self.info)
        app.router.add_get("/api/models/{org}/{repo}/tree/{revision}", self.tree)
        app.router.add_get("/{org}/{repo}/resolve/{revision}/{file:.+}", self.resolve)
        app.on_response_prepare.append(add_extra_headers)
        return app

    async def stats(self, _: web.Request) -> web.Response:
        return web.json_response({"files": {name: asdict(count) for name, count in self._counts.items()}})

    async def info(self, request: web.Request) -> web.Response:
        revision = await self._find(request)
        siblings = [{"rfilename": name} for name in revision.files]
        name = f"{request.match_info['org']}/{request.match_info['repo']}"
        return web.json_response({"id": name, "modelId": name, "sha": revision.commit, "siblings": siblings})

    async def tree(self, request: web.Request) -> web.Response:
        revision = await self._find(request)
        entries = [
            {"type": "file", "path": name, "size": file.size, "oid": file.sha256[:40]}
            for name, file in revision.files.items()
        ]
        return web.json_response(entries)

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        revision = await self._find(request)
        request[EXTRA_HEADERS] = {"X-Repo-Commit": revision.commit}
        name = request.match_info["file"]
        if name not in revision.files:
            raise refusal("EntryNotFound", f"no file {name!r} at {revision.commit}")
        file = revision.files[name]
        request[EXTRA_HEADERS]["ETag"] = f'"{file.sha256}"'
        self._count(request, file)
        if any(tag.value in {file.sha256, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED)
        return web.FileResponse(file.path)  # knows HEAD and Range

    async def _find(self, request: web.Request) -> Revision:
        wanted = request.match_info
        revision = wanted.get("revision", "main")
        async with self._reading:
            try:
                return await asyncio.to_thread(
                    self._repositories.find, wanted["org"], wanted["repo"], revision
                )
            except RepositoryMissing as error:
                raise refusal("RepoNotFound", f"no repository {error}") from error
            except RevisionMissing as error:
                raise refusal("RevisionNotFound", str(error)) from error

    def _count(self, request: web.Request, file: HubFile) -> None:
        wanted = request.match_info
        count = self._counts[f"{wanted['org']}/{wanted['repo']}/{wanted['file']}"]
        if request.method == "HEAD":
            count.heads += 1
            return
        count.gets += 1
        count.bytes += file.size


def refusal(code: str, message: str) -> web.HTTPNotFound:
    return web.HTTPNotFound(text=message, headers={"X-Error-Code": code, "X-Error-Message": message})


async def add_extra_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set at the last moment, because FileResponse sets an ETag of its own."""
    response.headers.update(request.get(EXTRA_HEADERS, {}))
