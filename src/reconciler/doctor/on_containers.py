"""The containers: who has no slot, who is out of rotation, whose network is not shared."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from reconciler.core.model import Cause, Container, Rotation, Tenant, Unplaced
from reconciler.core.placement import (
    ADDRESS,
    BACKENDS,
    ENABLE,
    LABELS,
    NETWORK,
    PREFIX,
    Found,
    backends_of,
    is_enabled,
)
from reconciler.doctor.evidence import Evidence, ProxyReading
from reconciler.doctor.finding import Code, Finding, found
from reconciler.doctor.on_slots import duration
from reconciler.errors import quoted


CONTAINERS = "containers"
STARTING_LONG_SECONDS = 120.0
_CODES = {
    Cause.BAD_LABEL: Code.CONTAINER_LABEL,
    Cause.UNKNOWN_BACKEND: Code.CONTAINER_BACKEND,
    Cause.NO_PORT: Code.CONTAINER_PORT,
    Cause.NO_ADDRESS: Code.CONTAINER_ADDRESS,
    Cause.DUPLICATE: Code.CONTAINER_DUPLICATE,
    Cause.NO_SLOT: Code.CONTAINER_NO_SLOT,
    Cause.UNHEALTHY: Code.CONTAINER_UNHEALTHY,
    Cause.STARTING: Code.CONTAINER_WAITS,
    Cause.STOPPING: Code.CONTAINER_WAITS,
    Cause.SLOT_BUSY: Code.CONTAINER_WAITS,
}
_SHORT_ID = 12
_SHARES = "container:"
"""How the network mode of a container begins that is in another's network."""
_HEALTH = "`docker inspect --format '{{json .State.Health}}' %s` shows what it said"


def of_containers(evidence: Evidence) -> Iterator[Finding]:
    """Say of each running container what keeps it from its requests."""
    if not evidence.knows_docker:
        return
    yield _counted(evidence)
    seen = set()
    for _, one in evidence.world.unplaced():
        key = (one.tenant.container_id, one.backend, one.cause)
        if key not in seen:
            seen.add(key)
            yield _unplaced(evidence, one)
    yield from _placed(evidence)
    for container in evidence.world.claims.containers.values():
        yield from _of_labels(evidence, container)


def _thing(name: str) -> str:
    return f"container {name}"


def _counted(evidence: Evidence) -> Finding:
    world = evidence.world
    endpoints = [e for p in world.proxies for e in p.desired.all_endpoints()]
    waiting = {one.tenant.container_id for _, one in world.unplaced()}
    placed = {e.tenant.container_id for e in endpoints} - waiting
    running = len(world.claims.containers)
    said = f"{running} run, {len(placed)} of them belong into a backend with slots"
    return found(Code.CONTAINERS, CONTAINERS, said, section=CONTAINERS)


def _unplaced(evidence: Evidence, one: Unplaced) -> Finding:
    code, text = _CODES[one.cause], one.reason
    seconds = evidence.docker.started.get(one.tenant.container_id, 0.0)
    if one.cause is Cause.STARTING and seconds > STARTING_LONG_SECONDS:
        code = Code.CONTAINER_STARTING_LONG
        text = f"its HEALTHCHECK has not passed in {duration(seconds)}"
    return found(
        code,
        _thing(one.tenant.container),
        text,
        _mend(evidence, one, code),
        section=CONTAINERS,
    )


def _mend(evidence: Evidence, one: Unplaced, code: Code) -> str:
    """Return what to write so that it gets a slot."""
    container = evidence.world.claims.containers.get(one.tenant.container_id)
    name = one.tenant.container
    mends = {
        Code.CONTAINER_LABEL: "correct the label in the Compose file, and recreate the "
        "container: `docker compose up -d`",
        Code.CONTAINER_NO_SLOT: "raise the count on the backend's `server-template` line, "
        "and reload HAProxy once",
        Code.CONTAINER_WAITS: f"nothing, mostly: `reconciler explain {name}` tells more",
        Code.CONTAINER_UNHEALTHY: _HEALTH % name,
        Code.CONTAINER_STARTING_LONG: _HEALTH % name,
    }
    if code is Code.CONTAINER_BACKEND:
        return _backend_mend(evidence, one)
    if container is not None and code is Code.CONTAINER_PORT:
        ports = " or ".join(f'"{port}"' for port in container.tcp_ports) or '"PORT"'
        return f"write label `haproxy.port:` with {ports}"
    if container is not None and code is Code.CONTAINER_ADDRESS:
        return _address_mend(evidence, one, container)
    if container is not None and code is Code.CONTAINER_DUPLICATE:
        return _duplicate_mend(container)
    return mends.get(code, "")


def _backend_mend(evidence: Evidence, one: Unplaced) -> str:
    prefix = evidence.settings.slot_prefix
    names = sorted({name for p in evidence.proxies for name in p.slots(prefix)})
    near = difflib.get_close_matches(one.backend or "", names, n=1)
    if near:
        return f"did you mean `haproxy.backend: {near[0]}`?"
    return f"name one of the backends that have slots: {', '.join(names) or 'none has'}"


def _address_mend(evidence: Evidence, one: Unplaced, container: Container) -> str:
    if container.network_mode.startswith(_SHARES):
        return _sharing_mend(evidence, one, container)
    if container.network_mode == "none":
        return (
            "remove `network_mode: none` from it and recreate it: the engine attaches it to "
            "no network as long as it has that"
        )
    if container.network_mode == "host":
        return (
            'write labels `haproxy.address: "ADDRESS"`, that of this machine as HAProxy '
            'reaches it, and `haproxy.port: "PORT"`; the engine attaches it to no network '
            "as long as it has `network_mode: host`"
        )
    names = [attachment.network for attachment in container.networks]
    if not names:
        return 'write label `haproxy.address: "ADDRESS"`, or attach it to a network'
    listed = " or ".join(f"`haproxy.network: {name}`" for name in names)
    return f"write label {listed}: the one that HAProxy is on, too"


def _sharing_mend(evidence: Evidence, one: Unplaced, container: Container) -> str:
    """Of a container in another's network, as by `network_mode: service:x`."""
    owner = container.network_mode.removeprefix(_SHARES)
    shown = owner[:_SHORT_ID]
    for other in evidence.world.claims.containers.values():
        if owner and (other.id.startswith(owner) or other.name == owner):
            shown = other.name
    backend = one.backend or "NAME"
    return (
        f'write label `haproxy.backends.{backend}.port: "PORT"` on container {shown}, whose '
        'network and address it shares, and `haproxy.enable: "false"` on this one; the '
        "engine attaches it to no network of its own"
    )


def _duplicate_mend(container: Container) -> str:
    """Only one of two containers can listen on one port of one address."""
    if ADDRESS in container.labels and any(
        a.ipv4 or a.ipv6 for a in container.networks
    ):
        return (
            f"remove label `{ADDRESS}`: it has an address of its own "
            f"({', '.join(a.network for a in container.networks)})"
        )
    return (
        "have its program listen on another port, and name that by label "
        '`haproxy.port: "PORT"`; or, where it serves nothing there, write label '
        '`haproxy.enable: "false"`'
    )


def _placed(evidence: Evidence) -> Iterator[Finding]:
    """Find what is wrong with containers that have a slot, or will have one."""
    seen = set()
    for proxy in evidence.proxies:
        shared = _shared(evidence, proxy)
        for endpoint in proxy.world.desired.all_endpoints():
            container = evidence.world.claims.containers.get(
                endpoint.tenant.container_id
            )
            if container is None or (proxy.name, container.id) in seen:
                continue
            seen.add((proxy.name, container.id))
            if endpoint.rotation is Rotation.DRAIN:
                yield _unhealthy(endpoint.tenant)
            yield from _not_shared(evidence, container, endpoint.address, shared)


def _unhealthy(tenant: Tenant) -> Finding:
    return found(
        Code.CONTAINER_UNHEALTHY,
        _thing(tenant.container),
        "docker's HEALTHCHECK calls it unhealthy: its slot is in drain",
        _HEALTH % tenant.container,
        section=CONTAINERS,
    )


def _shared(evidence: Evidence, proxy: ProxyReading) -> frozenset[str]:
    """Return HAProxy's networks, else ours, as far as either container is known."""
    node = proxy.values.get("node", "")
    if len(node) >= _SHORT_ID:
        for container in evidence.world.claims.containers.values():
            if container.id.startswith(node):
                return frozenset(one.network for one in container.networks)
    return evidence.world.claims.context.shared_networks


def _not_shared(
    evidence: Evidence, container: Container, address: str, shared: frozenset[str]
) -> Iterator[Finding]:
    """Find an address on a network that nobody chose and HAProxy is not on."""
    is_chosen = (
        evidence.settings.network or {NETWORK, ADDRESS} & container.labels.keys()
    )
    on = [a.network for a in container.networks if address in {a.ipv4, a.ipv6}]
    if is_chosen or not on or not shared or shared & {*on, "host"}:
        return
    yield found(
        Code.NETWORK_NOT_SHARED,
        _thing(container.name),
        f"its address is on network {on[0]}, and HAProxy is on {', '.join(sorted(shared))}",
        f"attach it to one of HAProxy's networks, `networks: [{min(shared)}]`; or HAProxy "
        f"to {on[0]}",
        section=CONTAINERS,
    )


def _of_labels(evidence: Evidence, container: Container) -> Iterator[Finding]:
    context = evidence.world.claims.context
    if context.projects is not None and container.project not in context.projects:
        return
    for label in sorted(container.labels):
        is_known = label in LABELS or label.startswith(BACKENDS)
        if label.startswith(PREFIX) and not is_known:
            near = difflib.get_close_matches(label, sorted(LABELS), n=1)
            hint = f"did you mean `{near[0]}`?" if near else "see docs/labels.md"
            yield found(
                Code.CONTAINER_LABEL_UNKNOWN,
                _thing(container.name),
                f"label {quoted(label)} means nothing here",
                hint,
                section=CONTAINERS,
            )
    enabled = is_enabled(container)
    if (
        isinstance(enabled, Found)
        and not (enabled.value or container.identity.is_one_off)
        and _wanted(evidence, container)
    ):
        yield found(
            Code.CONTAINER_DISABLED,
            _thing(container.name),
            f"label {ENABLE} keeps it out",
            f'remove label `{ENABLE}: "{container.labels[ENABLE]}"` if it is to be placed',
            section=CONTAINERS,
        )


def _wanted(evidence: Evidence, container: Container) -> bool:
    """Whether it would have a place if it were not disabled."""
    prefix = evidence.settings.slot_prefix
    filled = {name for proxy in evidence.proxies for name in proxy.slots(prefix)}
    names = backends_of(container, evidence.world.claims.context)
    return isinstance(names, Found) and not filled.isdisjoint(names.value)
