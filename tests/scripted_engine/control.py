"""What tests and the demo do to the scripted engine: run, stop, kill, pause, rename …

Every verb changes the model and emits the events the real engine emits, in its order
(recorded from 20.10). Everything is synchronous: when a verb returns, its events have been
written to every open stream.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Unpack

from tests.scripted_engine.clock import Clock
from tests.scripted_engine.events import EventLog
from tests.scripted_engine.model import (
    ID_DIGITS,
    Addresses,
    Network,
    Options,
    ScriptedContainer,
    digest,
    loopback_address,
    port_names,
)


DEFAULT_NETWORK = "demo_default"
SIGTERM = 15
SIGKILL = 9


class NoSuchContainerError(LookupError):
    """No container has that id, id prefix or name."""


class Control:
    """The containers of one scripted engine, and the verbs on them.

    A container is given to a verb as itself, by name, by id or by an id prefix.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.events = EventLog(self.clock)
        self.networks: dict[str, Network] = {}
        self._by_id: dict[str, ScriptedContainer] = {}
        self._by_name: dict[str, ScriptedContainer] = {}
        self._made = 0
        self._addressed = 0
        self.lists_less = False
        """Whether lists tell less than inspects do, as Podman's: no health, ports, networks."""
        self.unlisted: set[str] = set()
        """Who is in no list yet, by id: an engine may lag behind its own events."""

    @property
    def containers(self) -> list[ScriptedContainer]:
        """Every container, the newest first, as the engine lists them."""
        return list(reversed(self._by_id.values()))

    def containers_like(self, ids: Collection[str] | None) -> list[ScriptedContainer]:
        """Return the containers that may match ids or id prefixes, the newest first.

        Whole ids are looked up: a hundred of them among 10,000 containers are soon found.
        """
        if ids is None or any(len(each) != ID_DIGITS for each in ids):
            return self.containers
        found = [self._by_id[each] for each in ids if each in self._by_id]
        return sorted(found, key=lambda each: each.number, reverse=True)

    def find(self, ref: str | ScriptedContainer) -> ScriptedContainer:
        """Return the container of that name, id or unique id prefix.

        Raises NoSuchContainerError.
        """
        key = ref.id if isinstance(ref, ScriptedContainer) else ref.lstrip("/")
        found = self._by_id.get(key) or self._by_name.get(key)
        if found is not None:
            return found
        matching = [each for id_, each in self._by_id.items() if id_.startswith(key)]
        if not key or len(matching) != 1:
            raise NoSuchContainerError(key)
        return matching[0]

    def network(self, name: str, driver: str = "bridge") -> Network:
        """Return the network of that name, made if it is new."""
        return self.networks.setdefault(name, Network(name, driver))

    def create(self, name: str, **options: Unpack[Options]) -> ScriptedContainer:
        """Make a container that does not run yet; see ``Options``.

        Raises ValueError where the name is taken.
        """
        if name in self._by_name:
            raise ValueError(f"the container name {name!r} is taken")
        networks = options.get("networks")
        if networks is None:
            address = options.get("address") or self.next_address()
            networks = {DEFAULT_NETWORK: address}
        self._made += 1
        container = ScriptedContainer(
            id=digest("container", self._made, name),
            number=self._made,
            name=name,
            image=options.get("image", "scripted:1"),
            labels=dict(options.get("labels", {})),
            created_ns=self.clock.now_ns(),
            ports=port_names(options.get("ports", (8000,))),
            published=dict(options.get("published", {})),
            networks={each: _addresses(given) for each, given in networks.items()},
            network_mode=options.get("network_mode", next(iter(networks), "none")),
            health=options.get("health"),
            stop_signal=options.get("stop_signal", ""),
            stop_timeout=options.get("stop_timeout"),
            aliases=tuple(options.get("aliases", ())),
        )
        for network in container.networks:
            self.network(network, "host" if network == "host" else "bridge")
        self._by_id[container.id] = self._by_name[name] = container
        self._emit(container, "create")
        return container

    def begin(
        self, ref: str | ScriptedContainer, *, health: str | None = None
    ) -> ScriptedContainer:
        """Start a created or stopped container: network connects, then ``start``."""
        container = self.find(ref)
        if not container.is_attached:
            self.attach(container)
        container.is_attached = False
        container.state, container.exit_code = "running", 0
        container.started_ns = self.clock.now_ns()
        if container.health is not None:
            container.health = health or "starting"
        self._emit(container, "start")
        return container

    def attach(self, ref: str | ScriptedContainer) -> ScriptedContainer:
        """Begin to start a container: it is connected to its networks, and no more."""
        container = self.find(ref)
        container.is_attached = True
        for network in container.networks:
            self._emit_network(container, network, "connect")
        return container

    def fail_to_start(self, ref: str | ScriptedContainer) -> None:
        """Give up a start that was begun: it is taken off its networks."""
        container = self.find(ref)
        container.is_attached = False
        for network in container.networks:
            self._emit_network(container, network, "disconnect")

    def run(self, name: str, **options: Unpack[Options]) -> ScriptedContainer:
        """Create and start, as ``docker run -d``; ``health`` is what it starts with."""
        container = self.create(name, **options)
        return self.begin(container, health=container.health)

    def run_many(
        self, count: int, *, prefix: str = "web", **options: Unpack[Options]
    ) -> list[ScriptedContainer]:
        """Run ``count`` alike containers, named ``prefix-1`` on."""
        return [
            self.run(f"{prefix}-{number}", **options) for number in range(1, count + 1)
        ]

    def signal(
        self, ref: str | ScriptedContainer, signal: int = SIGTERM
    ) -> ScriptedContainer:
        """Emit ``kill`` with that signal, and nothing else: the process may outlive it."""
        container = self.find(ref)
        self._emit(container, "kill", signal=str(signal))
        return container

    def die(
        self, ref: str | ScriptedContainer, exit_code: int = 0
    ) -> ScriptedContainer:
        """End its process: ``die``, then a disconnect from each network."""
        container = self.find(ref)
        container.state, container.exit_code = "exited", exit_code
        container.finished_ns = self.clock.now_ns()
        self._emit(container, "die", exitCode=str(exit_code))
        for network in container.networks:
            self._emit_network(container, network, "disconnect")
        return container

    def kill(
        self, ref: str | ScriptedContainer, signal: int = SIGKILL
    ) -> ScriptedContainer:
        """``docker kill``: the signal; with SIGKILL the process dies of it."""
        container = self.signal(ref, signal)
        if signal == SIGKILL:
            self.die(container, 128 + SIGKILL)
        return container

    def stop(
        self, ref: str | ScriptedContainer, *, signal: int = SIGTERM, exit_code: int = 0
    ) -> ScriptedContainer:
        """``docker stop`` of a process that obeys: kill, die, disconnect, stop."""
        container = self.signal(ref, signal)
        self.die(container, exit_code)
        self.stopped(container)
        return container

    def stopped(self, ref: str | ScriptedContainer) -> None:
        """Emit ``stop``: the last word of a ``docker stop`` made of its single parts."""
        self._emit(self.find(ref), "stop")

    def restart(self, ref: str | ScriptedContainer) -> ScriptedContainer:
        """``docker restart``: a whole stop, a whole start, then ``restart``."""
        container = self.begin(self.stop(ref))
        self._emit(container, "restart")
        return container

    def pause(self, ref: str | ScriptedContainer) -> None:
        """Freeze it."""
        container = self.find(ref)
        container.state = "paused"
        self._emit(container, "pause")

    def unpause(self, ref: str | ScriptedContainer) -> None:
        """Let it go on."""
        container = self.find(ref)
        container.state = "running"
        self._emit(container, "unpause")

    def health(self, ref: str | ScriptedContainer, status: str) -> None:
        """Give the verdict of its HEALTHCHECK: starting, healthy or unhealthy."""
        container = self.find(ref)
        container.health = status
        self._emit(container, f"health_status: {status}")

    def probe(self, ref: str | ScriptedContainer) -> None:
        """Emit what one run of a HEALTHCHECK emits: three events that change nothing."""
        container = self.find(ref)
        exec_id = digest("exec", container.id)
        for action in ("exec_create: /bin/true", "exec_start: /bin/true"):
            self._emit(container, action, execID=exec_id)
        self._emit(container, "exec_die", execID=exec_id, exitCode="0")

    def restarting(self, ref: str | ScriptedContainer, exit_code: int = 1) -> None:
        """Let it die under ``restart: always``; ``begin`` is its next try."""
        self.die(ref, exit_code).state = "restarting"

    def connect(
        self, ref: str | ScriptedContainer, network: str, address: str | None = None
    ) -> None:
        """Attach it to a network; without an address at the next free one."""
        container = self.find(ref)
        self.network(network)
        given = self.next_address() if address is None else address
        container.networks[network] = _addresses(given)
        self._emit_network(container, network, "connect")

    def disconnect(self, ref: str | ScriptedContainer, network: str) -> None:
        """Detach it. Of a running container the engine reports this twice."""
        container = self.find(ref)
        del container.networks[network]
        self._emit_network(container, network, "disconnect")
        if container.is_up:
            self._emit_network(container, network, "disconnect")

    def rename(self, ref: str | ScriptedContainer, name: str) -> None:
        """Give it another name. Raises ValueError where that is taken."""
        container = self.find(ref)
        if name in self._by_name:
            raise ValueError(f"the container name {name!r} is taken")
        old_name, container.name = container.name, name
        self._by_name[name] = self._by_name.pop(old_name)
        self._emit(container, "rename", oldName=f"/{old_name}")

    def remove(self, ref: str | ScriptedContainer) -> None:
        """``docker rm -f``: kill what still runs, then ``destroy``."""
        container = self.find(ref)
        if container.is_up:
            self.kill(container)
        del self._by_id[container.id], self._by_name[container.name]
        self._emit(container, "destroy")

    def jump_clock(self, seconds: float) -> None:
        """Set the engine's clock forward or back: stamps after a jump back are older."""
        self.clock.jump(seconds)
        self.events.forget_order()

    def next_address(self) -> str:
        """Return a loopback address that no container of this engine was given yet."""
        self._addressed += 1
        return loopback_address(self._addressed)

    def _emit(self, container: ScriptedContainer, action: str, **more: str) -> None:
        attributes = {
            **container.labels,
            "image": container.image,
            "name": container.name,
        }
        self.events.emit(
            "container",
            action,
            container.id,
            {**attributes, **more},
            image=container.image,
        )

    def _emit_network(
        self, container: ScriptedContainer, network: str, action: str
    ) -> None:
        known = self.networks[network]
        attributes = {"container": container.id, "name": network, "type": known.driver}
        self.events.emit("network", action, known.id, attributes)


def _addresses(given: str | Addresses) -> Addresses:
    return given if isinstance(given, Addresses) else Addresses.parse(given)
