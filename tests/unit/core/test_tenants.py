"""Who lives in a slot: asked at once, or worked out from everything."""

from __future__ import annotations

import dataclasses

from hypothesis import given, strategies as st
from tests.fakes.containers import by_id, container, free_slot

from reconciler.core.claims import ClaimTable
from reconciler.core.model import AdminState, Attachment, Container, Server
from reconciler.core.placement import Context
from reconciler.core.view import Tenants


def slot_at(address: str, port: int = 8000) -> Server:
    """Return a slot of web that is ready at an address."""
    return dataclasses.replace(
        free_slot(1), address=address, port=port, admin=AdminState.READY
    )


def host_container(number: int) -> Container:
    """Return a container on the host's network: all of them share one endpoint."""
    labels = {"haproxy.address": "10.9.9.9"}
    one = container(number, labels=labels, network_mode="host", networks=())
    return dataclasses.replace(one, name=f"host-{number}")


PEOPLE = [container(1), container(2), host_container(3), host_container(4)]
SLOTS = [
    *(slot_at(f"10.0.0.{n}", port) for n in (1, 2, 5) for port in (8000, 9000)),
    slot_at("10.9.9.9"),
]
steps = st.lists(st.tuples(st.sampled_from(PEOPLE), st.booleans()), max_size=12)


@given(steps)
def test_it_is_who_the_whole_list_says(found: list[tuple[Container, bool]]) -> None:
    """After any coming and going it answers what is worked out from all containers."""
    claims = ClaimTable(Context())
    for one, comes in found:
        claims.update(by_id(one) if comes else {one.id: None})
    endpoints = claims.desired({"web"}).all_endpoints()
    tenants = Tenants(claims.containers.values(), endpoints)

    assert [claims.tenant_of(one) for one in SLOTS] == [
        tenants.of(one) for one in SLOTS
    ]


def test_an_address_given_to_another_is_the_others() -> None:
    """Docker gave the address of one that has gone to one that came."""
    claims = ClaimTable(Context())
    heir = dataclasses.replace(
        container(2), networks=(Attachment(network="demo_default", ipv4="10.0.0.1"),)
    )
    claims.update(by_id(container(1)))
    claims.update(by_id(heir))
    claims.update({container(1).id: None})

    for port in (8000, 1):
        found = claims.tenant_of(slot_at("10.0.0.1", port))
        assert found is not None
        assert found.container == "web-2"
