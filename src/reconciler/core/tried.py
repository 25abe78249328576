"""Which rules were tried for one container, in order, each with what came of it. Pure.

The rules themselves are in placement, which decides in microseconds and keeps only the
answer. This tells how it got there: every candidate up to the one that decided. A test
holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.core.model import Attachment, Container, Health, with_mend
from reconciler.core.placement import (
    ADDRESS,
    BACKEND,
    BACKENDS,
    DRAIN,
    DRAIN_SHUTDOWN,
    ENABLE,
    NETWORK,
    PORT,
    WEIGHT,
    Context,
    borrowed_name,
    is_attached_as,
)
from reconciler.errors import quoted


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate: where an answer was looked for, and what was there."""

    rule: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule: its question, whether the container passes, and the evidence.

    The fields and their order are the contract of ``explain --json``.
    """

    rule: str
    passes: bool
    evidence: str
    """The whole sentence, the mend included."""
    tried: tuple[Tried, ...] = ()
    mend: str = ""
    """What to change: what the evidence ends with, '' where nothing is to be done."""
    haproxy: str | None = None
    slot: str | None = None
    """``backend/slot`` where it lives, in that HAProxy."""

    @property
    def why(self) -> str:
        """The evidence without the mend."""
        return (
            self.evidence.removesuffix(f": {self.mend}") if self.mend else self.evidence
        )


def failed(
    rule: str,
    why: str,
    mend: str,
    tried: tuple[Tried, ...] = (),
    haproxy: str | None = None,
) -> Step:
    """Return a step that does not pass, with its mend behind the reason."""
    return Step(
        rule=rule,
        passes=False,
        evidence=with_mend(why, mend),
        tried=tried,
        mend=mend,
        haproxy=haproxy,
    )


def enabled_tries(container: Container) -> tuple[Tried, ...]:
    """Return what was looked at to know whether a container may be placed at all."""
    if container.identity.is_one_off:
        return (Tried("made by compose run", "yes"),)
    return (_label(container, ENABLE, without="none: yes by default"),)


def backend_tries(container: Container, context: Context) -> tuple[Tried, ...]:
    """Return what was looked at to find a container's backends."""
    several = sorted(key for key in container.labels if key.startswith(BACKENDS))
    rule = f"labels {BACKENDS}NAME.…"
    if several:
        return (Tried(rule, ", ".join(map(quoted, several))),)
    first = Tried(rule, "none")
    one = _label(container, BACKEND)
    if BACKEND in container.labels:
        return (first, one)
    return (first, one, Tried("its service's name", _service(container, context)))


def _service(container: Container, context: Context) -> str:
    if container.service is None:
        borrowed = borrowed_name(container)
        return f"none: {borrowed or 'it belongs to no Compose or Swarm service'}"
    name = quoted(container.service)
    project = container.project
    of = "of no project" if project is None else f"of project {quoted(project)}"
    if context.projects is None:
        return f"{name} {of}: all projects are covered"
    if project in context.projects:
        return f"{name} {of}, which is covered"
    covered = ", ".join(sorted(context.projects))
    return f"{name} {of}, which is not covered (covered: {covered})"


def address_tries(container: Container, context: Context) -> tuple[Tried, ...]:
    """Return what was looked at to find a container's address."""
    return tuple(_address_tries(container, context))


def _address_tries(container: Container, context: Context) -> Iterator[Tried]:
    yield _label(container, ADDRESS)
    if ADDRESS in container.labels:
        return
    wanted = container.labels.get(NETWORK)
    if wanted is not None:
        yield Tried(f"label {NETWORK}", _attached(container, wanted))
        return
    yield Tried(f"label {NETWORK}", "none")
    if context.network is not None:
        yield Tried("--network", _attached(container, context.network))
        return
    yield Tried("--network", "not given")
    shared = [a for a in container.networks if a.network in context.shared_networks]
    yield Tried("network shared with the reconciler", _shared(shared, context))
    if len(shared) != 1:
        yield Tried("its only network", _count(container.networks))


def _attached(container: Container, wanted: str) -> str:
    for attachment in container.networks:
        if is_attached_as(attachment, container, wanted):
            return f"{quoted(wanted)}: attached, {_on(attachment)}"
    return f"{quoted(wanted)}: not attached ({_count(container.networks)})"


def _shared(shared: list[Attachment], context: Context) -> str:
    if not context.shared_networks:
        return "none: the reconciler is on no network of docker's that it can share"
    if not shared:
        listed = ", ".join(map(quoted, sorted(context.shared_networks)))
        return f"none: the reconciler's are {listed}"
    return _count(shared)


def _count(attachments: list[Attachment] | tuple[Attachment, ...]) -> str:
    if not attachments:
        return "it is on none"
    if len(attachments) == 1:
        return f"{quoted(attachments[0].network)}, {_on(attachments[0])}"
    listed = ", ".join(quoted(one.network) for one in attachments)
    return f"{len(attachments)} of them, so none: {listed}"


def _on(attachment: Attachment) -> str:
    found = attachment.ipv4 or attachment.ipv6
    return f"address {quoted(found)}" if found else "without an address"


def port_tries(
    container: Container, backend: str, context: Context
) -> tuple[Tried, ...]:
    """Return what was looked at to find a container's port in one backend."""
    return tuple(_port_tries(container, backend, context))


def _port_tries(
    container: Container, backend: str, context: Context
) -> Iterator[Tried]:
    for label in (f"{BACKENDS}{backend}.port", PORT):
        yield _label(container, label)
        if label in container.labels:
            return
    exposed = container.tcp_ports
    listed = ", ".join(map(str, exposed)) or "none"
    several = f"{listed}: more than one, so none" if len(exposed) > 1 else listed
    yield Tried("TCP ports it exposes", several)
    if len(exposed) != 1:
        yield from _default_port_tries(backend, context)


def _default_port_tries(backend: str, context: Context) -> Iterator[Tried]:
    given = context.default_ports.get(backend)
    yield Tried("--backend-port", "none given" if given is None else str(given))
    if given is not None:
        return
    free = sorted(context.free_ports.get(backend, ()))
    listed = ", ".join(map(str, free)) or "none free that tells one"
    disagree = f"{listed}: they disagree, so none"
    yield Tried(
        f"free slots of backend {backend}", disagree if len(free) > 1 else listed
    )
    if len(free) == 1:
        return
    on_file = context.file_ports.get(backend)
    yield Tried("--base-cfg", "none known" if on_file is None else str(on_file))


def weight_tries(container: Container, backend: str) -> tuple[Tried, ...]:
    """Return what was looked at to find a container's weight in one backend."""
    found = []
    for label in (f"{BACKENDS}{backend}.weight", WEIGHT):
        found.append(_label(container, label))
        if label in container.labels:
            return tuple(found)
    return (*found, Tried("the server-template line", "its weight"))


def drain_tries(container: Container) -> tuple[Tried, ...]:
    """Return what was looked at to know how long a slot is kept for its sessions."""
    return (_label(container, DRAIN, without="none: --drain-timeout counts"),)


def shutdown_tries(container: Container) -> tuple[Tried, ...]:
    """Return what was looked at to know whether sessions are closed in the end."""
    return (_label(container, DRAIN_SHUTDOWN, without="none: no by default"),)


_HEALTH = {
    Health.NONE: "none: it is ready while it runs",
    Health.HEALTHY: "healthy",
    Health.UNHEALTHY: "unhealthy",
    Health.STARTING: "starting: it has not passed yet",
}


def rotation_tries(container: Container) -> tuple[Tried, ...]:
    """Return what was looked at to know whether a container should get traffic."""
    if container.is_stopping:
        return (Tried("its stop signal", "was sent, and it has not ended"),)
    return (
        Tried("its stop signal", "was not sent"),
        Tried("its HEALTHCHECK", _HEALTH[container.health]),
    )


def _label(container: Container, label: str, *, without: str = "none") -> Tried:
    text = container.labels.get(label)
    return Tried(f"label {label}", without if text is None else quoted(text))
