"""What the scripted engine knows: containers, their endpoints, networks. No I/O, no JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict


@dataclass(frozen=True, slots=True)
class Network:
    """A network, by name and id. ``driver`` is the ``type`` of its events."""

    name: str
    driver: str = "bridge"

    @property
    def id(self) -> str:
        """64 hexadecimal digits that depend on the name alone."""
        return digest("network", self.name)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses a container has on one network; empty text where it has none."""

    ipv4: str = ""
    ipv6: str = ""

    @classmethod
    def parse(cls, text: str) -> Addresses:
        """Read one address of either family, or empty text for none."""
        return cls(ipv6=text) if ":" in text else cls(ipv4=text)


class Options(TypedDict, total=False):
    """What ``run`` and ``create`` take of a container beside its name.

    ``networks`` maps network names to an address each ("" for none); without it the
    container is on ``demo_default``, at ``address`` or the next free loopback address.
    ``aliases`` are what its networks know it by, which an inspect alone shows.
    ``ports`` are exposed (8000 unless given), ``published`` maps ``8000/tcp`` to a port of
    127.0.0.1. ``health`` is None without a HEALTHCHECK.
    """

    labels: Mapping[str, str]
    image: str
    address: str
    ports: Iterable[int | str]
    published: Mapping[str, int]
    networks: Mapping[str, str | Addresses]
    network_mode: str
    health: str | None
    stop_signal: str
    stop_timeout: int | None
    aliases: Iterable[str]


@dataclass(frozen=True, slots=True)
class Listed:
    """A container's entry in the list as last shown, and what it was made from."""

    key: tuple[object, ...]
    entry: Mapping[str, Any]
    line: bytes


@dataclass(slots=True, kw_only=True)
class ScriptedContainer:
    """One container. The engine changes it; tests read it.

    ``state`` is one of the engine's own words: created, running, paused, restarting,
    exited, dead. ``health`` is None without a HEALTHCHECK. ``ports`` are exposed ports
    (``8000/tcp``), ``published`` maps some of them to a port of 127.0.0.1. ``number``
    counts up with every container that is made.
    """

    id: str
    name: str
    image: str
    labels: Mapping[str, str]
    created_ns: int
    ports: tuple[str, ...]
    networks: dict[str, Addresses]
    network_mode: str
    published: Mapping[str, int] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None
    aliases: tuple[str, ...] = ()
    state: str = "created"
    health: str | None = None
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int = 0
    is_attached: bool = False
    """Whether it has its addresses and does not run yet: the engine is starting it."""
    number: int = 0
    listed: Listed | None = field(default=None, repr=False, compare=False)

    @property
    def is_up(self) -> bool:
        """Whether its process exists: running, or frozen by pause."""
        return self.state in {"running", "paused"}

    @property
    def is_listed(self) -> bool:
        """Whether it is in the list without ``all``: one that restarts counts as up."""
        return self.is_up or self.state == "restarting"

    @property
    def address(self) -> str:
        """Its first address on any network, for tests that need just one."""
        for addresses in self.networks.values():
            if addresses.ipv4 or addresses.ipv6:
                return addresses.ipv4 or addresses.ipv6
        return ""


ID_DIGITS = 64
"""Of a whole id; with fewer it is a prefix."""


def digest(*parts: object) -> str:
    """Return 64 hexadecimal digits made from the parts: repeatable ids."""
    text = "/".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def port_names(ports: Iterable[int | str]) -> tuple[str, ...]:
    """Spell ports as the engine does: ``8000`` and ``"8000"`` mean ``8000/tcp``."""
    texts = [str(port) for port in ports]
    return tuple(text if "/" in text else f"{text}/tcp" for text in texts)


def loopback_address(number: int) -> str:
    """Return the ``number``-th address of 127.10.0.0/15, from 1 on; never .0 nor .255.

    Scripted containers live in loopback space, so that no packet can leave the machine.
    Raises ValueError past the 130,048th.
    """
    block, low = divmod(number - 1, 254)
    if not 0 <= block < 512:
        raise ValueError(f"no loopback address is left for container {number}")
    return f"127.{10 + block // 256}.{block % 256}.{low + 1}"
