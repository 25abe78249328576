"""A manager's JSON as tasks, services and nodes; recorded from engine 20.10."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from reconciler.core.membership import STACK
from reconciler.core.swarm import Phase, container_of
from reconciler.discovery.swarm_json import (
    Role,
    SwarmEvent,
    node_from,
    required,
    role_from_info,
    service_from,
    swarm_event_from,
    task_from,
)
from reconciler.errors import DiscoveryError, SwarmError


RECORDED = Path(__file__).parents[2] / "data" / "swarm-20.10"


def recorded(name: str) -> Any:  # noqa: ANN401 - it is JSON
    """Return a recorded answer."""
    return json.loads((RECORDED / f"{name}.json").read_text())


def test_a_stack_as_it_was_recorded() -> None:
    """Two tasks of a service that is scaled down to one, and one of a global service."""
    tasks = [task_from(one) for one in recorded("tasks")]
    services = {one.id: one for one in map(service_from, recorded("services"))}
    nodes = {one.id: one for one in map(node_from, recorded("nodes"))}

    told = sorted(
        (
            found.service,
            found.project,
            found.is_stopping,
            found.labels.get("haproxy.port"),
            found.labels.get("haproxy.weight"),
            found.tcp_ports,
            [one.network for one in found.networks],
        )
        for task in tasks
        if (
            found := container_of(
                task,
                services[task.service_id],
                node=nodes[task.node_id],
                local=None,
            )
        )
    )
    web = ("8000", "3", (8000,), ["web"])
    assert told == [
        ("agent", None, False, None, None, (), ["web"]),
        ("web", "shop", False, *web),
        ("web", "shop", True, *web),
    ]
    addresses = [one.networks[0].ipv4 for one in tasks]
    assert all(one.count(".") == 3 and "/" not in one for one in addresses)
    assert len({one.container_id for one in tasks}) == 3
    assert {one.number for one in tasks} == {"1", "2", tasks[0].node_id}
    assert all(one.created > 1.7e9 for one in tasks)
    assert services[tasks[0].service_id].labels.keys() <= {STACK, "haproxy.port"}


def test_the_role_as_it_was_recorded() -> None:
    """An engine says which node it is, and whether it can be asked."""
    role = role_from_info(recorded("info"))
    assert (role.state, role.is_manager) == ("active", True)
    assert role.node_id == node_from(recorded("nodes")[0]).id
    assert role_from_info({}) == Role()


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        *((one, Phase.COMING) for one in ("new", "pending", "assigned", "accepted")),
        *((one, Phase.COMING) for one in ("preparing", "ready", "starting")),
        ("running", Phase.RUNNING),
        *((one, Phase.ENDED) for one in ("complete", "shutdown", "failed")),
        *((one, Phase.ENDED) for one in ("rejected", "remove", "orphaned")),
    ],
)
def test_the_states_of_a_task(state: str, phase: Phase) -> None:
    """Every state that SwarmKit has is one of three phases."""
    assert task_from({"ID": "a", "Status": {"State": state}}).phase is phase


def test_ipv6_and_the_routing_mesh() -> None:
    """A task has addresses of both families; on the mesh nobody dials it."""
    mesh = {"Network": {"Spec": {"Name": "anything", "Ingress": True}}}
    front = {
        "Network": {"Spec": {"Name": "front"}},
        "Addresses": ["fd00::5/64", "10.0.1.5/24"],
    }
    task = task_from({"ID": "a", "NetworksAttachments": [mesh, front]})
    assert [(one.network, one.ipv4, one.ipv6) for one in task.networks] == [
        ("front", "10.0.1.5", "fd00::5")
    ]


def test_labels_that_are_asked_for_are_kept() -> None:
    """HAProxies are found by them, on whatever node; others are thrown away."""
    labels = {"edge": "1", "other": "2"}
    task = {"ID": "a", "Spec": {"ContainerSpec": {"Labels": labels}}}
    service = {"ID": "s", "Spec": {"Name": "lb", "Labels": labels}}
    assert task_from(task, keep={"edge"}).labels == {"edge": "1"}
    assert service_from(service, keep={"edge"}).labels == {"edge": "1"}
    assert task_from(task).labels == {}


def test_events_of_services_and_nodes() -> None:
    """What a manager tells beside these is of no concern."""
    event = {"Type": "service", "Action": "update", "Actor": {"ID": "a"}}
    assert swarm_event_from(event) == SwarmEvent(kind="service", action="update")
    assert swarm_event_from({"Type": "secret", "Action": "update"}) is None


@pytest.mark.parametrize(
    ("role", "is_wanted", "said"),
    [
        (Role(), False, None),
        (Role(), True, "is in no swarm"),
        (Role(state="active"), False, None),
        (Role(state="active"), True, "is a worker"),
        (Role(state="active", is_manager=True), True, None),
        (Role(state="locked"), False, "state locked"),
        (Role(state="error", error="no keys"), False, "state error: no keys"),
    ],
)
def test_who_has_to_be_a_manager(
    *, role: Role, is_wanted: bool, said: str | None
) -> None:
    """Whoever may be one is not taken for none; and none is wrong only where one is wanted."""
    if said is None:
        required(role, is_wanted=is_wanted)
    else:
        with pytest.raises(SwarmError, match=said):
            required(role, is_wanted=is_wanted)


NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ID", "Status", "State", "Spec", "NetworksAttachments"]),
            some,
            max_size=4,
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["ID", "Spec", "Status", "Swarm"]), NONSENSE))
def test_nonsense_is_an_error_of_ours(document: dict[str, Any]) -> None:
    """Whatever comes, it is read or refused, and nothing else happens."""
    for read in (task_from, service_from, node_from, role_from_info):
        try:
            read(document)
        except DiscoveryError:
            continue
