"""What happens to containers one by one: the map follows each of them."""

from __future__ import annotations

import json

from tests.support.engine import wait_until
from tests.support.stack import Stack


DRAIN = 0x08


def test_a_killed_container_leaves_its_slot(stack: Stack) -> None:
    """`docker kill` takes the container out, and the others stay in their slots."""
    stack.scale("web", 3)
    victim, *others = stack.wait_converged("web", 3)
    homes = {row.address: row.name for row in stack.servers("web")}

    stack.engine.docker("kill", victim.id)

    stack.wait_converged("web", 2)
    now = {row.address: row.name for row in stack.servers("web")}
    assert all(now[one.address] == homes[one.address] for one in others)


def test_a_container_that_its_policy_restarts_comes_back(stack: Stack) -> None:
    """With `restart: always` a process that ends is started again, and gets a slot again."""
    (container,) = stack.wait_converged("web", 1)

    stack.exec("web", "python3", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")

    def restarted() -> bool:
        (found,) = json.loads(stack.engine.docker("inspect", container.id))
        return bool(found["RestartCount"] >= 1 and found["State"]["Running"])

    wait_until(restarted, claim="the engine restarted the container")
    assert stack.wait_converged("web", 1)[0].id == container.id


def test_a_paused_container_gets_no_requests(stack: Stack) -> None:
    """`docker pause` takes it out, `docker unpause` brings it back."""
    stack.scale("web", 2)
    paused, other = stack.wait_converged("web", 2)

    stack.engine.docker("pause", paused.id)
    wait_until(
        lambda: stack.ready_addresses("web") == [other.address],
        claim="only the container that is not paused is ready",
    )
    stack.engine.docker("unpause", paused.id)

    stack.wait_converged("web", 2)


def test_a_container_off_the_network_is_out_until_it_is_back(stack: Stack) -> None:
    """`docker network disconnect` takes it out; `connect` brings it back, wherever it is."""
    stack.scale("web", 2)
    gone, other = stack.wait_converged("web", 2)
    network = f"{stack.project}_default"

    stack.engine.docker("network", "disconnect", network, gone.id)
    wait_until(
        lambda: stack.ready_addresses("web") == [other.address],
        claim="only the container on the network is ready",
    )
    reasons = {row["container_id"]: row["cause"] for row in stack.slots()["unplaced"]}
    stack.engine.docker("network", "connect", network, gone.id)

    assert reasons == {gone.id: "no_address"}
    stack.wait_converged("web", 2)


def test_a_health_check_decides_when_a_container_gets_traffic(stack: Stack) -> None:
    """Out while starting, ready once healthy, drained in its slot while unhealthy."""
    (first,) = stack.wait_converged("web", 1)
    checked = stack.engine.docker(
        "run",
        "--detach",
        f"--name={stack.project}-checked",
        f"--network={stack.project}_default",
        "--label=haproxy.backend=web",
        f"--label=com.docker.compose.project={stack.project}",
        "--health-cmd=test -f /tmp/healthy",
        "--health-interval=500ms",
        "--health-retries=1",
        "--health-start-period=60s",
        stack.engine.environment["WEB_IMAGE"],
        *("python3", "-m", "http.server", "8000"),
    ).strip()
    try:
        wait_until(
            lambda: [u["cause"] for u in stack.slots()["unplaced"]] == ["starting"],
            claim="it waits for its health check",
        )
        assert stack.ready_addresses("web") == [first.address]

        stack.engine.docker("exec", checked, "touch", "/tmp/healthy")
        wait_until(
            lambda: len(stack.ready_addresses("web")) == 2,
            claim="it is ready once healthy",
        )

        stack.engine.docker("exec", checked, "rm", "/tmp/healthy")
        (drained,) = wait_until(
            lambda: [row for row in stack.servers("web") if row.admin & DRAIN],
            claim="it is drained while unhealthy",
        )
        assert drained.weight == 0
        assert stack.ready_addresses("web") == [first.address]
    finally:
        stack.engine.docker("rm", "--force", checked)
