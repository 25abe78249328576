"""Who gets the requests, counted: networks that come, checks and agents that disagree."""

from __future__ import annotations

import http.client
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.engine import ROOT, Engine, wait_until
from tests.support.stack import Stack


APPLICATION = ROOT / "tests" / "support" / "roles.py"
TEMPLATE = "    server-template slot 1-64 127.255.255.1:8000 disabled"


def posted(stack: Stack, count: int) -> Counter[str]:
    """POST so many times through HAProxy; return the answers by their first line.

    What HAProxy answers itself counts under its status. A POST is never tried twice.
    """
    found: Counter[str] = Counter()
    for _ in range(count):
        connection = http.client.HTTPConnection(
            "127.0.0.1", stack.http_port, timeout=20
        )
        try:
            connection.request("POST", "/", body=b"x")
            answer = connection.getresponse()
            text = answer.read().decode().partition("\n")[0]
            is_haproxys = answer.status in {502, 503, 504}
            found[str(answer.status) if is_haproxys else text] += 1
        finally:
            connection.close()
    return found


def failed(found: Counter[str]) -> int:
    """Return how many requests met no container."""
    return sum(count for word, count in found.items() if word in {"502", "503", "504"})


@contextmanager
def network(stack: Stack, *containers: str) -> Iterator[None]:
    """Make a network and connect these containers, one after the other; undone after."""
    name = f"{stack.project}-mon"
    stack.engine.docker("network", "create", name)
    try:
        for one in containers:
            stack.engine.docker("network", "connect", name, one)
        yield
    finally:
        for one in containers:
            stack.engine.docker("network", "disconnect", "--force", name, one)
        stack.engine.docker("network", "rm", name)


def homes(stack: Stack) -> dict[str, str]:
    """Return the slot of each address in rotation."""
    rows = stack.servers("web")
    return {
        row.address: row.name for row in rows if row.name != "sorry" and row.is_ready
    }


def test_a_second_network_costs_no_request(stack: Stack) -> None:
    """Neither on the serving containers, nor on the reconciler's own beside them."""
    stack.scale("web", 2)
    served = stack.wait_converged("web", 2)
    before = homes(stack)
    with network(stack, *(one.id for one in served)):
        assert failed(posted(stack, 100)) == 0
        assert homes(stack) == before
    with network(stack, *(one.id for one in served), stack.container("reconciler")):
        assert failed(posted(stack, 100)) == 0
        assert homes(stack) == before
        explained = stack.exec("reconciler", "reconciler", "explain", served[0].name)
        assert "it keeps its slot, though it shares several networks" in explained
    stack.wait_converged("web", 2)


def roles(folder: Path, options: str, *, reconciler: str = "") -> str:
    """Return an override: ``web`` is a primary, ``replica`` is none and is in its backend.

    ``options`` are added to the line of slots of the shipped configuration, or stand above.
    """
    config = folder / "base.cfg"
    text = (ROOT / "haproxy" / "base.cfg").read_text()
    assert text.count(TEMPLATE) == 1
    config.write_text(text.replace(TEMPLATE, options.replace("TEMPLATE", TEMPLATE)))
    return f"""
x-role: &role
  image: ${{WEB_IMAGE}}
  user: "10003:10003"
  command: [python3, -u, /roles/{APPLICATION.name}]
  volumes: ["{APPLICATION.parent}:/roles:ro"]
  stop_grace_period: 1s
  healthcheck: {{test: ["CMD", "true"], interval: 1s}}
services:
  haproxy: {{volumes: ["{config}:/etc/haproxy/base.cfg:ro"]}}
  reconciler:
    volumes: ["{config}:/etc/haproxy/base.cfg:ro"]
    environment: {{RECONCILER_RESYNC: "1", {reconciler}}}
  web: {{<<: *role, environment: {{ROLE: primary, AGENT: "100%"}}}}
  replica:
    <<: *role
    labels: {{haproxy.backend: web}}
    environment: {{ROLE: replica, AGENT: "0%"}}
"""


def hostname(stack: Stack, service: str) -> str:
    """Return what the one container of a service calls itself."""
    return stack.exec(service, "hostname").strip()


def has_slot(stack: Stack, service: str) -> bool:
    """Whether the container of a service has a slot."""
    (one,) = stack.running_containers(service)
    return one.address in {row.address for row in stack.servers("web")}


def test_dockers_word_is_not_haproxys(engine: Engine, tmp_path: Path) -> None:
    """A healthy replica gets no write, on its arrival nor after a restart of HAProxy."""
    check = "    option httpchk GET /primary\n    default-server inter 1s fall 3 rise 2\nTEMPLATE"
    with Stack(engine, tmp_path, override=roles(tmp_path, check)) as stack:
        primary, replica = hostname(stack, "web"), hostname(stack, "replica")
        wait_until(lambda: has_slot(stack, "replica"), claim="the replica has a slot")
        wait_until(
            lambda: stack.ready_addresses("web"), claim="the primary's check has passed"
        )
        found = posted(stack, 60)
        assert (found[replica], found[primary]) == (0, 60)

        stack.engine.docker("restart", stack.container("replica"))
        found = posted(stack, 60)
        stack.compose("restart", "haproxy")
        wait_until(lambda: has_slot(stack, "replica"), claim="the replica has a slot")
        while not stack.ready_addresses("web"):
            found += posted(stack, 5)
        found += posted(stack, 60)
        assert found[replica] == 0
        assert found[primary] >= 60


def test_an_agents_nothing_is_nothing(engine: Engine, tmp_path: Path) -> None:
    """A container whose agent says 0 % gets nothing, however often all is read anew."""
    agent = "TEMPLATE weight 100 agent-check agent-port 8765 agent-inter 200ms"
    with Stack(engine, tmp_path, override=roles(tmp_path, agent)) as stack:
        replica = hostname(stack, "replica")
        wait_until(lambda: has_slot(stack, "replica"), claim="the replica has a slot")
        (one,) = stack.running_containers("replica")

        def weight() -> int:
            rows = {row.address: row for row in stack.servers("web")}
            return rows[one.address].weight

        wait_until(lambda: weight() == 0, claim="its agent was heard")
        found: Counter[str] = Counter()
        for _ in range(4):  # about a resync each
            found += posted(stack, 100)
            assert weight() == 0
        assert (found[replica], failed(found)) == (0, 0)
