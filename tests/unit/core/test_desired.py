"""From containers to claims, and from claims to what one HAProxy should look like."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, strategies as st
from tests.fakes.containers import by_id, container

from reconciler.core.claims import ClaimTable
from reconciler.core.desired import Claim, claims_of, desired_from
from reconciler.core.model import (
    Attachment,
    Cause,
    Container,
    Desired,
    Endpoint,
    Health,
    Rotation,
    Unplaced,
)
from reconciler.core.placement import Context


ANYWHERE = Context()


def claims(*containers: Container, context: Context = ANYWHERE) -> list[Claim]:
    """Return what all these containers ask for."""
    return [claim for one in containers for claim in claims_of(one, context)]


def places(desired: Desired, backend: str = "web") -> list[tuple[str, int]]:
    """Return the addresses and ports desired in a backend."""
    return [(e.address, e.port) for e in desired.endpoints.get(backend, ())]


def test_a_plain_container_is_fulfilled() -> None:
    """A running container of a service becomes an endpoint, with its tenant beside it."""
    [claim] = claims_of(container(3), ANYWHERE)

    assert isinstance(claim.outcome, Endpoint)
    assert claim.outcome.key == ("web", "10.0.0.3", 8000)
    assert claim.outcome.rotation is Rotation.READY
    assert claim.outcome.weight is None
    assert claim.outcome.is_healthy is False
    assert claim.outcome.tenant.container == "web-3"
    assert claim.outcome.tenant.service == "web"
    assert claim.outcome.tenant.project == "demo"
    assert claim.is_explicit is False


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(container(is_running=False), id="not-running"),
        pytest.param(container(is_paused=True), id="paused"),
        pytest.param(container(labels={"haproxy.enable": "false"}), id="disabled"),
        pytest.param(
            container(labels={"haproxy.enable": "off", "haproxy.port": "x"}),
            id="disabled-with-a-bad-label",
        ),
        pytest.param(
            Container(id="1", name="plain", labels={}, is_running=True), id="no-service"
        ),
    ],
)
def test_who_asks_for_nothing(one: Container) -> None:
    """These containers want no slot, and nobody is told of them."""
    assert claims_of(one, ANYWHERE) == ()


@pytest.mark.parametrize(
    ("health", "rotation", "is_healthy"),
    [
        (Health.HEALTHY, Rotation.READY, True),
        (Health.UNHEALTHY, Rotation.DRAIN, False),
    ],
)
def test_health_decides_the_rotation(
    health: Health, rotation: Rotation, *, is_healthy: bool
) -> None:
    """Docker's verdict goes into the endpoint."""
    [claim] = claims_of(container(health=health), ANYWHERE)

    assert isinstance(claim.outcome, Endpoint)
    assert claim.outcome.rotation is rotation
    assert claim.outcome.is_healthy is is_healthy


@pytest.mark.parametrize(
    ("one", "cause"),
    [
        (container(health=Health.STARTING), Cause.STARTING),
        (container(labels={"haproxy.port": "70000"}), Cause.BAD_LABEL),
        (container(labels={"haproxy.weight": "x"}), Cause.BAD_LABEL),
        (container(labels={"haproxy.enable": "maybe"}), Cause.BAD_LABEL),
        (container(labels={"haproxy.backend": "a;b"}), Cause.BAD_LABEL),
        (container(networks=[]), Cause.NO_ADDRESS),
        (container(tcp_ports=()), Cause.NO_PORT),
    ],
)
def test_why_a_claim_is_not_fulfilled(one: Container, cause: Cause) -> None:
    """What cannot be placed is one unplaced value with its cause, never an exception."""
    [claim] = claims_of(one, ANYWHERE)

    assert isinstance(claim.outcome, Unplaced)
    assert claim.outcome.cause is cause
    assert claim.outcome.tenant.container_id == one.id


def test_a_refusal_tells_what_is_known_all_the_same() -> None:
    """Whoever reads that the port is bad also sees the address."""
    [claim] = claims_of(container(2, labels={"haproxy.port": "0"}), ANYWHERE)

    assert isinstance(claim.outcome, Unplaced)
    assert (claim.outcome.address, claim.outcome.port) == ("10.0.0.2", None)


def test_several_backends_are_several_claims() -> None:
    """Each backend has its own port and weight, and one bad one spoils no other."""
    labels = {
        "haproxy.backends.api.port": "81",
        "haproxy.backends.api.weight": "5",
        "haproxy.backends.bad.port": "0",
        "haproxy.backends.web.port": "82",
    }

    desired = desired_from(claims(container(labels=labels)), {"api", "bad", "web"})

    assert places(desired, "api") == [("10.0.0.1", 81)]
    assert places(desired, "web") == [("10.0.0.1", 82)]
    assert [u.backend for u in desired.unplaced] == ["bad"]


def test_a_bad_label_keeps_only_its_own_container_out() -> None:
    """The neighbours of a container with a hostile label are placed as ever."""
    bad = container(2, labels={"haproxy.port": "80;shutdown frontend http-in"})

    desired = desired_from(claims(container(1), bad, container(3)), {"web"})

    assert places(desired) == [("10.0.0.1", 8000), ("10.0.0.3", 8000)]
    assert [u.tenant.container for u in desired.unplaced] == ["web-2"]


def test_an_unknown_backend_is_told_only_where_it_was_asked_for() -> None:
    """A service of no backend is silent; a label that names none is reported."""
    silent = container(1, labels={"com.docker.compose.service": "redis"})
    asked = container(2, labels={"haproxy.backend": "wbe"})

    desired = desired_from(claims(silent, asked), {"web"})

    assert dict(desired.endpoints) == {}
    [told] = desired.unplaced
    assert told.cause is Cause.UNKNOWN_BACKEND
    assert told.tenant.container == "web-2"
    assert told.backend == "wbe"
    assert 'haproxy has no backend "wbe" with slots' in told.reason
    assert "server-template" in told.reason


def test_labels_of_another_project_may_be_meant_for_another_reconciler() -> None:
    """Outside the covered projects a missing backend is nobody's business here."""
    context = Context(projects=frozenset({"other"}))
    foreign = container(labels={"haproxy.backend": "theirs"})

    assert desired_from(claims(foreign, context=context), {"web"}).unplaced == ()


def test_two_containers_at_one_place_get_one_slot() -> None:
    """Of duplicates (host networking) the older stays, and the other learns of it."""
    labels = {"haproxy.address": "192.0.2.1", "haproxy.port": "80"}
    older, younger = container(1, labels=labels), container(2, labels=labels)

    for order in ((older, younger), (younger, older)):
        desired = desired_from(claims(*order), {"web"})

        [endpoint] = desired.endpoints["web"]
        assert endpoint.tenant.container == "web-1"
        [left_out] = desired.unplaced
        assert left_out.cause is Cause.DUPLICATE
        assert "web-1" in left_out.reason


@st.composite
def some_containers(draw: st.DrawFn) -> Container:
    """Any container of a small world where everything collides."""
    labels = draw(
        st.dictionaries(
            st.sampled_from(
                [
                    "haproxy.enable",
                    "haproxy.backend",
                    "haproxy.port",
                    "haproxy.weight",
                    "haproxy.network",
                    "haproxy.backends.api.port",
                    "com.docker.compose.service",
                    "com.docker.compose.project",
                ]
            ),
            st.sampled_from(["web", "api", "80", "0", "no", "front", "a;b", "demo"]),
            max_size=4,
        )
    )
    networks = draw(
        st.lists(
            st.builds(
                Attachment,
                network=st.sampled_from(["front", "demo_back"]),
                ipv4=st.sampled_from(["10.0.0.1", "10.0.0.2", ""]),
            ),
            max_size=2,
        )
    )
    return container(
        draw(st.integers(1, 5)),
        labels=labels,
        is_running=draw(st.booleans()),
        is_paused=draw(st.booleans()),
        health=draw(st.sampled_from(Health)),
        networks=networks,
        tcp_ports=draw(st.sampled_from([(), (80,), (80, 81)])),
    )


contexts = st.builds(
    Context,
    projects=st.none() | st.just(frozenset({"demo"})),
    network=st.none() | st.just("front"),
    shared_networks=st.sampled_from([frozenset[str](), frozenset({"front"})]),
    default_ports=st.sampled_from([{}, {"web": 90}]),
)


@given(
    st.lists(st.lists(some_containers() | st.integers(1, 5), max_size=4), max_size=4),
    contexts,
    contexts,
)
def test_a_claim_table_equals_reading_everything_anew(
    batches: list[list[Container | int]], before: Context, after: Context
) -> None:
    """After any changes the index gives what all containers together give, whole or by parts."""
    table = ClaimTable(before)
    alive: dict[str, Container] = {}
    for batch in batches:
        changes: dict[str, Container | None] = {}
        for change in batch:
            if isinstance(change, int):
                changes[f"{change:064x}"] = None
            else:
                changes[change.id] = change
        table.update(changes)
        for container_id, one in changes.items():
            alive.pop(container_id, None)
            if one is not None:
                alive[container_id] = one
    table.set_context(after)
    backends = {"web", "api"}

    whole = table.desired(backends)

    fresh = desired_from(claims(*alive.values(), context=after), backends)
    assert dataclasses.replace(whole, generation=0) == fresh
    every: set[str | None] = {"web", "api", "a", "80", "no", "0", "front", "demo", None}
    parts = [table.desired(backends, only={name}) for name in every]
    endpoints = {k: v for part in parts for k, v in part.endpoints.items()}
    assert endpoints == dict(whole.endpoints)
    unplaced = [one for part in parts for one in part.unplaced]
    assert sorted(map(repr, unplaced)) == sorted(map(repr, whole.unplaced))


def test_an_update_tells_which_backends_it_concerns() -> None:
    """Only the backends a container leaves or enters are named; the same again names none."""
    table = ClaimTable(ANYWHERE)

    assert table.update(by_id(container(1))).backends == {"web"}
    assert table.update(by_id(container(1))).backends == set()
    assert table.generation == 1
    moved = container(1, labels={"haproxy.backend": "api"})
    assert table.update(by_id(moved)).backends == {"web", "api"}
    bad = container(1, labels={"haproxy.backend": "a b"})
    assert table.update(by_id(bad)).backends == {"api", None}
    assert table.update({bad.id: None}).backends == {None}
    assert table.update({bad.id: None}).backends == set()
    assert table.generation == 4
    assert dict(table.containers) == {}


def test_a_new_context_judges_every_container_anew() -> None:
    """What the rules take for granted may change: then claims change with it, once."""
    table = ClaimTable(ANYWHERE)
    table.update(by_id(container(1, tcp_ports=()), container(2)))
    with_default = Context(default_ports={"web": 90})

    assert table.set_context(with_default).backends == {"web"}
    assert table.set_context(with_default).backends == set()
    assert places(table.desired({"web"})) == [("10.0.0.1", 90), ("10.0.0.2", 8000)]


def test_the_order_of_containers_is_irrelevant() -> None:
    """Desired is the same value whatever order Docker lists in."""
    some = [container(n) for n in range(1, 6)]

    assert desired_from(claims(*some), {"web"}) == desired_from(
        claims(*reversed(some)), {"web"}
    )
