"""The page on ``/``: files of this package, served as they are.

No template, no build step, and nothing from anywhere else. Addresses in the files are
relative, so the page works below any path of a proxy that ends in a slash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import PurePath
from typing import NamedTuple

from aiohttp import web


INDEX = "index.html"

_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """One file, as it is served."""

    body: bytes
    content_type: str
    etag: str


def read_assets() -> dict[str, Asset]:
    """Return the page's files by name. All of them: what is in the package is served."""
    folder = files("reconciler.web").joinpath("page")
    return {
        one.name: _asset(one.name, one.read_bytes())
        for one in folder.iterdir()
        if PurePath(one.name).suffix in _TYPES
    }


def inline_script_sources(assets: Mapping[str, Asset]) -> str:
    """Return the scripts that stand in the page, as sources of a ``script-src`` directive.

    Each is the SHA-256 of its text (W3C Content Security Policy 3, 2.3.1), so that no other
    text can run.
    """
    texts = _INLINE.findall(assets[INDEX].body)
    hashes = [hashlib.sha256(text).digest() for text in texts]
    return " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in hashes)


def _asset(name: str, body: bytes) -> Asset:
    etag = hashlib.sha256(body).hexdigest()[:16]
    return Asset(body, _TYPES[PurePath(name).suffix], etag)


def page_routes(assets: Mapping[str, Asset]) -> list[web.RouteDef]:
    """Return the routes of the page and of its files."""

    async def index(request: web.Request) -> web.Response:
        return _response(request, assets[INDEX])

    async def asset(request: web.Request) -> web.Response:
        found = assets.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound(text="the page has no such file\n")
        return _response(request, found)

    return [web.get("/", index), web.get("/page/{name}", asset)]


def _response(request: web.Request, asset: Asset) -> web.Response:
    """Return a file, or that the browser's copy is still true: it has to ask each time."""
    headers = {"Cache-Control": "no-cache", "ETag": f'"{asset.etag}"'}
    known = request.if_none_match or ()
    if any(one.value == asset.etag for one in known):
        return web.Response(status=304, headers=headers)
    return web.Response(
        body=asset.body,
        content_type=asset.content_type,
        charset="utf-8",
        headers=headers,
    )
