"""The rules that place one container: its backends, address, port, weight and rotation.

Every rule is a small function that returns either what it :class:`Found` (and by which
rule) or why it :class:`Refused`. The daemon keeps the values, ``explain`` prints the reasons.
Label text is hostile: what leaves here is a canonical address, an integer in range, or a
backend name that HAProxy itself reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from reconciler.core.membership import Maker
from reconciler.core.model import (
    MAX_WEIGHT,
    Attachment,
    Cause,
    Container,
    Health,
    Rotation,
    canonical_address,
    is_placeholder,
    with_mend,
)
from reconciler.errors import quoted


T = TypeVar("T")

PREFIX = "haproxy."
ENABLE = "haproxy.enable"
BACKEND = "haproxy.backend"
BACKENDS = "haproxy.backends."
PORT = "haproxy.port"
WEIGHT = "haproxy.weight"
NETWORK = "haproxy.network"
ADDRESS = "haproxy.address"
DRAIN = "haproxy.drain"
DRAIN_SHUTDOWN = "haproxy.drain-shutdown"
LABELS = frozenset(
    [ENABLE, BACKEND, PORT, WEIGHT, NETWORK, ADDRESS, DRAIN, DRAIN_SHUTDOWN]
)
"""All labels there are, but for the family that begins with ``BACKENDS``."""

DUPLICATE_MEND = (
    f"where it has an address of its own, remove label {ADDRESS} from it; else have it "
    f"listen on another port, and name that by label {PORT}"
)
"""Of two containers with one address and port only one can listen there."""

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_DECIMAL = re.compile(r"[0-9]{1,5}", re.ASCII)
_BACKEND_NAME = re.compile(r"[A-Za-z0-9_:.-]{1,128}", re.ASCII)
_MAX_PORT = 65535
_DURATION = re.compile(r"([0-9]{1,5})(s|m|h)?", re.ASCII)
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600}
MAX_DRAIN_SECONDS = 86400
"""A day: who drains for longer wants a hold."""

ONE_OFF_HOW = "a one-off of `compose run`"
ONE_OFF_MEND = "start the service itself by `docker compose up --detach`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the rules need to know besides the container."""

    projects: frozenset[str] | None = None
    """Compose projects whose service names count as backend names; None means all."""
    network: str | None = None
    """The network to take addresses from (``--network``)."""
    shared_networks: frozenset[str] = frozenset()
    """The networks of the reconciler's own container, empty when it runs in none."""
    default_ports: Mapping[str, int] = field(default_factory=dict)
    """The port of a backend's endpoints where neither label nor image tells one: as the
    operator gave it (``--backend-port``), which comes before the next two."""
    free_ports: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """The ports that a backend's free slots have in the HAProxys that were read: where they
    agree it is the template's."""
    file_ports: Mapping[str, int] = field(default_factory=dict)
    """The port on a backend's ``server-template`` line, as ``--base-cfg`` has it."""
    instance_labels: frozenset[str] = frozenset()
    """Labels by which HAProxies are found: they ask for no place in a backend."""


class Ports(NamedTuple):
    """What HAProxys tell of the ports of backends."""

    free: Mapping[str, frozenset[int]]
    """Those of the free slots."""
    on_file: Mapping[str, int]
    """Those on the slots' lines in the configuration."""


def joined_ports(
    seen: Iterable[tuple[Mapping[str, frozenset[int]], Mapping[str, int]]],
) -> Ports:
    """Join what several HAProxys tell: of two ports for one backend neither is its default."""
    free: dict[str, frozenset[int]] = {}
    on_file: dict[str, frozenset[int]] = {}
    for its_free, its_file in seen:
        for backend, ports in its_free.items():
            free[backend] = free.get(backend, frozenset()) | ports
        for backend, port in its_file.items():
            on_file[backend] = on_file.get(backend, frozenset()) | {port}
    one_each = {name: min(found) for name, found in on_file.items() if len(found) == 1}
    return Ports(free, one_each)


class Found(NamedTuple, Generic[T]):
    """A rule's answer, and which rule gave it."""

    value: T
    how: str


class Refused(NamedTuple):
    """Why there is no answer: a cause for the metrics, a reason and its mend for people."""

    cause: Cause
    why: str
    mend: str

    @property
    def reason(self) -> str:
        """The whole sentence."""
        return with_mend(self.why, self.mend)


def is_enabled(container: Container) -> Found[bool] | Refused:
    """Whether the container may be placed at all: label ``haproxy.enable``, default yes.

    A one-off has its service's labels, and is none of its containers: whatever they say.
    """
    if container.identity.is_one_off:
        return Found(value=False, how=ONE_OFF_HOW)
    return _yes_or_no(container, ENABLE, default=True)


def _yes_or_no(
    container: Container, label: str, *, default: bool
) -> Found[bool] | Refused:
    text = container.labels.get(label)
    if text is None:
        return Found(default, f"no label {label}")
    if text.strip().lower() in _TRUE | _FALSE:
        return Found(text.strip().lower() in _TRUE, f"label {label}")
    return _bad_label(label, text, "true or false")


def backends_of(container: Container, context: Context) -> Found[list[str]] | Refused:
    """Return the backends the container asks for.

    Labels ``haproxy.backends.NAME.port`` (several), else label ``haproxy.backend`` (one),
    else the service's name if the container's project is covered.
    """
    several = [key for key in container.labels if key.startswith(BACKENDS)]
    if several:
        return _named_backends(container.labels, several)
    name = container.labels.get(BACKEND)
    if name is not None:
        if _BACKEND_NAME.fullmatch(name):
            return Found([name], f"label {BACKEND}")
        return _bad_label(BACKEND, name, "the name of one HAProxy backend")
    return _backend_of_service(container, context)


def _backend_of_service(
    container: Container, context: Context
) -> Found[list[str]] | Refused:
    service, project = container.identity.service, container.identity.project
    if service is None:
        return Refused(Cause.UNKNOWN_BACKEND, *_no_service(container))
    if context.projects is not None and project not in context.projects:
        covered = ", ".join(sorted(context.projects))
        return Refused(
            Cause.UNKNOWN_BACKEND,
            f"it has no label {BACKEND}, and its service's name only counts in the "
            f"projects covered here ({covered})",
            f"name its backend by label {BACKEND}, or cover its project by --project",
        )
    if not _BACKEND_NAME.fullmatch(service):
        return Refused(
            Cause.UNKNOWN_BACKEND,
            f"its service's name {quoted(service)} cannot be the name of a backend",
            f"name one by label {BACKEND}",
        )
    return Found([service], "its service's name")


def _no_service(container: Container) -> tuple[str, str]:
    """Return why no service's name counts, and the mend."""
    mend = f"name its backend by label {BACKEND}"
    borrowed = borrowed_name(container)
    if borrowed is None:
        why = f"it has no label {BACKEND} and belongs to no Compose or Swarm service"
        return why, mend
    return (
        f"it has no label {BACKEND}, and {borrowed}",
        f"{mend}, or start it by Compose or as a Swarm service",
    )


def borrowed_name(container: Container) -> str | None:
    """Return whose the service's name in a container's labels is, if it is not its own."""
    identity = container.identity
    whose = _BORROWED.get(identity.maker)
    if whose is None or identity.claimed_service is None:
        return None
    return f"the service's name {quoted(identity.claimed_service)} {whose}"


_BORROWED = {
    Maker.IMAGE: "is its image's: Compose built that, and did not make the container",
    Maker.COPY: "is of the container that its image was made of",
}


def _named_backends(
    labels: Mapping[str, str], keys: Iterable[str]
) -> Found[list[str]] | Refused:
    names = []
    for key in sorted(keys):
        name, _, setting = key.removeprefix(BACKENDS).rpartition(".")
        if setting not in {"port", "weight"} or not _BACKEND_NAME.fullmatch(name):
            form = f"a label named {BACKENDS}NAME.port or {BACKENDS}NAME.weight"
            return _bad_label(key, labels[key], form)
        if name not in names:
            names.append(name)
    return Found(names, f"labels {BACKENDS}…")


def address_of(container: Container, context: Context) -> Found[str] | Refused:
    """Return the address HAProxy should dial.

    Label ``haproxy.address``; else on the network that label ``haproxy.network`` or
    ``--network`` names; else on the only network shared with us; else on the only network.
    """
    text = container.labels.get(ADDRESS)
    if text is not None:
        return _address_from_label(text)
    wanted = container.labels.get(NETWORK, context.network)
    if wanted is not None:
        return address_on(container, wanted)
    shared = [a for a in container.networks if a.network in context.shared_networks]
    if len(shared) == 1:
        return _address_in(
            container, shared[0], "the only network it shares with the reconciler"
        )
    if len(container.networks) == 1:
        return _address_in(container, container.networks[0], "its only network")
    return Refused(Cause.NO_ADDRESS, *_no_single_network(container, shared))


def _address_from_label(text: str) -> Found[str] | Refused:
    try:
        address = canonical_address(text)
    except ValueError:
        return _bad_label(ADDRESS, text, "an IPv4 or IPv6 address")
    if is_placeholder(address):
        form = "an address that is not one of the placeholders of free slots"
        return _bad_label(ADDRESS, text, form)
    return Found(address, f"label {ADDRESS}")


def address_on(container: Container, wanted: str) -> Found[str] | Refused:
    """Return the address of a container on one network, by its name or its short one."""
    for attachment in container.networks:
        if is_attached_as(attachment, container, wanted):
            return _address_in(container, attachment, "the network asked for")
    attached = ", ".join(a.network for a in container.networks) or "none"
    return Refused(
        Cause.NO_ADDRESS,
        f"it is not attached to the network {quoted(wanted)} (its networks: {attached})",
        mode_mend(container) or f"attach it, or correct label {NETWORK} or --network",
    )


def mode_mend(container: Container) -> str | None:
    """Return how a container without a network of its own gets a place; None: it has one.

    The engine attaches none with such a network mode to any network (20.10).
    """
    mode = container.network_mode
    if mode.startswith("container:"):
        return (
            "put the labels, with the port, on the container whose network it shares: they "
            "have one address"
        )
    if mode == "host":
        return (
            f"give it this machine's address by label {ADDRESS}, and its port by {PORT}"
        )
    if mode == "none":
        return (
            "recreate it with no `network_mode: none`, on a network that HAProxy is on"
        )
    return None


def is_attached_as(attachment: Attachment, container: Container, wanted: str) -> bool:
    """Whether a network is meant by its name, or by the short name Compose knows it by."""
    return attachment.network in {wanted, f"{container.project}_{wanted}"}


def _address_in(
    container: Container, attachment: Attachment, how: str
) -> Found[str] | Refused:
    for text in (attachment.ipv4, attachment.ipv6):
        try:
            return Found(canonical_address(text), f"{how}, {attachment.network}")
        except ValueError:
            continue
    return Refused(
        Cause.NO_ADDRESS,
        f"it has no address of its own on network {quoted(attachment.network)}",
        mode_mend(container) or f"give it one by label {ADDRESS}",
    )


def _no_single_network(
    container: Container, shared: list[Attachment]
) -> tuple[str, str]:
    """Return why there is no one network to take, and the mend."""
    if not container.networks:
        return (
            f"it is on no network (network mode {quoted(container.network_mode)})",
            mode_mend(container)
            or f"attach it to one, or give it an address by label {ADDRESS}",
        )
    listed = ", ".join(a.network for a in (shared or container.networks))
    which = (
        "shares several networks with the reconciler"
        if shared
        else "is on several networks"
    )
    return f"it {which} ({listed})", f"choose one by label {NETWORK} or --network"


def port_of(
    container: Container, backend: str, context: Context
) -> Found[int] | Refused:
    """Return the port HAProxy should dial.

    Label ``haproxy.backends.NAME.port`` or ``haproxy.port``; else the one TCP port the
    image exposes; else the backend's default port.
    """
    found = port_of_container(container, backend)
    return found or default_port_of(container, backend, context)


def has_own_port(container: Container) -> bool:
    """Whether a container's port is the same whatever the backends' default ports are."""
    return PORT in container.labels or len(container.tcp_ports) == 1


def port_of_container(
    container: Container, backend: str
) -> Found[int] | Refused | None:
    """Return the port that a container tells itself, None where it tells none.

    Labels and exposed ports are what they are for as long as it lives.
    """
    for label in (f"{BACKENDS}{backend}.port", PORT):
        text = container.labels.get(label)
        if text is not None:
            number = _integer(text, 1, _MAX_PORT)
            if number is None:
                return _bad_label(label, text, f"an integer from 1 to {_MAX_PORT}")
            return Found(number, f"label {label}")
    if len(container.tcp_ports) == 1:
        return Found(container.tcp_ports[0], "the only TCP port it exposes")
    return None


def default_port_of(
    container: Container, backend: str, context: Context
) -> Found[int] | Refused:
    """Return the port of a backend's endpoints where neither label nor image tells one.

    ``--backend-port``; else what the backend's free slots agree on, which is the port on
    their line; else that of ``--base-cfg``.
    """
    if backend in context.default_ports:
        how = f"backend {backend}'s default port by --backend-port"
        return Found(context.default_ports[backend], how)
    free = context.free_ports.get(backend, frozenset())
    if len(free) == 1:
        return Found(min(free), f"the port of backend {backend}'s free slots")
    if backend in context.file_ports:
        how = f"backend {backend}'s default port by --base-cfg"
        return Found(context.file_ports[backend], how)
    exposed = ", ".join(map(str, container.tcp_ports)) or "none"
    why = f"its port is not clear (exposed TCP ports: {exposed})"
    if free:
        several = ", ".join(map(str, sorted(free)))
        why = f"{why}, and the free slots of backend {backend} disagree ({several})"
    return Refused(
        Cause.NO_PORT,
        why,
        f"give label {PORT}, or the backend's default by --backend-port {backend}=PORT or "
        "--base-cfg",
    )


def weight_of(container: Container, backend: str) -> Found[int | None] | Refused:
    """Return the weight from a label, or None for the template's own."""
    for label in (f"{BACKENDS}{backend}.weight", WEIGHT):
        text = container.labels.get(label)
        if text is not None:
            number = _integer(text, 0, MAX_WEIGHT)
            if number is None:
                return _bad_label(label, text, f"an integer from 0 to {MAX_WEIGHT}")
            return Found(number, f"label {label}")
    return Found(None, "no label: the template's own")


def drain_of(container: Container) -> Found[float | None] | Refused:
    """Return for how many seconds its slot is kept for its sessions, None for the default.

    Label ``haproxy.drain``: ``45``, ``45s``, ``10m`` or ``2h``, at most a day.
    """
    text = container.labels.get(DRAIN)
    if text is None:
        return Found(None, "no label: as --drain-timeout says")
    found = _DURATION.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else MAX_DRAIN_SECONDS + 1
    if seconds > MAX_DRAIN_SECONDS:
        return _bad_label(DRAIN, text, "a time such as 45, 45s, 10m or 2h, at most 24h")
    return Found(float(seconds), f"label {DRAIN}")


def shuts_down(container: Container) -> Found[bool] | Refused:
    """Whether sessions that outlive the drain time are shut down; default no."""
    return _yes_or_no(container, DRAIN_SHUTDOWN, default=False)


def rotation_of(container: Container) -> Found[Rotation] | Refused:
    """Return whether the container should get traffic.

    Not before it runs, nor once its stop signal was sent; else as Docker's HEALTHCHECK says.
    """
    if container.is_starting and container.health is Health.NONE:
        return Found(Rotation.START, "it is about to start")
    if container.is_stopping:
        return Found(Rotation.STOP, "its stop signal was sent")
    match container.health:
        case Health.NONE:
            return Found(Rotation.READY, "it has no HEALTHCHECK and is running")
        case Health.HEALTHY:
            return Found(Rotation.READY, "its HEALTHCHECK passes")
        case Health.UNHEALTHY:
            return Found(Rotation.DRAIN, "its HEALTHCHECK fails")
        case Health.STARTING:
            return Refused(
                Cause.STARTING,
                "its HEALTHCHECK has not passed yet",
                "it waits until it has",
            )


def _integer(text: str, low: int, high: int) -> int | None:
    """Return a plain decimal integer in a range, else None: no signs, no spaces, no ٣."""
    if not _DECIMAL.fullmatch(text):
        return None
    number = int(text)
    return number if low <= number <= high else None


def _bad_label(label: str, text: str, accepted: str) -> Refused:
    return Refused(
        Cause.BAD_LABEL,
        f"label {quoted(label)} is {quoted(text)}",
        f"it must be {accepted}",
    )
