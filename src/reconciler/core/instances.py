"""HAProxies that are found by themselves: containers with a label, or a Swarm service's tasks.

A source is what an operator gives in place of a runtime socket's address. Which instances
there are at a moment follows from the containers of that moment alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from reconciler.core.model import SERVICE_NAME, Container
from reconciler.core.placement import Context, Refused, address_of
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


def labels_of(sources: Iterable[Source]) -> frozenset[str]:
    """Return the labels by which containers are found: they have to be kept."""
    return frozenset(one.name for one in sources if one.kind == "docker")


def instance_of(
    source: Source, container: Container, context: Context
) -> Instance | Problem | None:
    """Return the HAProxy that a source finds in a container, None where it means another.

    One that is about to stop is none any more: it takes no new sessions of ours either.
    """
    if not _is_meant(source, container):
        return None
    if not container.is_running or container.is_paused or container.is_stopping:
        return None
    if source.network is not None:
        context = replace(context, network=source.network)
    address = address_of(container, context)
    if isinstance(address, Refused):
        return Problem(container.name, source.text, address.reason)
    port = source.port
    if port is None and source.kind == "docker":
        port = _port(container.labels[source.name])
    host = f"[{address.value}]" if ":" in address.value else address.value
    scheme = "tls" if source.is_tls else "tcp"
    url = f"{scheme}://{host}:{port or DEFAULT_PORT}"
    return Instance(url, container.name, container.id, source.text)


def _is_meant(source: Source, container: Container) -> bool:
    if source.kind == "swarm":
        full = container.labels.get(SERVICE_NAME)
        return full is not None and source.name in {full, container.service}
    value = container.labels.get(source.name)
    return value is not None and source.value in {None, value}


class Instances:
    """The HAProxies that some sources find, kept up to date container by container."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = tuple(sources)
        self._context: Context | None = None
        self._found: dict[str, Instance | Problem] = {}
        """By container."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where is looked."""
        return self._sources

    @property
    def found(self) -> dict[str, Instance]:
        """Return what was found, by URL, each once; of several the first container's."""
        by_url: dict[str, Instance] = {}
        for _, one in sorted(self._found.items()):
            if isinstance(one, Instance):
                by_url.setdefault(one.url, one)
        return by_url

    @property
    def problems(self) -> list[str]:
        """Return what is wrong, in words: with containers, and with sources that find nothing."""
        told = [
            f"container {one.container} is meant by {one.source}, but {one.reason}"
            for one in self._found.values()
            if isinstance(one, Problem)
        ]
        busy = {one.source for one in self._found.values()}
        told += [
            f"no haproxy found by {one.text}"
            for one in self._sources
            if one.text not in busy
        ]
        return told

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
            for source in self._sources:
                if (one := instance_of(source, container, context)) is not None:
                    self._found[key] = one
                    break
        return before != self._found
