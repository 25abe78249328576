"""What the static HAProxy configuration says of its slots. Reads text, changes nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import (
    NO_FACTS,
    Cfg,
    CfgFile,
    Line,
    Section,
    Spot,
    sections,
    ways_to_read,
)


PROXIES = frozenset({"backend", "listen"})
"""The kinds of section that have servers."""
_PORT = re.compile(r"\d{1,5}", re.ASCII)
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
        "cc",
        "check-alpn",
        "check-pool-conn-name",
        "check-proto",
        "check-sni",
        "ciphers",
        "ciphersuites",
        "client-sigalgs",
        "cookie",
        "crl-file",
        "crt",
        "curves",
        "downinter",
        "error-limit",
        "fall",
        "fastinter",
        "guid",
        "hash-key",
        "healthcheck",
        "id",
        "idle-ping",
        "init-addr",
        "init-state",
        "inter",
        "interface",
        "ktls",
        "log-bufsize",
        "log-proto",
        "max-reuse",
        "maxconn",
        "maxqueue",
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
        "sigalgs",
        "slowstart",
        "sni",
        "socks4",
        "source",
        "ssl-max-ver",
        "ssl-min-ver",
        "tcp-md5sig",
        "tcp-ut",
        "track",
        "usesrc",
        "verify",
        "verifyhost",
        "weight",
        "ws",
    ]
)
"""Keywords of a server line that take the next word as their value (manual 5.2)."""

_OPPOSITES = {"enabled": "disabled"}
_FAMILY = re.compile(
    r"((?:(?:stream|dgram|quic|mptcp)\+)*"
    r"(?:ip|(?:ipv|tcp|udp|quic|mptcp)[46]|tcp|udp|quic|mptcp"
    r"|unix|uxst|uxdg|abnsz?|fd|sockpair|rhttp|rev))@"
)
"""What may stand before an address (manual 11, "Address formats")."""
_INET = re.compile(r"ip|(?:ipv|tcp|udp|quic|mptcp)[46]|tcp|udp|quic|mptcp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One ``server-template`` line (configuration manual 4.2)."""

    backend: str
    prefix: str
    spot: Spot
    port: int | None
    """The port on the line, None where it has none or takes it from the environment."""
    words: tuple[str, ...]
    """Everything on the line after the address."""
    address: str = ""
    """The address as it is written, without its port, brackets and family."""
    is_inet: bool = True
    """It is of a family that has ports: a unix socket or a file descriptor is not."""
    numbers: tuple[int, int] | None = None
    """The first and the last number, None where they are not written as numbers."""
    has_unknown_name: bool = False
    """The backend's name, or the prefix, comes from a variable that nobody knows."""
    has_unknown_place: bool = False
    """The address does, or some of it."""
    has_unknown_port: bool = False
    """The port does."""
    has_unknown_options: bool = False
    """A word is in force that may be any keyword."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What is in force, ``default-server`` included: each keyword with its value, or ''."""


def templates(text: str, facts: Facts = NO_FACTS) -> list[Template]:
    """Return the server-template lines of a configuration. Never raises.

    Where it may be read in several ways, this is the first.
    """
    return [one for section in sections(text, facts) for one in templates_in(section)]


def templates_in(section: Section) -> list[Template]:
    """Return the server-template lines of one section."""
    if section.kind not in PROXIES:
        return []
    return [
        _template(section, line)
        for line in section.own("server-template")
        if len(line.words) >= _PARTS
    ]


def split_family(place: str) -> tuple[str, str]:
    """Return what stands before an address's ``@``, '' where nothing does, and the rest."""
    found = _FAMILY.match(place)
    return (found[1], place[found.end() :]) if found else ("", place)


def is_inet(family: str) -> bool:
    """Whether addresses of a family are of IP, and have ports."""
    return _INET.fullmatch(family.rpartition("+")[2]) is not None


def _template(section: Section, line: Line) -> Template:
    _, prefix, numbers, place, *words = line.words
    is_open = _PARTS - 1 in line.assumed
    family, rest = split_family(place)
    address, port = _split(rest)
    has_port = is_inet(family) if family else not place.startswith("/")
    options, has_unknown = _options(_in_force(section, line))
    return Template(
        backend=section.name,
        prefix=prefix,
        spot=line.spot,
        port=_port(port) if has_port else None,
        words=tuple(words),
        address=address if has_port else place,
        is_inet=has_port,
        numbers=_numbers(numbers),
        has_unknown_name=section.is_assumed or 1 in line.assumed,
        has_unknown_place=is_open and "$" in address,
        has_unknown_port=is_open and _port(port) is None,
        has_unknown_options=has_unknown,
        options=options,
    )


def _split(place: str) -> tuple[str, str]:
    """Return address and port of a place; a bare IPv6 address has none."""
    address, colon, port = place.rpartition(":")
    if not colon or "]" in port or address.endswith(":"):
        address, port = place, ""
    if "}" in port and "${" not in port:  # a variable's default has a colon
        address, _, port = place.partition(":")
    return address.removeprefix("[").removesuffix("]"), port


def _port(text: str) -> int | None:
    number = int(text) if _PORT.fullmatch(text) else 0
    return number if 0 < number <= _MAX_PORT else None


def _numbers(text: str) -> tuple[int, int] | None:
    match = _RANGE.fullmatch(text)
    return (int(match[1] or 1), int(match[2])) if match else None


def _in_force(section: Section, line: Line) -> Iterator[tuple[str, bool]]:
    """Yield the words that count for a server line, ``default-server`` lines first.

    With each goes whether it has a variable that nobody knows.
    """
    for one in reversed(list(section.chain())):
        for default in one.own("default-server"):
            if one is not section or default.number < line.number:
                yield from _words(default, 1)
    yield from _words(line, _PARTS)


def _words(line: Line, first: int) -> Iterator[tuple[str, bool]]:
    for at, word in enumerate(line.words[first:], start=first):
        yield word, at in line.assumed


def _options(words: Iterable[tuple[str, bool]]) -> tuple[dict[str, str], bool]:
    """Return keywords with their values, and whether some keyword is not known.

    A later ``no-check`` takes ``check`` away.
    """
    found: dict[str, str] = {}
    has_unknown = False
    left = iter(words)
    for word, is_unknown in left:
        has_unknown = has_unknown or is_unknown
        if word in _OPPOSITES:
            found.pop(_OPPOSITES[word], None)
        elif word.startswith("no-") and word.removeprefix("no-") in found:
            found.pop(word.removeprefix("no-"))
        else:
            found[word] = next(left, ("", False))[0] if word in _WITH_VALUE else ""
    return found, has_unknown


def default_ports(
    files: Iterable[CfgFile], prefix: str, facts: Facts = NO_FACTS
) -> dict[str, int]:
    """Return the port of each backend's slots, by backend, where the files tell it.

    A backend whose lines of slots name several ports, or none, is left out, and so is one
    whose port depends on what HAProxy (``facts``) does not tell.
    """
    ports: defaultdict[str, set[int | None]] = defaultdict(set)
    for way in ways_to_read(files, facts):
        for backend, port in _ports(way, prefix).items():
            ports[backend].add(port)
    agreed = {name: found.pop() for name, found in ports.items() if len(found) == 1}
    return {name: port for name, port in agreed.items() if port is not None}


def _ports(way: Cfg, prefix: str) -> dict[str, int | None]:
    """Return the port of each backend with slots, None where its lines name no single one.

    A name that comes from an unknown variable counts as it is where none is set, unless
    another backend has that name.
    """
    certain: defaultdict[str, set[int | None]] = defaultdict(set)
    assumed: defaultdict[str, list[set[int | None]]] = defaultdict(list)
    for section in way.sections:
        if section.kind not in PROXIES:
            continue
        found = {one.port for one in templates_in(section) if one.prefix == prefix}
        if not section.is_assumed:
            certain[section.name] |= found
        elif found:
            assumed[section.name].append(found)
    alone = {
        name: found[0]
        for name, found in assumed.items()
        if len(found) == 1 and name not in certain
    }
    return {
        name: next(iter(found)) if len(found) == 1 else None
        for name, found in (alone | certain).items()
        if found
    }
