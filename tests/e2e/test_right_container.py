"""Who gets the requests, counted: networks that come, checks and agents that disagree."""

from __future__ import annotations

import http.client
import threading
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


class Sticky(threading.Thread):
    """A client that keeps its cookie and its connection, and POSTs until it is told to end."""

    def __init__(self, port: int, ends: threading.Event) -> None:
        super().__init__(daemon=True)
        self._port, self._ends = port, ends
        self.by: Counter[str] = Counter()
        """Answers by the container, or by HAProxy's status."""

    def run(self) -> None:
        """POST, at most so often."""
        cookie = ""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        for _ in range(MOST_POSTS):
            if self._ends.is_set():
                break
            headers = {"Cookie": cookie} if cookie else {}
            try:
                connection.request("POST", "/", body=b"x", headers=headers)
                answer = connection.getresponse()
                text = answer.read().decode().strip()
                given = answer.getheader("Set-Cookie")
                cookie = given.partition(";")[0] if given else cookie
                self.by[text if answer.status == 200 else str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.by[repr(error)] += 1
                connection.close()
        connection.close()


MOST_POSTS = 20_000


def test_sticky_clients_leave_with_the_stop_signal(
    engine: Engine, tmp_path: Path
) -> None:
    """From containers that ignore SIGTERM for a second: no POST is late, and none is lost."""
    cookie = (
        "    cookie SRV insert indirect nocache dynamic\n"
        "    dynamic-cookie-key secret\nTEMPLATE"
    )
    override = (
        roles(tmp_path, cookie)
        .replace('ROLE: primary, AGENT: "100%"', 'ROLE: primary, STOP_SECONDS: "1"')
        .replace("stop_grace_period: 1s", "stop_grace_period: 5s")
    )
    with Stack(engine, tmp_path, override=override) as stack:
        stack.engine.docker("rm", "--force", stack.container("replica"))
        stack.scale("web", 3)
        served = stack.wait_converged("web", 3)
        ends = threading.Event()
        clients = [Sticky(stack.http_port, ends) for _ in range(6)]
        for client in clients:
            client.start()
        wait_until(
            lambda: all(sum(one.by.values()) > 50 for one in clients),
            claim="all clients are served",
        )
        assert len({next(iter(one.by)) for one in clients}) == 3
        said = []
        for one in served[:2]:
            stack.engine.docker("stop", one.id)
            said.append(stack.engine.docker("logs", one.id).splitlines()[-1])
        ends.set()
        for client in clients:
            client.join()

        assert all(line.endswith("requests, 0 of them late") for line in said), said
        answered = sum((one.by for one in clients), Counter[str]())
        assert len(answered) == 3, f"only the three containers answered: {answered}"
