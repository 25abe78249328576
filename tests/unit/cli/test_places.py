"""Which slots an operator means, and why it may be none."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import container, free_slot, observed, static_server

from reconciler.config import Settings
from reconciler.core.claims import ClaimTable
from reconciler.core.model import AdminState, Container, Server
from reconciler.core.placement import Context
from reconciler.errors import (
    ConnectError,
    DiscoveryError,
    RuntimeSocketError,
    TargetError,
)
from reconciler.hand import Place, places
from reconciler.inquiry import ProxyWorld, World


ONE, TWO = container(0xABCD01), container(0xABCD02)
"""Their ids are zeros but for the end: no beginning tells them apart."""


def home(number: int, address: str, backend: str = "web") -> Server:
    """Return an occupied slot."""
    return dataclasses.replace(
        free_slot(number, backend=backend), address=address, admin=AdminState.READY
    )


def named(one: Container, name: str, *, id_: str, address: str) -> Container:
    """Return a container of that name and id, at that address."""
    network = dataclasses.replace(one.networks[0], ipv4=address)
    return dataclasses.replace(one, id=id_, name=name, networks=(network,))


WEB1 = named(ONE, "web-1", id_="aaaa1111" + "0" * 56, address="10.0.0.1")
WEB2 = named(ONE, "web-2", id_="aaaa2222" + "0" * 56, address="10.0.0.2")
BEEF = named(ONE, "aaaa1", id_="bbbb1111" + "0" * 56, address="10.0.0.3")


def proxy(name: str, *servers: Server) -> ProxyWorld:
    """Return a HAProxy that was read, with these servers."""
    tables: dict[str, dict[str, Server]] = {}
    for server in servers:
        tables.setdefault(server.ref.backend, {})[server.ref.server] = server
    return ProxyWorld(name=name, observed=observed(tables))


def world(
    *proxies: ProxyWorld,
    containers: tuple[Container, ...] = (WEB1, WEB2, BEEF),
    engine_error: DiscoveryError | None = None,
) -> World:
    """Return what was read, with what is desired of it."""
    claims = ClaimTable(Context())
    claims.update({one.id: one for one in containers})
    return World(
        settings=Settings(),
        claims=claims,
        proxies=tuple(
            one
            if one.observed is None
            else dataclasses.replace(one, desired=claims.desired(one.observed.backends))
            for one in proxies
        ),
        now=0.0,
        engine_error=engine_error,
    )


A = proxy(
    "unix:///a",
    home(1, "10.0.0.1"),
    home(2, "10.0.0.2"),
    home(3, "10.0.0.3"),
    free_slot(4),
    home(1, "10.0.0.1", "api"),
    static_server(),
)
B = proxy("unix:///b", home(2, "10.0.0.1"), home(1, "10.0.0.2"), free_slot(3))


def found(target: str, where: World) -> list[tuple[str, str]]:
    """Return HAProxy and slot of every place meant."""
    return [(place.haproxy, str(place.ref)) for place in places(where, target)]


def refusal(target: str, where: World) -> str:
    """Return why a target is none."""
    with pytest.raises(TargetError) as caught:
        places(where, target)
    return str(caught.value)


@pytest.mark.parametrize("target", ["web-1", WEB1.id, WEB1.id[:12], "aaaa11"])
def test_a_container_is_meant_wherever_it_lives(target: str) -> None:
    """By name, id or the start of its id: every backend of every HAProxy."""
    assert found(target, world(A, B)) == [
        ("unix:///a", "web/slot1"),
        ("unix:///a", "api/slot1"),
        ("unix:///b", "web/slot2"),
    ]


def test_a_slot_is_meant_by_its_name() -> None:
    """With its tenant and its endpoint, and with neither where Docker cannot be read."""
    [place] = places(world(A), "web/slot2")
    assert (place.tenant and place.tenant.container) == "web-2"
    assert place.endpoint is not None
    assert str(place) == "web/slot2 (web-2 10.0.0.2:8000)"

    lost = world(A, containers=(), engine_error=DiscoveryError("docker is away"))
    [place] = places(lost, "web/slot2")
    assert (place.tenant, place.endpoint) == (None, None)
    assert str(place) == "web/slot2 (10.0.0.2:8000)"


def test_a_name_comes_before_the_start_of_an_id() -> None:
    """A container named as another's id begins can be named, as with docker."""
    assert found("aaaa1", world(A)) == [("unix:///a", "web/slot3")]


def test_the_start_of_two_ids_is_ambiguous() -> None:
    """Every one of them is named."""
    text = refusal("aaaa", world(A))

    assert text.startswith("aaaa may mean any of api/slot1 (web-1 10.0.0.1:8000), ")
    assert "web/slot2 (web-2 10.0.0.2:8000)" in text
    assert text.endswith(": give its name")


@pytest.mark.parametrize("target", ["aaa", "web", "web-9", ""])
def test_nobody_of_that_name_has_a_slot(target: str) -> None:
    """Part of a name is none, and three digits are too few for an id."""
    text = refusal(target, world(A, B))

    assert text.startswith(f"no slot has a container {target}: see `reconciler slots`")
    assert f"`reconciler explain {target}`" in text


def test_a_name_without_docker() -> None:
    """Slots can be named all the same, and the message says how."""
    lost = world(A, containers=(), engine_error=DiscoveryError("docker is away"))

    text = refusal("web-1", lost)

    assert "web-1 is looked for in vain while docker cannot be read" in text
    assert "name the slot, as BACKEND/SLOT (docker is away)" in text


@pytest.mark.parametrize("target", ["web/slot99", "nowhere/slot1", "web/", "/slot1"])
def test_no_such_server(target: str) -> None:
    """The HAProxies that were asked are named."""
    text = refusal(target, world(A, B))

    assert text.startswith(f"there is no server {target} in unix:///a, unix:///b: see")


def test_a_server_that_is_no_slot() -> None:
    """It is the operator's alone, and so is the way to it."""
    text = refusal("web/sorry", world(A))

    assert text.startswith("web/sorry is no slot: those are named slot1, slot2, …")
    assert text.endswith("use HAProxy's own socket")


def test_a_free_slot() -> None:
    """There is nobody to take out of rotation."""
    assert refusal("web/slot4", world(A)) == "web/slot4 is free: nobody lives there"


def test_a_slot_that_is_free_in_one_haproxy_is_meant_in_the_other() -> None:
    """Who is nowhere is not meant."""
    assert found("web/slot3", world(A, B)) == [("unix:///a", "web/slot3")]


def test_one_slot_with_two_tenants_is_not_clear() -> None:
    """Each HAProxy fills its slots by itself: names of slots do not carry over."""
    text = refusal("web/slot1", world(A, B))

    assert text.startswith("web/slot1 is not the same container everywhere (")
    assert "(web-1 10.0.0.1:8000) in unix:///a" in text
    assert "(web-2 10.0.0.2:8000) in unix:///b" in text
    assert text.endswith("name the container, or one --haproxy")


def test_where_no_haproxy_can_be_read_that_is_the_reason() -> None:
    """Not that there is no such slot: nobody knows."""
    dead = ProxyWorld(name="unix:///a", error=ConnectError("cannot connect to a"))
    also = ProxyWorld(name="unix:///b", error=ConnectError("cannot connect to b"))

    for target in ("web/slot1", "web-1"):
        with pytest.raises(RuntimeSocketError, match="cannot connect to a"):
            places(world(dead, also), target)
    assert [one.haproxy for one in places(world(dead, B), "web-1")] == ["unix:///b"]


def test_a_place_is_a_value() -> None:
    """Two readings of the same are the same."""
    assert places(world(A), "web-2") == places(world(A), "web/slot2")
    assert isinstance(places(world(A), "web-2")[0], Place)
