"""Each stack file of compose/swarm on a swarm of three nodes: scaled, updated, broken."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engine import ROOT, wait_until
from tests.support.load import Load
from tests.support.swarm_lab import SwarmLab
from tests.support.swarm_stack import PORT, SwarmStack


pytestmark = pytest.mark.timeout(420)

OUTAGE_SECONDS = float(os.environ.get("RECONCILER_TEST_OUTAGE_SECONDS", "25"))
"""How long the manager is away: longer than the reconciler waits for an answer."""

AFTER_DETECTION_SECONDS = 1.0


@pytest.fixture(scope="module")
def everywhere(
    swarm_lab: SwarmLab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SwarmStack]:
    """Run global.yaml: a HAProxy on every node, by TLS, and one reconciler for them all."""
    folder = tmp_path_factory.mktemp("global")
    with SwarmStack(swarm_lab, folder, ["global.yaml"]) as stack:
        stack.until_converged(3, haproxies=3, timeout_seconds=90)
        yield stack


def test_one_haproxy_on_a_manager_serves_the_tasks_of_all_nodes(
    swarm_lab: SwarmLab, tmp_path: Path
) -> None:
    """single.yaml: 3, 24 and 6 tasks on three nodes, each in one slot; no request is lost."""
    swarm_lab.manager.docker("node", "update", "--label-add", "edge=true", "node1")
    with SwarmStack(swarm_lab, tmp_path, ["single.yaml"]) as stack:
        tasks = stack.until_converged(3, timeout_seconds=90)
        assert len(set(tasks.values())) == 3
        with Load(PORT, hosts=[swarm_lab.manager.address]) as load:
            stack.scale("web", 24)
            stack.until_converged(24, timeout_seconds=120)
            stack.scale("web", 6)
            stack.until_converged(6, timeout_seconds=120)
            before = set(stack.tasks("web"))
            stack.update("web")
            stack.until_updated(before, 6)
        assert load.failures == []
        assert load.answered > 100
        found = stack.slots("--backend", "web")
        ready = [row for row in found["slots"] if row["state"] == "ready"]
        assert sorted(row["address"] for row in ready) == sorted(stack.tasks("web"))
        assert found["unplaced"] == []


def test_every_haproxy_has_every_task(
    everywhere: SwarmStack, swarm_lab: SwarmLab
) -> None:
    """Scaled 3, 24, 6 with requests to all nodes; and `slots` shows all HAProxies."""
    everywhere.scale("web", 3)
    everywhere.until_converged(3, haproxies=3)
    with Load(PORT, hosts=[node.address for node in swarm_lab.nodes]) as load:
        everywhere.scale("web", 24)
        everywhere.until_converged(24, haproxies=3, timeout_seconds=120)
        everywhere.scale("web", 6)
        everywhere.until_converged(6, haproxies=3, timeout_seconds=120)
    assert load.failures == []
    haproxies = {row["haproxy"] for row in everywhere.slots("--all")["slots"]}
    assert len(haproxies) == 3
    assert all(one.startswith("tls://") for one in haproxies)


def test_a_nodes_haproxy_comes_and_goes_with_it(
    everywhere: SwarmStack, swarm_lab: SwarmLab
) -> None:
    """A node that is drained loses its HAProxy and its tasks, and no request elsewhere."""
    everywhere.scale("web", 6)
    everywhere.until_converged(6, haproxies=3)
    hosts = [node.address for node in swarm_lab.nodes[:2]]
    availability = ("node", "update", "node3", "--availability")
    with Load(PORT, hosts=hosts) as load:
        everywhere.docker(*availability, "drain")
        everywhere.until_converged(6, haproxies=2, timeout_seconds=90)
        everywhere.docker(*availability, "active")
        everywhere.until_converged(6, haproxies=3, timeout_seconds=90)
    assert load.failures == []


def test_a_lost_nodes_tasks_are_out_soon_after_it_is_known_to_be_lost(
    everywhere: SwarmStack, swarm_lab: SwarmLab
) -> None:
    """Out of every HAProxy within the engine's own detection and a second; the rest stays."""
    everywhere.scale("web", 3)
    everywhere.until_converged(3, haproxies=3)
    everywhere.scale("web", 6)  # whoever has the fewest tasks gets them
    before = everywhere.until_converged(6, haproxies=3)
    lost = swarm_lab.nodes[2]
    lost_id = lost.node_id
    others = swarm_lab.nodes[:2]
    gone = {address for address, node in before.items() if node == lost_id}
    assert gone
    homes = {
        container: {row.address: row.name for row in rows}
        for node, container in everywhere.containers("haproxy", others)
        if (rows := everywhere.servers(node, container, "web"))
    }
    swarm_lab.cut(lost)
    try:
        wait_until(
            lambda: swarm_lab.state_of(lost) == "down",
            claim="the manager knows that the node is lost",
            timeout_seconds=60,
        )
        known_at = looked_at = time.monotonic()

        def is_out() -> bool:
            nonlocal looked_at
            looked_at = time.monotonic()
            ready = everywhere.ready("web", others)
            assert len(ready) == 2
            return not any(gone & set(addresses) for addresses in ready.values())

        wait_until(is_out, claim="its tasks are out of rotation", timeout_seconds=10)
        # Asking both HAProxies takes most of a second by itself.
        assert looked_at - known_at < AFTER_DETECTION_SECONDS
        everywhere.until_converged(6, haproxies=2, nodes=others, timeout_seconds=90)
        for node, container in everywhere.containers("haproxy", others):
            now = {
                row.address: row.name
                for row in everywhere.servers(node, container, "web")
            }
            stayed = before.keys() - gone
            was = {one: homes[container][one] for one in stayed}
            assert {one: now[one] for one in stayed} == was
    finally:
        swarm_lab.mend(lost)
    wait_until(
        lambda: swarm_lab.state_of(lost) == "ready",
        claim="the node is back",
        timeout_seconds=60,
    )
    everywhere.until_converged(6, haproxies=3, timeout_seconds=90)


def test_nothing_changes_while_the_manager_does_not_answer(
    everywhere: SwarmStack, swarm_lab: SwarmLab
) -> None:
    """The map stays as it is and requests go on; afterwards all is right again.

    The tasks are on the workers: a frozen engine drops out of its overlay networks as well,
    and whoever runs on its node cannot be reached from others any more.
    """
    everywhere.scale("web", 6)
    tasks = set(everywhere.until_converged(6, haproxies=3))
    everywhere.update("web", "--constraint-add", "node.role==worker")
    everywhere.until_updated(tasks, 6, haproxies=3)
    others = swarm_lab.nodes[1:]
    before = everywhere.ready("web", others)
    with Load(PORT, hosts=[node.address for node in others]) as load:
        swarm_lab.freeze(swarm_lab.manager)
        try:
            until = time.monotonic() + OUTAGE_SECONDS
            while time.monotonic() < until:
                assert everywhere.ready("web", others) == before
                time.sleep(1)
        finally:
            load.stop()
            # It takes nodes that it has not heard of for lost, and starts much anew.
            swarm_lab.thaw(swarm_lab.manager)
    assert load.failures == []
    everywhere.scale("web", 9)
    everywhere.until_converged(9, haproxies=3, timeout_seconds=120)


def test_nothing_changes_while_the_manager_is_cut_off(
    everywhere: SwarmStack, swarm_lab: SwarmLab
) -> None:
    """HAProxies that the reconciler cannot reach keep their map, and get it right again."""
    everywhere.until_converged(9, haproxies=3)
    others = swarm_lab.nodes[1:]
    before = everywhere.ready("web", others)
    assert all(len(addresses) == 9 for addresses in before.values())
    with Load(PORT, hosts=[node.address for node in others]) as load:
        swarm_lab.cut(swarm_lab.manager)
        try:
            wait_until(
                lambda: all(swarm_lab.state_of(node) == "down" for node in others),
                claim="the manager misses the others",
                timeout_seconds=60,
            )
            time.sleep(2)
            assert everywhere.ready("web", others) == before
        finally:
            load.stop()
            swarm_lab.mend(swarm_lab.manager)
    assert load.failures == []
    everywhere.until_converged(9, haproxies=3, timeout_seconds=120)


def test_other_kinds_of_services(everywhere: SwarmStack, swarm_lab: SwarmLab) -> None:
    """Global, by DNS, with a health check, and rolled back: each task has its slot."""
    name = f"{everywhere.name}-echo"
    everywhere.docker(
        *("service", "create", "--detach", "--no-resolve-image", "--name", name),
        *("--mode", "global", "--endpoint-mode", "dnsrr"),
        *("--network", everywhere.network, "--stop-grace-period", "5s"),
        *("--label", "haproxy.backend=echo", "--label", "haproxy.weight=7"),
        # Only services of a stack know its networks by their short names.
        *("--label", f"haproxy.network={everywhere.network}"),
        *("--health-cmd", "true", "--health-interval", "1s"),
        *("--mount", f"type=bind,src={ROOT / 'compose' / 'app'},dst=/app,ro"),
        *(swarm_lab.manager.environment["WEB_IMAGE"], "python3", "-u", "/app/echo.py"),
    )
    try:

        def placed(weight: int) -> set[str]:
            tasks = swarm_lab.running(name, everywhere.network)
            assert len(tasks) == len(swarm_lab.nodes)
            for node, container in everywhere.containers("haproxy"):
                ready = {
                    row.address: row.weight
                    for row in everywhere.servers(node, container, "echo")
                    if row.name.startswith("slot") and row.is_ready and row.weight
                }
                assert ready == dict.fromkeys(tasks, weight)
            return set(tasks)

        def replaced(old: set[str]) -> set[str]:
            now = placed(9)
            assert not now & old
            return now

        first = wait_until(
            lambda: placed(7), claim="every node's task is placed", timeout_seconds=90
        )
        update = ("service", "update", "--detach", name)
        everywhere.docker(*update, "--label-add", "haproxy.weight=9")
        wait_until(lambda: placed(9) == first, claim="a label counts with no new task")
        everywhere.docker(*update, "--force", "--env-add", "NEW=1")
        second = wait_until(
            lambda: replaced(first),
            claim="every task is another",
            timeout_seconds=120,
        )
        everywhere.docker("service", "rollback", "--detach", name)
        wait_until(
            lambda: replaced(second), claim="it is rolled back", timeout_seconds=120
        )
    finally:
        everywhere.docker("service", "rm", name)


def test_two_reconcilers_fill_the_same_haproxies(
    swarm_lab: SwarmLab, everywhere: SwarmStack, tmp_path: Path
) -> None:
    """pair.yaml: one is killed in a scale-up, and the other one has done it all the same."""
    everywhere.remove()
    swarm_lab.manager.docker("node", "promote", "node2")
    try:
        with SwarmStack(swarm_lab, tmp_path, ["global.yaml", "pair.yaml"]) as pair:
            pair.until_converged(3, haproxies=3, timeout_seconds=90)
            reconcilers = wait_until(
                lambda: (
                    found if len(found := pair.containers("reconciler")) == 2 else []
                ),
                claim="there are two reconcilers",
            )
            with Load(PORT, hosts=[node.address for node in swarm_lab.nodes]) as load:
                pair.scale("web", 12)
                node, container = reconcilers[0]
                node.docker("kill", container)
                pair.until_converged(12, haproxies=3, timeout_seconds=90)
                pair.scale("web", 4)
                pair.until_converged(4, haproxies=3, timeout_seconds=90)
            assert load.failures == []
    finally:
        swarm_lab.manager.docker("node", "demote", "node2")
