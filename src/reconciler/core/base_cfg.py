"""What the static HAProxy configuration says of its slots. Reads text, changes nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass


_SECTIONS = frozenset(
    [
        "global",
        "defaults",
        "frontend",
        "backend",
        "listen",
        "peers",
        "resolvers",
        "userlist",
        "mailers",
        "cache",
        "program",
        "http-errors",
        "ring",
        "log-forward",
        "fcgi-app",
        "crt-store",
        "traces",
    ]
)
_PORT_AT_END = re.compile(r":(\d{1,5})$", re.ASCII)
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One ``server-template`` line (configuration manual 4.2)."""

    backend: str
    prefix: str
    line_number: int
    port: int | None
    """The port on the line, None where it has none or takes it from the environment."""
    words: tuple[str, ...]
    """Everything on the line after the address."""


def templates(text: str) -> list[Template]:
    """Return the server-template lines of a configuration. Never raises.

    Environment variables and conditions are not evaluated: a line counts as it is written.
    """
    found = []
    section, name = "", ""
    for number, words in _lines(text):
        if words[0] in _SECTIONS:
            section, name = words[0], words[1] if len(words) > 1 else ""
        is_slot_line = words[0] == "server-template" and len(words) > 3  # noqa: PLR2004
        if is_slot_line and section in {"backend", "listen"}:
            found.append(_template(name, number, words))
    return found


def _template(backend: str, number: int, words: list[str]) -> Template:
    match = _PORT_AT_END.search(words[3])
    port = int(match.group(1)) if match else 0
    return Template(
        backend=backend,
        prefix=words[1],
        line_number=number,
        port=port if 0 < port <= _MAX_PORT else None,
        words=tuple(words[4:]),
    )


def default_ports(text: str, prefix: str) -> dict[str, int]:
    """Return the port of each backend's slots, by backend, where the line has one."""
    return {
        template.backend: template.port
        for template in templates(text)
        if template.prefix == prefix and template.port is not None
    }


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an odd quote: HAProxy will complain, not we
            words = line.split()
        if words:
            yield number, words
