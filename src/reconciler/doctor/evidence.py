"""Everything that was read for ``check``, as values: what the judgements look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.config import Settings
from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import NO_FACTS, Cfg, CfgFile
from reconciler.core.model import Container, Server, ServerRef
from reconciler.core.plan import backends_with_slots, slots_of
from reconciler.errors import RuntimeSocketError
from reconciler.haproxy.replies import Stat
from reconciler.inquiry import ProxyWorld, World


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFile:
    """A unix socket as its folder shows it, and what came of opening it."""

    path: str
    error: int | None = None
    """The errno of opening it, None where that went well."""
    group: int | None = None
    """The number of its group; None where we may not look."""
    mode: int | None = None
    """Its permission bits."""
    is_mounted: bool = False
    """The file itself was mounted here, not its folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerReading:
    """What the engine let us ask. ``name`` is it as the operator wrote it."""

    name: str
    socket: SocketFile | None = None
    """None where it is reached over a network."""
    version: str = ""
    api_version: str = ""
    refusals: Mapping[str, str] = field(default_factory=dict)
    """Requests that were not answered, as on the allow-list, and what was said instead."""
    started: Mapping[str, float] = field(default_factory=dict)
    """For how many seconds a container whose health check is starting has run, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyReading:
    """One HAProxy: what the commands that look read of it, and what only ``check`` asks."""

    world: ProxyWorld
    socket: SocketFile | None = None
    """None where it is reached by TCP."""
    values: Mapping[str, str] = field(default_factory=dict)
    """``show info``, every line by its name."""
    stats: tuple[Stat, ...] = ()
    level: str = ""
    """What ``show cli level`` answered, '' where it did not."""
    refusal: RuntimeSocketError | None = None
    """Why it would not change a server, None where it would."""
    check_places: Mapping[ServerRef, tuple[str, int]] = field(default_factory=dict)
    """Where the lines of servers send their checks, '' and 0 for what they do not name."""
    facts: Facts = NO_FACTS
    """What it tells of itself that conditions of its configuration ask for."""

    @property
    def name(self) -> str:
        """The runtime socket as the operator wrote it."""
        return self.world.name

    @property
    def tables(self) -> Mapping[str, Mapping[str, Server]]:
        """Its servers by backend and name."""
        observed = self.world.observed
        return {} if observed is None else observed.backends

    def slots(self, prefix: str) -> dict[str, list[Server]]:
        """Return the slots of each backend that has any."""
        return {
            backend: slots_of(servers.values(), prefix)
            for backend, servers in self.tables.items()
            if backends_with_slots({backend: servers}, prefix)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonReading:
    """What answered at ``--listen``."""

    place: str
    error: str = ""
    """Why nothing that is ours answered."""
    is_there: bool = False
    """Something listens there."""
    version: str = ""
    is_ready: bool = False
    troubles: tuple[str, ...] = ()
    haproxies: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    """Those of them that are about to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it."""

    settings: Settings
    world: World
    docker: DockerReading
    proxies: tuple[ProxyReading, ...] = ()
    base_cfg: tuple[CfgFile, ...] = ()
    """The files of ``--base-cfg``; none where none was given or one cannot be read."""
    base_cfg_error: str = ""
    ways: tuple[Cfg, ...] = ()
    """The same, as sections: in each way that one of the HAProxies may read it."""
    daemon: DaemonReading | None = None
    """None with ``--listen off``."""
    own_id: str | None = None
    """The id of the container we run in, as far as we can tell."""
    own: Container | None = None
    """That container, where the engine knows it."""

    @property
    def knows_docker(self) -> bool:
        """Whether the running containers could be listed."""
        return self.world.engine_error is None

    @property
    def is_admin(self) -> bool:
        """Whether every HAProxy that answered lets its servers be changed; and one did."""
        read = [one for one in self.proxies if one.world.observed is not None]
        return bool(read) and all(one.refusal is None for one in read)

    @property
    def releases(self) -> list[tuple[int, int, int]]:
        """The releases of the HAProxies that answered, the oldest first."""
        seen = (one.world.observed for one in self.proxies)
        return sorted(one.process.release for one in seen if one is not None)

    def section_of(self, proxy: ProxyReading, backend: str) -> str:
        """Return a backend's heading: with its HAProxy's name where there are several."""
        several = len(self.proxies) > 1
        return f"backend {backend} ({proxy.name})" if several else f"backend {backend}"
