"""A task as a container: when it gets traffic, when it drains, when it is gone."""

from __future__ import annotations

import pytest
from tests.fakes.swarm import local, service, task

from reconciler.core.membership import STACK
from reconciler.core.model import Container, Health
from reconciler.core.swarm import Node, Phase, container_of


def told(container: Container | None) -> str:
    """Return what a container comes to, in a word."""
    if container is None:
        return "gone"
    if not container.is_running:
        return "out"
    return "drain" if container.is_stopping else "ready"


@pytest.mark.parametrize(
    ("phase", "is_wanted", "is_down", "expected"),
    [
        (Phase.COMING, True, False, "gone"),
        (Phase.COMING, False, False, "gone"),
        (Phase.RUNNING, True, False, "ready"),
        (Phase.RUNNING, False, False, "drain"),
        (Phase.ENDED, True, False, "gone"),
        (Phase.ENDED, False, False, "gone"),
        (Phase.RUNNING, True, True, "gone"),
        (Phase.RUNNING, False, True, "gone"),
    ],
)
def test_what_becomes_of_a_task(
    *,
    phase: Phase,
    is_wanted: bool,
    is_down: bool,
    expected: str,
) -> None:
    """Desired and reported state decide together, and a lost node has the last word."""
    node = Node(id="n", name="n", is_down=is_down)
    one = task(phase=phase, is_wanted=is_wanted)
    assert told(container_of(one, service(), node=node, local=None)) == expected


def test_a_task_of_an_unknown_node_is_as_its_manager_says() -> None:
    """A node that was not read yet takes nobody out."""
    assert told(container_of(task(), service(), node=None, local=None)) == "ready"


def test_a_task_has_its_own_engines_state() -> None:
    """Health, signals and the end are told by the engine that runs it, and sooner."""
    one = task(phase=Phase.COMING)
    found = container_of(one, service(), node=None, local=local(is_stopping=True))
    assert told(found) == "drain"
    ended = container_of(task(), service(), node=None, local=local(is_running=False))
    assert told(ended) == "out"


def test_a_tasks_identity_is_the_services_whoever_tells_of_it() -> None:
    """Ports and labels come from the service, so that all its tasks are placed alike."""
    labelled = service("web", haproxy_port="81", haproxy_weight="7")
    one = task(labels={"haproxy.port": "80", "haproxy.drain": "5s"})
    here = container_of(one, labelled, node=None, local=local())
    there = container_of(one, labelled, node=None, local=None)
    assert here == there
    assert here is not None
    assert here.labels["haproxy.port"] == "81"
    assert here.labels["haproxy.drain"] == "5s"
    assert here.tcp_ports == (8000,)
    assert [one.network for one in here.networks] == ["front"]
    assert here.name == "web.1.task-1"
    assert here.health is Health.NONE


def test_a_stacks_service_has_the_name_in_its_file() -> None:
    """`docker stack` puts its own name in front; base.cfg need not know it."""
    stacked = service("shop_web", com_docker_stack_namespace="shop")
    found = container_of(task(), stacked, node=None, local=None)
    assert found is not None
    assert found.labels[STACK] == "shop"
    assert (found.project, found.service) == ("shop", "web")
    plain = container_of(task(), service("shop_web"), node=None, local=None)
    assert plain is not None
    assert (plain.project, plain.service) == (None, "shop_web")
