"""What stands before every route: strict headers, and only names that are ours.

**Headers.** The page loads nothing but its own files, runs no text but the script in its own
head, and is shown in nobody's frame.

**Names.** A page of somebody else cannot read our answers, unless it makes the browser
believe that they come from its own site: its name first leads to its own server, then to
our address (DNS rebinding). The request then still bears that name. So we answer to
addresses, to ``localhost`` and to names without a dot, which no stranger can own, and to
names that the operator gave; health and metrics answer to any, because monitoring asks for
them by whatever name a machine has, and never through a browser.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection

from aiohttp import web

from reconciler.errors import quoted


HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' {scripts}; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

FOR_ANY_NAME = frozenset({"/metrics", "/healthz", "/readyz"})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def headers_adder(
    scripts: str,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return what adds the headers; for ``on_response_prepare``, so that all answers get them.

    ``scripts`` are the sources of scripts that stand in the page itself.
    """
    headers = {name: text.format(scripts=scripts) for name, text in HEADERS.items()}

    async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
        for name, value in headers.items():
            response.headers.setdefault(name, value)

    return add_headers


def is_ours(host: str, allowed: Collection[str]) -> bool:
    """Whether a ``Host`` (with or without a port) is a name that we answer to."""
    name = _without_port(host).lower().rstrip(".")
    if "." not in name and ":" not in name:
        return True
    if name.endswith(".localhost") or name in allowed:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host


def names_guard(
    allowed: Collection[str],
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return a middleware that answers only to names that are ours."""
    names = frozenset(name.lower().rstrip(".") for name in allowed)

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if request.path in FOR_ANY_NAME or is_ours(request.host, names):
            return await handler(request)
        raise web.HTTPMisdirectedRequest(
            text=f"{quoted(request.host)} is no name of this daemon: if it should be, "
            "give it by --allow-host, or let the proxy send `Host: localhost`\n"
        )

    return guard
