"""HAProxies that are found by themselves: containers with a label, or a Swarm service's tasks.

A source is what an operator gives in place of a runtime socket's address. Which instances
there are at a moment follows from the containers of that moment alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from reconciler.core.membership import SERVICE_NAME, counts
from reconciler.core.model import Container
from reconciler.core.placement import Context, Found, Refused, address_of, address_on
from reconciler.errors import ConfigError, quoted


DEFAULT_PORT = 9999
"""Of a runtime socket by TCP, where neither the source nor the label tells another."""

_KINDS = ("docker", "swarm")
_KEYS = frozenset({"port", "network", "tls"})
_YES, _NO = (
    frozenset({"1", "true", "yes", "on"}),
    frozenset({"0", "false", "no", "off"}),
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]*", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where HAProxies are found. ``text`` is how the operator wrote it."""

    text: str
    kind: str
    """``docker``: containers with a label. ``swarm``: the tasks of a service."""
    name: str
    """The label's, or the service's."""
    value: str | None = None
    """What the label has to be; None: anything."""
    port: int | None = None
    network: str | None = None
    is_tls: bool = False


class Instance(NamedTuple):
    """One HAProxy that was found."""

    url: str
    """Its runtime socket, ``tcp://ADDRESS:PORT`` or ``tls://…``: the name it goes by. It stays
    the same for as long as the container has its address, and can be given to --haproxy."""
    container: str
    container_id: str
    source: str
    is_leaving: bool = False
    """Its container is about to end. Until then it may have sessions, so its slots count."""


class Problem(NamedTuple):
    """A container that a source means, and that has no address to be reached at."""

    container: str
    source: str
    reason: str


def is_source(text: str) -> bool:
    """Whether a HAProxy's URL is a source, and not the address of one socket."""
    return text.partition("://")[0] in _KINDS


def source_of(text: str) -> Source:
    """Read ``docker://LABEL[=VALUE]`` or ``swarm://SERVICE``, with ``?port=&network=&tls=``.

    Raises ConfigError.
    """
    try:
        url = urlsplit(text)
        given = parse_qsl(
            url.query, keep_blank_values=True, strict_parsing=bool(url.query)
        )
    except ValueError:
        raise _bad(text, "") from None
    name, equals, value = f"{url.netloc}{url.path}".partition("=")
    query = dict(given)
    if url.scheme not in _KINDS or not _NAME.fullmatch(name) or url.fragment:
        raise _bad(text, "")
    if equals and url.scheme == "swarm":
        raise _bad(text, "")
    if unknown := sorted(query.keys() - _KEYS):
        raise _bad(text, f": {quoted(unknown[0])} is none of port, network and tls")
    tls = query.get("tls", "0").lower()
    if tls not in _YES | _NO:
        raise _bad(text, f": tls is {quoted(tls)}, and has to be 1 or 0")
    port = None
    if "port" in query and (port := _port(query["port"])) is None:
        raise _bad(text, f": port is {quoted(query['port'])}")
    return Source(
        text=text,
        kind=url.scheme,
        name=name,
        value=value if equals else None,
        port=port,
        network=query.get("network") or None,
        is_tls=tls in _YES,
    )


def _bad(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"{quoted(text)} is no source of haproxies{why}; docker://LABEL[=VALUE] and "
        "swarm://SERVICE are, with ?port=9999&network=NAME&tls=1 behind them where needed"
    )


def _port(text: str) -> int | None:
    if not _PORT.fullmatch(text) or not 0 < int(text) <= _MAX_PORT:
        return None
    return int(text)


def _port_of(label: str) -> int | None:
    """Return the port that a label is, None for what only says that it is one of them: 1."""
    return None if label.lower() in _YES else _port(label)


def labels_of(sources: Iterable[Source]) -> frozenset[str]:
    """Return the labels by which containers are found: they have to be kept."""
    return frozenset(one.name for one in sources if one.kind == "docker")


def instance_of(
    source: Source, container: Container, context: Context
) -> Instance | Problem | None:
    """Return the HAProxy that a source finds in a container, None where it means another.

    One that is about to end still is one: it has sessions, and in a Swarm it takes new ones
    for seconds yet. So it goes when its container has ended, and no sooner.
    """
    if not _is_meant(source, container):
        return None
    if not container.is_running or container.is_paused:
        return None
    address = _address(source, container, context)
    if isinstance(address, Refused):
        return Problem(container.name, source.text, address.reason)
    port = source.port
    if port is None and source.kind == "docker" and source.value is None:
        port = _port_of(container.labels[source.name])
    host = f"[{address.value}]" if ":" in address.value else address.value
    scheme = "tls" if source.is_tls else "tcp"
    return Instance(
        url=f"{scheme}://{host}:{port or DEFAULT_PORT}",
        container=container.name,
        container_id=container.id,
        source=source.text,
        is_leaving=container.is_stopping,
    )


def _address(
    source: Source, container: Container, context: Context
) -> Found[str] | Refused:
    """Return where it is: on the source's network, whatever labels say; else as an endpoint."""
    if source.network is None:
        return address_of(container, context)
    found = address_on(container, source.network)
    if isinstance(found, Refused):
        mend = f"attach it, or correct network= in {source.text}"
        return found._replace(mend=mend)
    return found


def _is_meant(source: Source, container: Container) -> bool:
    """Whether a source means a container: by labels that are its own, and no one-off's."""
    label = SERVICE_NAME if source.kind == "swarm" else source.name
    value = container.labels.get(label)
    identity = container.identity
    if value is None or identity.is_one_off or not counts(label, identity.maker):
        return False
    if source.kind == "swarm":
        return source.name in {value, identity.service}
    return source.value in {None, value}


class Instances:
    """The HAProxies that some sources find, kept up to date container by container."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = tuple(sources)
        self._context: Context | None = None
        self._found: dict[str, tuple[Instance | Problem, ...]] = {}
        """What each source finds in a container that any of them means."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where is looked."""
        return self._sources

    @property
    def found(self) -> dict[str, Instance]:
        """Return what was found, by URL, each once.

        Of several at one URL it is one that stays, of these the first container's.
        """
        by_url: dict[str, Instance] = {}
        for _, some in sorted(self._found.items()):
            for one in some:
                if isinstance(one, Instance):
                    known = by_url.setdefault(one.url, one)
                    if known.is_leaving and not one.is_leaving:
                        by_url[one.url] = one
        return by_url

    @property
    def problems(self) -> list[str]:
        """Return what is wrong, in words: with containers, and with sources that find nothing."""
        return [
            *(
                f"container {one.container} is meant by {one.source}, but {one.reason}"
                for one in self._without_address()
            ),
            *self._in_vain(),
        ]

    @property
    def nameless_problems(self) -> list[str]:
        """Return the same without the name of any container."""
        counts = Counter(one.source for one in self._without_address())
        return [
            *(
                f"no address is known of {_counted(number)} meant by {source}"
                for source, number in counts.items()
            ),
            *self._in_vain(),
        ]

    def _without_address(self) -> list[Problem]:
        """Return who is meant, and is found by nothing."""
        return [
            one
            for some in self._found.values()
            if not any(isinstance(one, Instance) for one in some)
            for one in some
            if isinstance(one, Problem)
        ]

    def _in_vain(self) -> list[str]:
        """Return which sources mean nobody that is there, in words."""
        busy = {one.source for some in self._found.values() for one in some}
        return [
            f"no haproxy found by {one.text}"
            for one in self._sources
            if one.text not in busy
        ]

    def update(
        self,
        changes: Mapping[str, Container | None],
        containers: Mapping[str, Container],
        context: Context,
    ) -> bool:
        """Take in changed containers (None: gone); return whether anything found differs.

        ``containers`` are all of them: another context may mean another address for each.
        """
        if not self._sources:
            return False
        before = dict(self._found)
        if self._context is None or context != self._context:
            self._context = context
            changes = {**dict.fromkeys(self._found), **containers, **changes}
        for key, container in changes.items():
            self._found.pop(key, None)
            if container is None:
                continue
            looked = (instance_of(one, container, context) for one in self._sources)
            if some := tuple(one for one in looked if one is not None):
                self._found[key] = some
        return before != self._found


def _counted(number: int) -> str:
    return "1 container" if number == 1 else f"{number} containers"
