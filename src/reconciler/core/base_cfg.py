"""What the static HAProxy configuration says of its slots. Reads text, changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.core.cfg_sections import Line, Section, sections


_PORT_AT_END = re.compile(r":(\d{1,5})$", re.ASCII)
_ANY_PORT = re.compile(r":[^:\]]*$")
_RANGE = re.compile(r"(?:(\d{1,9})-)?(\d{1,9})", re.ASCII)
_MAX_PORT = 65535
_PARTS = 4
"""``server-template PREFIX RANGE ADDRESS`` (configuration manual 4.2)."""

_WITH_VALUE = frozenset(
    [
        "addr",
        "agent-addr",
        "agent-inter",
        "agent-port",
        "agent-send",
        "alpn",
        "ca-file",
        "check-alpn",
        "check-proto",
        "check-sni",
        "ciphers",
        "ciphersuites",
        "cookie",
        "crl-file",
        "crt",
        "downinter",
        "error-limit",
        "fall",
        "fastinter",
        "hash-key",
        "id",
        "init-addr",
        "init-state",
        "inter",
        "log-bufsize",
        "log-proto",
        "maxconn",
        "maxqueue",
        "max-reuse",
        "minconn",
        "namespace",
        "npn",
        "observe",
        "on-error",
        "on-marked-down",
        "on-marked-up",
        "pool-conn-name",
        "pool-low-conn",
        "pool-max-conn",
        "pool-purge-delay",
        "port",
        "proto",
        "proxy-v2-options",
        "redir",
        "resolve-net",
        "resolve-opts",
        "resolve-prefer",
        "resolvers",
        "rise",
        "shard",
        "slowstart",
        "sni",
        "socks4",
        "source",
        "ssl-max-ver",
        "ssl-min-ver",
        "tcp-ut",
        "track",
        "verify",
        "verifyhost",
        "weight",
        "ws",
    ]
)
"""Keywords of a server line that take the next word as their value (manual 5.2)."""

_OPPOSITES = {"enabled": "disabled"}


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
    address: str = ""
    """The address as it is written, without its port and brackets."""
    numbers: tuple[int, int] | None = None
    """The first and the last number, None where they are not written as numbers."""
    has_unknown_port: bool = False
    """The port comes from the environment."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What is in force, ``default-server`` included: each keyword with its value, or ''."""


def templates(text: str) -> list[Template]:
    """Return the server-template lines of a configuration. Never raises.

    Environment variables and conditions are not evaluated: a line counts as it is written.
    """
    return [one for section in sections(text) for one in templates_in(section)]


def templates_in(section: Section) -> list[Template]:
    """Return the server-template lines of one section."""
    if section.kind not in {"backend", "listen"}:
        return []
    return [
        _template(section, line)
        for line in section.own("server-template")
        if len(line.words) >= _PARTS
    ]


def _template(section: Section, line: Line) -> Template:
    _, prefix, numbers, place, *words = line.words
    match = _PORT_AT_END.search(place)
    port = int(match.group(1)) if match else 0
    return Template(
        backend=section.name,
        prefix=prefix,
        line_number=line.number,
        port=port if 0 < port <= _MAX_PORT else None,
        words=tuple(words),
        address=_address(place),
        numbers=_numbers(numbers),
        has_unknown_port="$" in place and match is None,
        options=_options([*_defaults_for(section, line), *words]),
    )


def _address(place: str) -> str:
    """Return an address without its port. A bare IPv6 address has none."""
    if place.startswith("[") or place.count(":") <= 1 or "$" in place:
        place = _ANY_PORT.sub("", place)
    return place.removeprefix("[").removesuffix("]")


def _numbers(text: str) -> tuple[int, int] | None:
    match = _RANGE.fullmatch(text)
    return (int(match[1] or 1), int(match[2])) if match else None


def _defaults_for(section: Section, line: Line) -> Iterator[str]:
    """Yield the words of the ``default-server`` lines that a server line takes over."""
    for one in reversed(list(section.chain())):
        for default in one.own("default-server"):
            if one is not section or default.number < line.number:
                yield from default.words[1:]


def _options(words: Iterable[str]) -> dict[str, str]:
    """Return keywords with their values; a later ``no-check`` takes ``check`` away."""
    found: dict[str, str] = {}
    left = iter(words)
    for word in left:
        if word in _OPPOSITES:
            found.pop(_OPPOSITES[word], None)
        elif word.startswith("no-") and word.removeprefix("no-") in found:
            found.pop(word.removeprefix("no-"))
        else:
            found[word] = next(left, "") if word in _WITH_VALUE else ""
    return found


def default_ports(text: str, prefix: str) -> dict[str, int]:
    """Return the port of each backend's slots, by backend, where the line has one."""
    return {
        template.backend: template.port
        for template in templates(text)
        if template.prefix == prefix and template.port is not None
    }
