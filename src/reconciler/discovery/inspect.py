"""Docker's JSON in, :class:`Container` and :class:`EngineEvent` out. Pure.

One entry of a list and one inspect of the same container give the same value, so that a
resync corrects only what really changed. Sources: Docker Engine API, ``ContainerList``,
``ContainerInspect`` and ``SystemEvents``.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import re
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from reconciler.core.membership import COUNTED, IMAGE, SERVICE, needless_labels
from reconciler.core.model import Attachment, Container, Health, StopRule
from reconciler.errors import DiscoveryError, quoted
from reconciler.ports import EVENT_ACTIONS


T = TypeVar("T")

Json = Mapping[str, Any]

_RUNNING_STATES = frozenset({"running", "paused"})
_HEALTH_IN_STATUS = (
    ("(healthy)", Health.HEALTHY),
    ("(unhealthy)", Health.UNHEALTHY),
    ("(health: starting)", Health.STARTING),
)


_OTHER_SHAPE = (
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
)
"""What reading JSON of another shape raises."""


def read_as(read: Callable[[Json], T], document: Json) -> T:
    """Return what ``read`` makes of a document. Raises DiscoveryError for another shape."""
    try:
        return read(document)
    except _OTHER_SHAPE as error:
        raise DiscoveryError(
            f"docker described something in an unknown form: {quoted(document)} "
            f"({quoted(error)}); is that a docker engine?"
        ) from error


def container_from_list(entry: Json, keep: Collection[str] = ()) -> Container:
    """Return the container of one entry of ``GET /containers/json``.

    ``keep`` are labels that count beside those that always do.

    Raises DiscoveryError where the entry has no id, or is not what the API describes: then
    nothing of it can be trusted.
    """
    return read_as(lambda document: _from_list(document, keep), entry)


def _from_list(entry: Json, keep: Collection[str]) -> Container:
    state = str(entry.get("State") or "")
    image = _image(entry.get("ImageID"))
    return Container(
        id=_id(entry),
        name=_own_name(entry.get("Names") or ()),
        labels=kept_labels(entry.get("Labels"), keep, image=image),
        is_running=state in _RUNNING_STATES,
        is_paused=state == "paused",
        # A paused container's status does not show its health: "Up 2 seconds (Paused)".
        health=_health_in_status(str(entry.get("Status") or "")),
        network_mode=str((entry.get("HostConfig") or {}).get("NetworkMode") or ""),
        networks=_attachments(entry.get("NetworkSettings")),
        tcp_ports=_ports_from_list(entry.get("Ports") or ()),
        created=float(entry.get("Created") or 0),
        image=image,
    )


def container_from_inspect(document: Json, keep: Collection[str] = ()) -> Container:
    """Return the container of ``GET /containers/{id}/json``. Raises DiscoveryError."""
    return read_as(lambda one: _from_inspect(one, keep), document)


def _from_inspect(document: Json, keep: Collection[str]) -> Container:
    state = document.get("State") or {}
    status = str(state.get("Status") or "")
    image = _image(document.get("Image"))
    labels = (document.get("Config") or {}).get("Labels")
    kept = kept_labels(labels, keep, image=image)
    settings = document.get("NetworkSettings") or {}
    # A list does not tell a paused container's health, so neither does this.
    is_paused = status == "paused"
    health = "" if is_paused else str((state.get("Health") or {}).get("Status") or "")
    ports = settings.get("Ports") or {}
    if status == "created":
        # What will be so once it runs.
        health, ports = _health_at_first(document), _ports_at_first(document)
    return Container(
        id=_id(document),
        name=str(document.get("Name") or "").removeprefix("/"),
        labels=kept,
        is_running=status in _RUNNING_STATES,
        is_paused=is_paused,
        health=_health(health),
        network_mode=str((document.get("HostConfig") or {}).get("NetworkMode") or ""),
        networks=_attachments(settings),
        tcp_ports=_ports_from_inspect(ports),
        # To the second, which is all that a list tells.
        created=unix_seconds(str(document.get("Created") or "")[:19]),
        image=image,
        answers_to_service=IMAGE in kept and _answers(settings, kept.get(SERVICE)),
        stop=_stop_rule(document.get("Config") or {}),
        started=unix_seconds(str(state.get("StartedAt") or "")),
    )


def _health_at_first(document: Json) -> str:
    """Return the health that a container which never ran will start with."""
    test = ((document.get("Config") or {}).get("Healthcheck") or {}).get("Test") or ()
    return Health.STARTING.value if test and test[0] != "NONE" else ""


def _ports_at_first(document: Json) -> set[str]:
    """Return the ports that a container which never ran will expose: ``{"80/tcp"}``."""
    exposed = (document.get("Config") or {}).get("ExposedPorts") or {}
    bound = (document.get("HostConfig") or {}).get("PortBindings") or {}
    return {*exposed, *bound}


def addresses_on_network(document: Json, container_id: str) -> tuple[str, str] | None:
    """Return the IPv4 and IPv6 address of a container by ``GET /networks/{id}``.

    None where it is not attached, '' for an address that it does not have. Raises
    DiscoveryError for what describes no network.
    """
    return read_as(lambda one: _addresses(one, container_id), document)


def _addresses(document: Json, container_id: str) -> tuple[str, str] | None:
    endpoint = (document.get("Containers") or {}).get(container_id)
    if endpoint is None:
        return None
    both = (str(endpoint.get(key) or "") for key in ("IPv4Address", "IPv6Address"))
    ipv4, ipv6 = (text.partition("/")[0] for text in both)
    return ipv4, ipv6


def _stop_rule(config: Json) -> StopRule:
    """Return how it is stopped; what is absent or unreadable is Docker's default."""
    usual = StopRule()
    number = signal_number(str(config.get("StopSignal") or ""))
    seconds = config.get("StopTimeout")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        seconds = usual.timeout_seconds
    return StopRule(
        signal=usual.signal if number is None else number,
        # -1 waits for ever: a day is as long as anybody looks.
        timeout_seconds=float(seconds if seconds >= 0 else _FOR_EVER_SECONDS),
    )


_FOR_EVER_SECONDS = 86400
_FIRST_REAL_TIME, _LAST_REAL_TIME = 34, 64
"""As the engine counts them, on Linux. Where we run, a C library may count from 35."""

_REAL_TIME_SIGNAL = re.compile(r"RT(MIN|MAX)(?:([+-])([0-9]{1,2}))?", re.ASCII)


@lru_cache(maxsize=256)
def signal_number(text: str) -> int | None:
    """Return the number of a signal as Docker writes it, None where it is none.

    Known are ``15``, ``SIGTERM``, ``TERM`` and ``SIGRTMIN+3``, in any case.
    """
    if text.isascii() and text.isdigit():
        return int(text[:4])
    name = text.upper().removeprefix("SIG")
    if found := _REAL_TIME_SIGNAL.fullmatch(name):
        base = _FIRST_REAL_TIME if found[1] == "MIN" else _LAST_REAL_TIME
        return base + int((found[2] or "+") + (found[3] or "0"))
    known = signal.Signals.__members__.get(f"SIG{name}")
    return None if known is None else int(known)


def _id(document: Json) -> str:
    found = document.get("Id")
    if not isinstance(found, str) or not found:
        raise DiscoveryError(
            f"docker described a container without an id: {quoted(document)}"
        )
    return found


def _own_name(names: Iterable[str]) -> str:
    """Return the container's own name among its own and its legacy link aliases."""
    own = [name[1:] for name in names if name.count("/") == 1 and name[0] == "/"]
    return min(own, default="")


_PREFIX = "haproxy."


def kept_labels(
    labels: Any,  # noqa: ANN401 - it is JSON
    keep: Collection[str] = (),
    *,
    image: str = "",
) -> Mapping[str, str]:
    """Return those labels that mean something here, and those to ``keep``.

    ``image`` is the id of the container's image. A container has a dozen labels more, and
    there may be thousands of containers.
    """
    kept = {
        sys.intern(name): sys.intern(str(value))
        for key, value in (labels or {}).items()
        if (name := str(key)) in COUNTED or name.startswith(_PREFIX) or name in keep
    }
    needless = needless_labels(kept, image)
    if not needless:
        return kept
    # Anew: a dict that was larger stays large.
    return {k: v for k, v in kept.items() if k not in needless or k in keep}


def _image(found: Any) -> str:  # noqa: ANN401 - it is JSON
    """Return an image's id as every engine's way of telling it has it."""
    return sys.intern(str(found or "").removeprefix("sha256:"))


def _answers(settings: Json, service: str | None) -> bool:
    """Whether some network knows a container by this name."""
    networks = (settings.get("Networks") or {}).values()
    return any(service in ((one or {}).get("Aliases") or ()) for one in networks)


def _health(text: str) -> Health:
    try:
        return Health(text)
    except ValueError:
        return Health.NONE


def _health_in_status(status: str) -> Health:
    """Read health where a list has it: "Up 3 minutes (healthy)"."""
    for marker, health in _HEALTH_IN_STATUS:
        if status.endswith(marker):
            return health
    return Health.NONE


def _attachments(settings: Json | None) -> tuple[Attachment, ...]:
    networks = (settings or {}).get("Networks") or {}
    return tuple(
        Attachment(
            network=name,
            ipv4=str((endpoint or {}).get("IPAddress") or ""),
            ipv6=str((endpoint or {}).get("GlobalIPv6Address") or ""),
        )
        for name, endpoint in sorted(networks.items())
    )


def _ports_from_list(ports: Iterable[Json]) -> tuple[int, ...]:
    found = {int(p["PrivatePort"]) for p in ports if p.get("Type", "tcp") == "tcp"}
    return tuple(sorted(found))


def _ports_from_inspect(ports: Iterable[str]) -> tuple[int, ...]:
    split = [key.partition("/") for key in ports]
    found = {int(p) for p, _, kind in split if kind == "tcp" and p.isdecimal()}
    return tuple(sorted(found))


def unix_seconds(text: str) -> float:
    """Read an RFC 3339 time to the microsecond; 0 where it is none."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def clock_from_info(document: Json) -> float:
    """Return the engine's clock in Unix seconds (``GET /info``); 0 where it is unreadable.

    The engine writes its own local time, with the offset of its time zone.
    """
    return unix_seconds(str(document.get("SystemTime") or ""))


class Effect(enum.Enum):
    """What an event means for one container."""

    LOOK = "look"
    """Something about it changed: inspect it."""
    GONE = "gone"
    """It does not run any more, whatever else is true."""
    SIGNAL = "signal"
    """It was sent a signal: its stop signal, perhaps."""
    BORN = "born"
    """It was created, and does not run yet."""


class EngineEvent(NamedTuple):
    """One event that concerns one container. There are many, and each is soon over."""

    container_id: str
    action: str
    effect: Effect
    at: float
    """Unix seconds by the engine's clock (``timeNano``)."""
    signal: int | None = None
    """Which signal it was sent (``kill``), None where that cannot be read."""
    network_id: str = ""
    """Which network it was attached to (``connect``), or detached from."""


EVENT_FILTERS: Mapping[str, list[str]] = {
    "type": ["container", "network"],
    "event": list(EVENT_ACTIONS),
}
"""What to subscribe to."""

_EFFECTS = {
    "create": Effect.BORN,
    "die": Effect.GONE,
    "destroy": Effect.GONE,
    "kill": Effect.SIGNAL,
}


def event_from(document: Json) -> EngineEvent | None:
    """Return what an event of ``GET /events`` says of a container, None if nothing.

    Raises DiscoveryError for what is no event at all.
    """
    return read_as(_event, document)


_ARRIVAL = re.compile(
    rb'"Action":"(?:(?P<born>create)|connect)"(?:.*"container":"(?P<id>[0-9a-f]{64})")?'
)


def arrival_of_line(line: bytes) -> tuple[str, str] | None:
    """Return the action and the container of a line that tells of one before its start.

    By its text alone, as the engine writes it; the container is '' at its creation. None
    for every other line, and for one that is written in another way.
    """
    found = _ARRIVAL.search(line)
    if found is None:
        return None
    if found["born"]:
        return "create", ""
    return ("connect", found["id"].decode()) if found["id"] else None


def event_of_line(line: bytes) -> EngineEvent | None:
    """Return the event of one line of ``GET /events``, None for what is none or unreadable."""
    return read_line(event_from, line)


def read_line(read: Callable[[Json], T | None], line: bytes) -> T | None:
    """Return what ``read`` makes of one line of JSON, None for what is unreadable."""
    try:
        document = json.loads(str(line, "utf-8"))
        return read(document) if isinstance(document, dict) else None
    except (DiscoveryError, ValueError):
        return None


def _event(document: Json) -> EngineEvent | None:
    kind, action = document.get("Type"), str(document.get("Action") or "")
    actor = document.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    verb = action.partition(":")[0]
    if verb not in EVENT_ACTIONS:
        return None
    network_id = ""
    if kind == "network":
        network_id = str(actor.get("ID") or "")
        container_id = str(attributes.get("container") or "")
    elif kind == "container":
        container_id = str(actor.get("ID") or document.get("id") or "")
    else:
        return None
    if not container_id:
        return None
    effect = _EFFECTS.get(verb, Effect.LOOK)
    number = None
    if effect is Effect.SIGNAL:
        number = signal_number(str(attributes.get("signal") or ""))
    return EngineEvent(
        container_id=container_id,
        action=action,
        effect=effect,
        at=_event_time(document),
        signal=number,
        network_id=network_id,
    )


def _event_time(document: Json) -> float:
    nanoseconds = document.get("timeNano")
    if isinstance(nanoseconds, int):
        return nanoseconds / 1e9
    return float(document.get("time") or 0)
