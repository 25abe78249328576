"""Docker's JSON as containers and events: one value by both ways, and no crash on nonsense."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st
from tests.scripted_engine import Addresses, Control
from tests.scripted_engine.model import Options
from tests.scripted_engine.views import inspect, list_entry

from reconciler.core.model import Attachment, Container, Health
from reconciler.discovery.inspect import (
    EVENT_FILTERS,
    Effect,
    EngineEvent,
    arrival_of_line,
    container_from_inspect,
    container_from_list,
    event_from,
)
from reconciler.errors import DiscoveryError


def both(
    options: Options, verb: Callable[[Control, str], object] | None = None
) -> tuple[Container, Container]:
    """Run a container, do something to it, and read it from a list and by an inspect."""
    control = Control()
    one = control.run("web-1", **options)
    if verb is not None:
        verb(control, "web-1")
    now = time.time_ns()
    return (
        container_from_list(list_entry(one, control.networks, now)),
        container_from_inspect(inspect(one, control.networks)),
    )


@pytest.mark.parametrize(
    ("options", "verb"),
    [
        pytest.param({}, None, id="plain"),
        pytest.param({"labels": {"a": "b;\n", "haproxy.port": "x"}}, None, id="labels"),
        pytest.param({"ports": [8000, "443/tcp", "53/udp"]}, None, id="several-ports"),
        pytest.param({"ports": []}, None, id="no-port"),
        pytest.param({"published": {"8000/tcp": 18000}}, None, id="published"),
        pytest.param({"health": "starting"}, None, id="starting"),
        pytest.param({"health": "healthy"}, None, id="healthy"),
        pytest.param({"health": "unhealthy"}, None, id="unhealthy"),
        pytest.param({"health": "healthy"}, Control.pause, id="paused-and-healthy"),
        pytest.param({}, Control.pause, id="paused"),
        pytest.param({}, Control.die, id="exited"),
        pytest.param({}, Control.restarting, id="restarting"),
        pytest.param(
            {"networks": {"b": "10.0.0.1", "a": Addresses("10.1.0.1", "fd00::1")}},
            None,
            id="two-networks",
        ),
        pytest.param({"networks": {"six": "fd00::6"}}, None, id="ipv6"),
        pytest.param(
            {"networks": {"host": ""}, "network_mode": "host", "ports": []},
            None,
            id="host-network",
        ),
        pytest.param(
            {"networks": {}, "network_mode": "container:01", "ports": []},
            None,
            id="network-of-another",
        ),
    ],
)
def test_a_list_and_an_inspect_agree(
    options: Options, verb: Callable[[Control, str], object] | None
) -> None:
    """A resync after an inspect finds nothing to correct."""
    listed, inspected = both(options, verb)

    assert listed == inspected


def test_what_is_read_of_a_container() -> None:
    """Every field that placing needs, as Docker has it."""
    listed, _ = both(
        {
            "labels": {"haproxy.port": "b", "maintainer": "somebody"},
            "ports": [8000, "53/udp"],
            "health": "healthy",
            "networks": {"net": Addresses("10.0.0.1", "fd00::1")},
        }
    )

    assert listed.name == "web-1"
    assert (listed.is_running, listed.is_paused) == (True, False)
    assert listed.health is Health.HEALTHY
    assert listed.labels == {"haproxy.port": "b"}
    assert listed.tcp_ports == (8000,)
    assert listed.networks == (
        Attachment(network="net", ipv4="10.0.0.1", ipv6="fd00::1"),
    )
    assert listed.network_mode == "net"
    assert abs(listed.created - time.time()) < 60


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("running", (True, False)),
        ("paused", (True, True)),
        ("restarting", (False, False)),
        ("exited", (False, False)),
        ("created", (False, False)),
        ("removing", (False, False)),
        ("dead", (False, False)),
        ("a word of tomorrow", (False, False)),
    ],
)
def test_states(state: str, expected: tuple[bool, bool]) -> None:
    """Only running and paused containers have a process."""
    listed = container_from_list({"Id": "1", "State": state})
    inspected = container_from_inspect({"Id": "1", "State": {"Status": state}})

    assert (listed.is_running, listed.is_paused) == expected
    assert (inspected.is_running, inspected.is_paused) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["/web-1"], "web-1"),
        (["/other/alias", "/web-1"], "web-1"),
        (["/web-1", "/other/alias"], "web-1"),
        ([], ""),
        (None, ""),
    ],
)
def test_the_name_is_the_containers_own(names: list[str] | None, expected: str) -> None:
    """Legacy links give a container aliases that are not its name."""
    assert container_from_list({"Id": "1", "Names": names}).name == expected


def test_a_port_published_twice_counts_once() -> None:
    """IPv4 and IPv6 publish the same port in two entries."""
    entry = {"PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}
    ports = [entry | {"IP": "0.0.0.0"}, entry | {"IP": "::"}]

    assert container_from_list({"Id": "1", "Ports": ports}).tcp_ports == (80,)


@pytest.mark.parametrize("document", [{}, {"Id": ""}, {"Id": None}, {"Id": 7}])
@pytest.mark.parametrize("read", [container_from_list, container_from_inspect])
def test_without_an_id_nothing_can_be_trusted(
    read: Callable[[dict[str, Any]], Container], document: dict[str, Any]
) -> None:
    """A description of nobody is an error that shows what Docker said."""
    with pytest.raises(DiscoveryError, match="a container without an id"):
        read(document)


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["running", "80/tcp", "٣/tcp", "/web", "tcp", "2024-01-01T00:00:00Z"]
    )
)
names = st.sampled_from(
    [
        *(
            "Id",
            "Names",
            "Name",
            "State",
            "Status",
            "Health",
            "Labels",
            "Config",
            "Ports",
        ),
        *("HostConfig", "NetworkMode", "NetworkSettings", "Networks", "IPAddress"),
        *("GlobalIPv6Address", "PrivatePort", "Type", "Created", "80/tcp", "net"),
        *("Action", "Actor", "ID", "Attributes", "container", "time", "timeNano", "id"),
    ]
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6)
    ),
    max_leaves=20,
)
documents = st.dictionaries(names, anything, max_size=8)
ids: st.SearchStrategy[dict[str, Any]] = st.sampled_from([{"Id": "1"}, {}])


@given(documents, ids)
@pytest.mark.parametrize("read", [container_from_list, container_from_inspect])
def test_any_json_is_a_container_or_a_discovery_error(
    read: Callable[[dict[str, Any]], Container],
    document: dict[str, Any],
    known: dict[str, Any],
) -> None:
    """Nonsense from a proxy or a future engine never raises anything else."""
    try:
        found = read(document | known)
    except DiscoveryError:
        return
    assert isinstance(found, Container)
    assert found.id
    assert all(isinstance(port, int) for port in found.tcp_ports)
    assert found == read(document | known)


@given(
    anything
    | st.fixed_dictionaries(
        {
            "Type": st.sampled_from(["container", "network"]) | anything,
            "Action": st.sampled_from(["start", "die", "health_status: x"]) | anything,
            "Actor": anything,
            "timeNano": anything,
        },
        optional={"time": anything, "id": anything},
    )
)
def test_any_json_is_an_event_or_nothing_or_a_discovery_error(
    document: dict[str, Any],
) -> None:
    """One odd event must not end the thread that reads all the others."""
    try:
        found = event_from(document)
    except DiscoveryError:
        return
    assert found is None or (found.container_id and isinstance(found.at, float))


def event(kind: str, action: str, **actor: object) -> EngineEvent | None:
    """Return what an event says."""
    return event_from(
        {"Type": kind, "Action": action, "Actor": actor, "timeNano": 1_500_000_000}
    )


@pytest.mark.parametrize("action", EVENT_FILTERS["event"])
def test_events_of_a_container(action: str) -> None:
    """What an action means: all but a few say to look."""
    found = event("container", action, ID="1")

    assert found is not None
    special = {
        "create": Effect.BORN,
        "die": Effect.GONE,
        "destroy": Effect.GONE,
        "kill": Effect.SIGNAL,
    }
    assert found.effect is special.get(action, Effect.LOOK)
    assert (found.container_id, found.action, found.at) == ("1", action, 1.5)


def test_a_health_event_carries_its_verdict_in_the_action() -> None:
    """The part before the colon is the event."""
    found = event("container", "health_status: unhealthy", ID="1")

    assert found is not None
    assert found.effect is Effect.LOOK


def test_a_network_event_concerns_the_container_in_its_attributes() -> None:
    """The actor of a connect is the network; whom it concerns stands beside it."""
    found = event("network", "connect", ID="net", Attributes={"container": "1"})

    assert found is not None
    assert (found.container_id, found.effect) == ("1", Effect.LOOK)


def test_events_that_concern_no_container() -> None:
    """What was not asked for is ignored, even if it comes."""
    ignored = [
        event("container", "exec_start: sh", ID="1"),
        event("container", "stop", ID="1"),
        event("image", "update", ID="1"),
        event("container", "start"),
        event("network", "connect", ID="net", Attributes={}),
        event("network", "destroy", ID="net"),
    ]

    assert ignored == [None] * 6


def test_an_old_engine_without_nanoseconds() -> None:
    """The second is taken where the nanosecond is missing."""
    found = event_from({"Type": "container", "Action": "start", "id": "1", "time": 7})

    assert found is not None
    assert (found.container_id, found.at) == ("1", 7.0)


def as_line(**document: object) -> bytes:
    """Return an event as the engine writes it."""
    return json.dumps(document, separators=(",", ":")).encode()


def test_a_line_that_tells_of_an_arrival_is_told_by_its_text() -> None:
    """A creation, and whom a network was connected to; nothing else, however it looks."""
    id_ = "a" * 64
    connect = as_line(
        Type="network",
        Action="connect",
        Actor={"ID": "n", "Attributes": {"container": id_, "name": "bridge"}},
    )
    create = as_line(status="create", id=id_, Type="container", Action="create")

    assert arrival_of_line(connect) == ("connect", id_)
    assert arrival_of_line(create) == ("create", "")
    for action in ("start", "disconnect", "exec_create: sh", "kill"):
        assert arrival_of_line(as_line(Type="container", Action=action)) is None
    short = as_line(Action="connect", Actor={"Attributes": {"container": "web"}})
    assert arrival_of_line(short) is None
    hostile = {"label": '"Action":"create"', "other": '"Action":"connect"'}
    started = as_line(Action="start", Actor={"Attributes": hostile})
    assert arrival_of_line(started) is None
