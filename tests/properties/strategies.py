"""Hypothesis strategies for both sides of the map: small pools, so that things collide."""

from __future__ import annotations

from hypothesis import strategies as st

from reconciler.core.model import (
    AdminState,
    Agent,
    Desired,
    Endpoint,
    Observed,
    Process,
    Rotation,
    Server,
    ServerRef,
    Tenant,
)
from reconciler.core.plan import Rules


BACKENDS = ("api", "web")
LIVE = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::5")
PLACEHOLDERS = ("0.0.0.0", "127.255.255.1", "127.255.255.254")
PORTS = (80, 8080)

live_addresses = st.sampled_from(LIVE)
any_addresses = st.sampled_from(LIVE + PLACEHOLDERS)
ports = st.sampled_from(PORTS)
weights = st.sampled_from((0, 1, 7, 256))
agents = st.sampled_from((Agent.NONE, Agent.NONE, Agent.NONE, *Agent))


def tenant(number: int) -> Tenant:
    """Return a made-up container."""
    return Tenant(container_id=f"{number:064x}", container=f"web-{number}")


@st.composite
def servers(draw: st.DrawFn, backend: str, name: str) -> Server:
    """Any server at all, consistent with our rules or not."""
    admin = draw(st.sampled_from(AdminState))
    dates = st.none() | st.sampled_from((10.0, 90.0))
    return Server(
        ref=ServerRef(backend, name),
        backend_id=1,
        server_id=1,
        address=draw(any_addresses),
        port=draw(ports),
        admin=admin,
        is_up=draw(st.booleans()),
        weight=draw(weights),
        initial_weight=draw(st.sampled_from((1, 100))),
        has_check=draw(st.booleans()),
        last_change=draw(st.none() | st.integers(0, 50).map(float)),
        connections=draw(st.none() | st.sampled_from((0, 0, 3))),
        out_since=None if admin is AdminState.READY else draw(dates),
        agent=draw(agents),
    )


@st.composite
def observed(draw: st.DrawFn) -> Observed:
    """Any table of up to two backends, with slots and with servers that are none."""
    tables = {}
    for backend in draw(st.lists(st.sampled_from(BACKENDS), unique=True)):
        slots = [f"slot{n + 1}" for n in range(draw(st.integers(0, 6)))]
        others = draw(
            st.lists(st.sampled_from(("sorry", "slot", "slotx", "web1")), unique=True)
        )
        tables[backend] = {
            name: draw(servers(backend, name)) for name in (*slots, *others)
        }
    process = Process(version="3.0.11", pid=1, start_time=0, is_stopping=False)
    return Observed(process=process, backends=tables)


@st.composite
def endpoints(draw: st.DrawFn, backend: str) -> Endpoint:
    """Any endpoint of one backend."""
    return Endpoint(
        backend=backend,
        address=draw(live_addresses),
        port=draw(ports),
        tenant=tenant(draw(st.integers(0, 9))),
        weight=draw(st.none() | weights),
        rotation=draw(st.sampled_from(Rotation)),
        is_healthy=draw(st.booleans()),
        since=float(draw(st.integers(0, 3))),
        drain_seconds=draw(st.sampled_from((None, None, 0.0, 50.0))),
        drain_shutdown=draw(st.booleans()),
    )


def _one_each(found: list[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple({endpoint.key: endpoint for endpoint in found}.values())


@st.composite
def desired(draw: st.DrawFn) -> Desired:
    """Any wishes, for backends that exist or not."""
    wishes = {
        backend: _one_each(draw(st.lists(endpoints(backend), max_size=8)))
        for backend in BACKENDS
    }
    return Desired(endpoints=wishes)


rules = st.sampled_from((Rules(), Rules(), Rules(drain_seconds=0)))
