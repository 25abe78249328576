"""Whose names a Swarm task has whose image Compose built: its service's, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engine import PrivateEngine, wait_until
from tests.support.intruders import APP, SERVE, Intruders
from tests.support.stack import Stack


REQUESTS = 200
SERVICE = "shop_api"
TASKS = ("--filter", f"label=com.docker.swarm.service.name={SERVICE}")

_COUNT = f"""
import collections, json, urllib.request
found = collections.Counter()
for _ in range({REQUESTS}):
    with urllib.request.urlopen("http://haproxy:8080/", timeout=10) as answer:
        found[answer.read().decode().split("\\n")[0]] += 1
print(json.dumps(found))
"""

_OVERRIDE = """
services: {{reconciler: {{environment: {{RECONCILER_SWARM: "{swarm}"}}}}}}
networks: {{default: {{driver: overlay, attachable: true}}}}
"""


@pytest.fixture(scope="module")
def swarm(private_engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """Make the engine a swarm of one, for the tests here."""
    address = ("--listen-addr", "127.0.0.1:2377", "--advertise-addr", "127.0.0.1")
    private_engine.docker("swarm", "init", *address)
    try:
        yield private_engine
    finally:
        private_engine.docker("swarm", "leave", "--force")


def task_of(engine: PrivateEngine) -> str:
    """Return the id of the container of the service's one task, once it serves."""

    def serving() -> str:
        found = engine.docker("ps", "--quiet", "--no-trunc", *TASKS).split()
        assert len(found) == 1, f"{len(found)} tasks run"
        assert "serves on port" in engine.docker("logs", *found)
        return found[0]

    return wait_until(serving, claim="the task serves")


@pytest.mark.parametrize("mode", ["off", "on"])
def test_a_task_has_its_services_name_alone(
    swarm: PrivateEngine, tmp_path: Path, mode: str
) -> None:
    """The image says `web` of this project; the task gets no request for `web`."""
    override = _OVERRIDE.format(swarm=mode)
    with (
        Stack(swarm, tmp_path, override=override) as stack,
        Intruders(stack, tmp_path) as intruders,
    ):
        stack.wait_converged("web", 1)
        image = intruders.built()
        assert intruders.labels(image)["com.docker.compose.service"] == "web"
        swarm.docker(
            *("service", "create", "--detach", "--no-resolve-image"),
            *("--name", SERVICE, "--network", f"{stack.project}_default"),
            *("--mount", f"type=bind,src={APP},dst=/app,ro", image, *SERVE),
        )
        try:
            task = task_of(swarm)
            stack.scale("web", 2)  # a newcomer is ready: what came before was looked at
            own = stack.wait_converged("web", 2)
            found = json.loads(stack.exec("probe", "python3", "-c", _COUNT))
            assert set(found) == {one.id[:12] for one in own}
            assert sum(found.values()) == REQUESTS

            told = stack.exec("reconciler", "reconciler", "explain", task[:12])
            assert f"service {SERVICE} not placed" in " ".join(told.split())
        finally:
            swarm.docker("service", "rm", SERVICE)
            wait_until(
                lambda: not swarm.docker("ps", "--all", "--quiet", *TASKS),
                claim="the task is gone",
            )
