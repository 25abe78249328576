"""The values that flow through the reconciler. Frozen, comparable, free of I/O.

Docker's side: :class:`Container` → :class:`Endpoint` or :class:`Unplaced` → :class:`Desired`.
HAProxy's side: :class:`Server` → :class:`Observed`. Between them: :class:`Plan`, a tuple of
actions. Text of the runtime API appears nowhere here.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from reconciler.core.membership import Identity, identity_of, is_task


RELEASED_ADDRESS = "127.255.255.254"
"""What releasing a slot writes. Loopback, so a mistake can reach nobody; and not 0.0.0.0,
which HAProxy takes for the address the client dialled, that is: for itself."""

LET_GO_ADDRESS = "127.255.255.253"
"""What is written instead where the tenant still ran and was not given another slot: so that
``--max-release`` counts it, whoever looks next (docs/decisions/0035)."""

MOVED_ADDRESS = "127.255.255.252"
"""The same where the tenant still ran, and was given another slot of the backend."""

RELEASED_ADDRESSES = frozenset({RELEASED_ADDRESS, LET_GO_ADDRESS, MOVED_ADDRESS})

UNKNOWN_PORT = 0
"""The port that goes with them where the template's is not known. HAProxy takes it for *none*,
and nobody can mistake a former tenant's port for the template's."""

MAX_WEIGHT = 256
"""The heaviest weight HAProxy knows (configuration manual 5.2, ``weight``)."""

_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?", re.ASCII)
_CANONICAL_IPV4 = re.compile(
    r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!\Z)|\Z)){4}", re.ASCII
)
_PLACEHOLDER_NETWORK = "127.255.255."
_UNSET_ADDRESSES = frozenset({"0.0.0.0", "::", "-", ""})  # noqa: S104 - compared, never bound


class AdminState(enum.Enum):
    """What an administrator asked of a server (management manual, ``set server … state``)."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


class Agent(enum.Enum):
    """The auxiliary agent check of a server (configuration manual 5.2, ``agent-check``)."""

    NONE = "none"
    """Its line has none."""
    ACTIVE = "active"
    """It is asked, and what it answers sets the weight and the admin state."""
    SILENCED = "silenced"
    """It is not asked at the moment (management manual, ``disable agent``)."""


class ServerRef(NamedTuple):
    """The name of a server: ``backend/server``. Sorts by backend, then by name."""

    backend: str
    server: str

    def __str__(self) -> str:
        return f"{self.backend}/{self.server}"


Place = tuple[str, int]
"""Address and port: what makes a slot somebody's in its backend."""

ANY_PORT = 0
"""In a place that is looked for: whatever the port."""


def is_placeholder(address: str) -> bool:
    """Whether an address stands for *no tenant*: 0.0.0.0, ::, or any of 127.255.255.0/24."""
    return address in _UNSET_ADDRESSES or address.startswith(_PLACEHOLDER_NETWORK)


def canonical_address(text: str) -> str:
    """Return an IPv4 or IPv6 address in its one canonical spelling.

    Raises ValueError for anything else: a host name, a port, a scope id, white space.
    HAProxy and Docker both print canonical text, so equal addresses are equal strings.
    """
    # Ten times as fast as what follows, for most of the addresses there are.
    if _CANONICAL_IPV4.fullmatch(text):
        return text
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError(f"{text!r} has a scope id")
    return str(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server line as HAProxy reports it (``show servers state``, one row).

    Every number is HAProxy's own. ``last_change`` is in seconds on the reader's monotonic
    clock, None where HAProxy's figure is meaningless (never changed since boot);
    ``connections`` is the number of connections in use, None where it was not read.
    """

    ref: ServerRef
    backend_id: int
    server_id: int
    address: str
    port: int
    admin: AdminState
    is_up: bool
    weight: int
    initial_weight: int
    has_check: bool
    last_change: float | None = None
    connections: int | None = None
    out_since: float | None = None
    """When it left rotation, on the same clock, as far as *we* know: HAProxy dates a maint,
    but since 2.8 no drain. None: in rotation, or not known."""
    agent: Agent = Agent.NONE
    is_checked_elsewhere: bool = False
    """Its own row tells that its check is no connect to its address and port alone: it goes
    to another one, or the server speaks TLS, as its check does then."""

    @property
    def is_free(self) -> bool:
        """Whether nobody lives here: in maint at a placeholder address."""
        return self.admin is AdminState.MAINT and is_placeholder(self.address)

    @property
    def is_signed(self) -> bool:
        """Whether it bears our own sign: if it is out of rotation, we took it out.

        The sign is weight 0 (docs/decisions/0005). An agent may set any weight at any time, so
        with one the sign is that it is silenced (docs/decisions/0038).
        """
        if self.agent is Agent.NONE:
            return self.weight == 0
        return self.agent is Agent.SILENCED


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Which HAProxy worker answered (``show info``). Another value is another process."""

    version: str
    pid: int
    start_time: int
    """Unix seconds at which this worker started."""
    is_stopping: bool
    """The worker is an old one that a reload left behind: its table is no longer used."""
    name: str = ""

    def is_same(self, other: Process | None) -> bool:
        """Whether two readings are of one HAProxy worker."""
        if other is None:
            return False
        return (self.pid, self.start_time) == (other.pid, other.start_time)

    @property
    def release(self) -> tuple[int, int, int]:
        """The numeric version, for example (2, 6, 12); zeros where it is unreadable."""
        return _release_of(self.version)


@lru_cache(maxsize=64)
def _release_of(version: str) -> tuple[int, int, int]:
    found = _RELEASE.match(version)
    if found is None:
        return (0, 0, 0)
    major, minor, patch = found.groups(default="0")
    return (int(major), int(minor), int(patch))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One reading of one HAProxy: its process and every server it has.

    ``backends`` maps a backend's name to its servers by name, managed or not. A backend
    that was not read is absent, which never means that it is empty.
    """

    process: Process
    backends: Mapping[str, Mapping[str, Server]]
    parts: frozenset[str] = frozenset()
    """Backends of which only some servers are here."""
    template_ports: Mapping[str, int] = field(default_factory=dict)
    """The port that the slots of a backend began with, where it is known."""

    def servers(self) -> list[Server]:
        """Return every server, in HAProxy's order."""
        return [
            server for servers in self.backends.values() for server in servers.values()
        ]


class Health(enum.Enum):
    """Docker's HEALTHCHECK verdict (Docker API, ``State.Health.Status``)."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One network a container is attached to, with its addresses ('' where it has none)."""

    network: str
    ipv4: str = ""
    ipv6: str = ""


class StopRule(NamedTuple):
    """How a container is asked to stop (Docker API, ``Config.StopSignal``, ``StopTimeout``)."""

    signal: int = 15
    """The number of its stop signal."""
    timeout_seconds: float = 10.0
    """How long the engine waits after it, before it kills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What Docker says of one container, as far as placing it needs.

    Read from one entry of ``GET /containers/json`` or from ``GET /containers/{id}/json``:
    both give the same value for the same container. Label text is kept raw and untrusted.
    ``is_stopping`` (its stop signal was sent, and it has not ended) is in neither, nor is
    ``is_starting`` (it does not run yet, and has the address that it will have): only events
    tell.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    is_running: bool
    is_paused: bool = False
    health: Health = Health.NONE
    network_mode: str = ""
    networks: tuple[Attachment, ...] = ()
    tcp_ports: tuple[int, ...] = ()
    created: float = 0.0
    """Unix seconds at which the container was created."""
    image: str = ""
    """The id of its image, without ``sha256:``; '' where that was not told."""
    answers_to_service: bool = False
    """Whether some network knows it by its Compose service's name. Asked for only where
    ``image`` is not the one that its labels tell: then an inspect tells."""
    is_stopping: bool = False
    is_starting: bool = False
    stop: StopRule | None = field(default=None, compare=False)
    """Told by an inspect only, and never different for one container: None where it was
    only listed, which makes it no other container."""
    started: float = field(default=0.0, compare=False)
    """Unix seconds at which its present life began; 0 where it was only listed."""

    identity: Identity = field(init=False, repr=False, compare=False)
    """What it goes by, and who says so: it follows from the rest."""

    def __post_init__(self) -> None:
        """Look once at what is asked for many times."""
        identity = identity_of(
            self.labels,
            self.name,
            self.image,
            answers_to_service=self.answers_to_service,
        )
        object.__setattr__(self, "identity", identity)

    @property
    def project(self) -> str | None:
        """The Compose project, or the stack, None where there is neither."""
        return self.identity.project

    @property
    def service(self) -> str | None:
        """The Compose service, or the Swarm service, None where there is neither."""
        return self.identity.service

    @property
    def is_task(self) -> bool:
        """Whether it is a Swarm's task, and no copy of one."""
        return is_task(self.labels, self.name)


class Rotation(enum.Enum):
    """What an endpoint should be in: traffic, or out of it while it keeps its slot."""

    READY = "ready"
    DRAIN = "drain"
    """Unhealthy: no new sessions until it is healthy again."""
    STOP = "stop"
    """Its stop signal was sent: no new sessions, it is about to go."""
    START = "start"
    """It is about to run: a slot that nobody needs gets its address, and no traffic."""

    @property
    def may_come(self) -> bool:
        """Whether an endpoint that has no slot may get one."""
        return self in (Rotation.READY, Rotation.START)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Who is behind an endpoint, for people and logs. Never part of a decision."""

    container_id: str
    container: str
    service: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A live container's address that should have a slot in one backend.

    ``weight`` None means the template's own. ``is_healthy`` says that Docker's own health
    check passed, so HAProxy need not wait for its first check. ``since`` (Unix seconds)
    orders endpoints that wait for a slot.
    """

    backend: str
    address: str
    port: int
    tenant: Tenant
    weight: int | None = None
    rotation: Rotation = Rotation.READY
    is_healthy: bool = False
    since: float = 0.0
    drain_seconds: float | None = None
    """How long its slot is kept for its sessions once it is out; None: as the rules say."""
    drain_shutdown: bool = False
    """Whether sessions still open after that are shut down."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes an endpoint the same endpoint: backend, address, port."""
        return (self.backend, self.address, self.port)

    def unplaced(self, cause: Cause, reason: str, *, mend: str = "") -> Unplaced:
        """Return this endpoint as one that has no slot.

        ``reason`` is without the mend, which is put behind it.
        """
        return Unplaced(
            backend=self.backend,
            tenant=self.tenant,
            cause=cause,
            reason=with_mend(reason, mend),
            mend=mend,
            address=self.address,
            port=self.port,
        )


class Cause(enum.Enum):
    """Why an endpoint or a container has no slot: a small fixed set, fit for a metric label."""

    NO_SLOT = "no_slot"
    SLOT_BUSY = "slot_busy"
    UNHEALTHY = "unhealthy"
    STARTING = "starting"
    STOPPING = "stopping"
    BAD_LABEL = "bad_label"
    UNKNOWN_BACKEND = "unknown_backend"
    NO_PORT = "no_port"
    NO_ADDRESS = "no_address"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """A container that wants to be in a backend and is not, with the reason."""

    backend: str | None
    tenant: Tenant
    cause: Cause
    reason: str
    """The whole sentence, the mend included."""
    address: str | None = None
    port: int | None = None
    mend: str = ""
    """How to have it placed: what the reason ends with, '' where it tells none."""

    @property
    def why(self) -> str:
        """The reason without the mend."""
        return self.reason.removesuffix(f": {self.mend}") if self.mend else self.reason


def with_mend(why: str, mend: str) -> str:
    """Return a reason as one sentence: what is so, and what to change."""
    return f"{why}: {mend}" if mend else why


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """Who lives in a slot that no endpoint asks for: a container that runs, and why not.

    A container that has ended is nobody: its end explains why its slot is released. But one
    may run on, at the address that its slot has, and not be asked for any more, or not there.
    """

    endpoint: Endpoint
    """What it is there: the slot's own place, the container's rotation and weight."""
    is_unclear: bool
    """Where it should live has become unclear; the container itself is as it was."""
    has_moved: bool
    """It is asked for in this backend, at another place."""
    why: str
    mend: str


class Residents(Protocol):
    """Tells who lives in slots that no endpoint asks for."""

    def at(self, backend: str, address: str, port: int) -> Resident | None:
        """Return who lives at a place and belongs into a backend, None where nobody does."""


class Nobody:
    """Nobody lives where no endpoint asks for it."""

    def at(self, backend: str, address: str, port: int) -> Resident | None:
        """Return None."""


NOBODY = Nobody()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What one HAProxy should look like: endpoints by backend, and who stays out and why."""

    endpoints: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    unplaced: tuple[Unplaced, ...] = ()
    generation: int = 0
    residents: Residents = field(default=NOBODY, compare=False, repr=False)

    def all_endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of all backends."""
        return tuple(one for found in self.endpoints.values() for one in found)


@dataclass(frozen=True, slots=True)
class SetState:
    """Put a server in ready, drain or maint."""

    ref: ServerRef
    state: AdminState


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Give a server a runtime weight, 0 to 256."""

    ref: ServerRef
    weight: int


@dataclass(frozen=True, slots=True)
class SetAddress:
    """Give a server an address, and a port unless None."""

    ref: ServerRef
    address: str
    port: int | None


@dataclass(frozen=True, slots=True)
class ConfirmAddress:
    """Read back until HAProxy reports this address and port. Changes nothing.

    Since 2.9 HAProxy applies an address later than it answers (docs/decisions/0010).
    ``before`` is the address that may show until then ('' where nobody knows); any third
    one means that somebody else writes here too.
    """

    ref: ServerRef
    address: str
    port: int | None
    before: str = ""


@dataclass(frozen=True, slots=True)
class SetHealthDown:
    """Make HAProxy's own check start from *down*, so that it must pass before traffic."""

    ref: ServerRef


@dataclass(frozen=True, slots=True)
class SetHealthUp:
    """Tell HAProxy that a check would pass now; its own checks go on from there."""

    ref: ServerRef


@dataclass(frozen=True, slots=True)
class SetAgent:
    """Have a server's agent asked, or not (management manual, ``enable agent``)."""

    ref: ServerRef
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class ShutdownSessions:
    """Close every session a server has (management manual, ``shutdown sessions server``)."""

    ref: ServerRef


Action = (
    SetState
    | SetWeight
    | SetAddress
    | ConfirmAddress
    | SetHealthDown
    | SetHealthUp
    | SetAgent
    | ShutdownSessions
)


class Change(NamedTuple):
    """One line for people: what a plan means for one slot."""

    kind: str
    """``prepare``, ``assign``, ``finish``, ``release``, ``drain``, ``shutdown``, ``ready`` or
    ``weight``."""
    ref: ServerRef
    address: str
    port: int | None
    tenant: Tenant | None
    reason: str

    @property
    def is_preparing(self) -> bool:
        """Whether it is before a start: nobody is in rotation by that, or out of it."""
        return self.kind == "prepare"


class KeptFor(enum.Enum):
    """Why a tenant keeps its slot though nobody asks for it: fit for a metric label."""

    UNCLEAR = "unclear"
    """Where it should live has become unclear."""
    LIMIT = "limit"
    """More would be released at once than ``--max-release`` lets go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A tenant that keeps its slot though no endpoint asks for it."""

    ref: ServerRef
    endpoint: Endpoint
    cause: KeptFor
    why: str
    mend: str

    @property
    def reason(self) -> str:
        """The whole sentence."""
        return with_mend(self.why, self.mend)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, in phases. All of a phase is answered before the next one is sent.

    A refused action ends what is planned for its slot in later phases, and nothing else.
    """

    phases: tuple[tuple[Action, ...], ...] = ()
    changes: tuple[Change, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    kept: tuple[Kept, ...] = ()
    """Who keeps a slot though nobody asks for it."""
    wants_connections: frozenset[str] = frozenset()
    """Backends where more could be done if the connections in use were known."""
    wants_whole: frozenset[str] = frozenset()
    """Backends of which all servers have to be known before some of them are released."""
    due: Mapping[str, float] = field(default_factory=dict)
    """When (on the observer's clock) the time alone changes the plan of a backend."""

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions, in order."""
        return tuple(action for phase in self.phases for action in phase)

    @property
    def is_empty(self) -> bool:
        """Whether observed already satisfies desired as far as it can."""
        return not any(self.phases)
