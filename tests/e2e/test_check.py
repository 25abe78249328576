"""``check`` in the reconciler's own container: silent on the demo stack, and no longer."""

from __future__ import annotations

import json

from tests.support.engine import CommandError, wait_until
from tests.support.stack import Stack


LONGEST_SECONDS = 2.0
"""For the command itself. Starting it in the container comes on top."""

_TIMED = (
    "import subprocess, sys, time; began = time.monotonic(); "
    "done = subprocess.run(['reconciler', 'check', '--json'], stdout=subprocess.PIPE); "
    "print(time.monotonic() - began, done.returncode); print(done.stdout.decode())"
)


def quietly(stack: Stack) -> str:
    """Return what ``check -q`` prints, with its exit code where that is not 0."""
    try:
        return stack.exec("reconciler", "reconciler", "check", "--quiet")
    except CommandError as error:
        return str(error)


def settled(stack: Stack, count: int) -> None:
    """Wait until the containers are up and the daemon is done."""
    stack.wait_converged("web", count)
    wait_until(lambda: quietly(stack) == "", claim="check has nothing to say")


def test_nothing_to_say_on_the_demo_stack(stack: Stack) -> None:
    """Every finding is ok, -q prints nothing, and that within two seconds."""
    stack.scale("web", 3)
    settled(stack, 3)

    first, _, printed = stack.exec("reconciler", "python3", "-c", _TIMED).partition(
        "\n"
    )
    seconds, code = first.split()
    findings = json.loads(printed)["findings"]

    assert (int(code), {one["verdict"] for one in findings}) == (0, {"ok"})
    assert float(seconds) < LONGEST_SECONDS
    assert {one["code"] for one in findings} >= {
        "docker-requests",
        "haproxy-level",
        "slots",
        "template",
        "containers",
        "daemon",
    }


def test_what_an_operator_does_to_the_stack_is_seen(stack: Stack) -> None:
    """A hold, and a container on a network of its own; silent again once both are undone."""
    settled(stack, 1)
    (web,) = stack.running_containers("web")
    network = f"{stack.project}_aside"
    docker = stack.engine.docker
    stack.exec("reconciler", "reconciler", "drain", web.name)
    held = quietly(stack)
    docker("network", "create", network)
    labels = "--label=com.docker.compose.service=web"
    image = stack.engine.environment["WEB_IMAGE"]
    try:
        aside = docker(
            *("run", "--detach", "--rm", "--network", network, labels),
            "--label=com.docker.compose.container-number=1",
            *(f"--label=com.docker.compose.project={stack.project}", image),
            *("sleep", "600"),
        ).strip()
        apart = wait_until(
            lambda: next((said for said in [quietly(stack)] if network in said), ""),
            claim="check sees the network that is not shared",
        )
        docker("kill", aside)
    finally:
        wait_until(
            lambda: docker("network", "rm", network), claim="the network is removed"
        )
    stack.exec("reconciler", "reconciler", "ready", web.name)

    assert f"{web.name} ({web.address}:8000) is in drain by hand" in held
    assert "→ `reconciler ready web/slot" in held
    assert f"its address is on network {network}, and HAProxy is on" in apart
    assert f"`networks: [{stack.project}_default]`" in apart
    settled(stack, 1)
