"""HAProxies that are found among the containers: they come, are filled, and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.integration.daemon.conftest import WEB, ready_addresses, running, until
from tests.scripted_engine import ScriptedContainer, ScriptedEngine
from tests.support.daemon import Daemon, run_cli
from tests.support.edge import haproxy_at
from tests.support.haproxy_process import HaproxyProcess


pytestmark = pytest.mark.integration

EDGE = {"edge": ""}
TASK = {
    "com.docker.swarm.service.name": "lb_haproxy",
    "com.docker.stack.namespace": "lb",
}
ENDPOINTS, SLOTS = 100, 110


class Edge:
    """A HAProxy and its container."""

    def __init__(self, container: ScriptedContainer, haproxy: HaproxyProcess) -> None:
        self.container = container
        self.haproxy = haproxy

    @property
    def url(self) -> str:
        """What it goes by."""
        return f"tcp://{self.container.address}:9999"

    def has(self, addresses: list[str]) -> bool:
        """Whether exactly these are ready, each once."""
        return ready_addresses(self.haproxy) == addresses


class Edges:
    """Starts HAProxies, each with a container that the engine tells of."""

    def __init__(self, engine: ScriptedEngine, stack: ExitStack) -> None:
        self._engine = engine
        self._stack = stack

    async def come(self, name: str, labels: dict[str, str] = EDGE) -> Edge:
        """Start one: its container first, as an engine does, then the process in it."""
        container = self._engine.run(name, labels=labels)
        haproxy = await asyncio.to_thread(self._started, container.address)
        return Edge(container, haproxy)

    def _started(self, address: str) -> HaproxyProcess:
        return self._stack.enter_context(haproxy_at(address, slots=SLOTS))


@pytest.fixture
def edges(engine: ScriptedEngine) -> Iterator[Edges]:
    """A way to start HAProxies, all of which are ended after."""
    with ExitStack() as stack:
        yield Edges(engine, stack)


async def until_full(some: list[Edge], addresses: list[str], daemon: Daemon) -> None:
    """Return once every one of them has these endpoints, and the daemon says so."""
    for one in some:
        await until(
            lambda one=one: one.has(addresses),  # type: ignore[misc] # bound now
            f"{one.url} full",
            daemon,
        )
    await daemon.wait_ready()


async def shown(daemon: Daemon) -> list[str]:
    """Return which HAProxies the daemon has."""
    detail = json.loads((await daemon.get("/readyz")).body)
    return sorted(one["haproxy"] for one in detail["haproxy"])


async def until_leaving(daemon: Daemon) -> None:
    """Return once the daemon knows that a HAProxy is about to end."""
    async with asyncio.timeout(10):
        while '"leaving": true' not in (await daemon.get("/readyz")).body:  # noqa: ASYNC110 - it is asked, it does not tell
            await asyncio.sleep(0.01)


def urls(some: list[Edge]) -> list[str]:
    """Return what they go by, sorted."""
    return sorted(one.url for one in some)


async def test_scaling_haproxy_from_one_to_five(
    engine: ScriptedEngine, edges: Edges
) -> None:
    """Each that comes is filled, each that goes leaves no trace, and nobody is told twice."""
    engine.run_many(ENDPOINTS, labels=WEB)
    addresses = running(engine)
    async with Daemon(haproxy=["docker://edge"], docker=engine.url) as daemon:
        await daemon.wait_log("following docker")
        none = await daemon.get("/readyz")
        first = await edges.come("edge-1")
        await until_full([first], addresses, daemon)
        others = [await edges.come(f"edge-{number}") for number in range(2, 6)]
        everybody = [first, *others]
        await until_full(everybody, addresses, daemon)
        assert await shown(daemon) == urls(everybody)

        looked = await run_cli(
            *("slots", "--json", "--haproxy", "docker://edge", "--docker", engine.url)
        )
        rows = json.loads(looked.stdout)["slots"]
        full = [row["haproxy"] for row in rows if row["state"] == "ready"]
        served = (await daemon.slots())["slots"]

        gone = others[0]
        engine.signal(gone.container)
        await until_leaving(daemon)
        gone.haproxy.stop()
        engine.die(gone.container)
        await daemon.wait_log("haproxy has gone")
        staying = [one for one in everybody if one is not gone]
        after = await shown(daemon)
        text = (await daemon.get("/metrics")).body
        engine.stop("web-1")
        await until_full(staying, sorted(set(addresses) - {gone_of(engine)}), daemon)

    assert none.status == 503
    assert json.loads(none.body)["problems"] == ["no haproxy found by docker://edge"]
    assert looked.code == 0
    assert {url: full.count(url) for url in full} == {
        one.url: ENDPOINTS for one in everybody
    }
    assert len(served) == 5 * SLOTS
    assert after == urls(staying)
    assert gone.url not in text
    said = [line for line in daemon.log if "found haproxy in container" in line]
    assert len(said) == 5
    warned = [line for line in daemon.log if "WARNING" in line or "ERROR" in line]
    assert [
        line for line in warned if "no haproxy found by docker://edge" not in line
    ] == []


def gone_of(engine: ScriptedEngine) -> str:
    """Return the address of the container that was stopped."""
    return engine.find("web-1").address


async def test_one_that_comes_back_has_another_address(
    engine: ScriptedEngine, edges: Edges
) -> None:
    """It is another HAProxy by another name, and as full as the first."""
    engine.run_many(3, labels=WEB)
    addresses = running(engine)
    async with Daemon(haproxy=["swarm://haproxy"], docker=engine.url) as daemon:
        first = await edges.come("lb_haproxy.1.a", TASK)
        await until_full([first], addresses, daemon)
        first.haproxy.stop()
        engine.stop(first.container)
        engine.remove(first.container)
        await daemon.wait_log("haproxy has gone")
        second = await edges.come("lb_haproxy.1.b", TASK)
        await until_full([second], addresses, daemon)
        assert await shown(daemon) == [second.url]
    assert second.url != first.url


async def test_nobody_is_lost_with_docker(engine: ScriptedEngine, edges: Edges) -> None:
    """While the engine does not answer the same HAProxies are kept, and kept full."""
    engine.run_many(3, labels=WEB)
    addresses = running(engine)
    async with Daemon(haproxy=["docker://edge"], docker=engine.url) as daemon:
        both = [await edges.come("edge-1"), await edges.come("edge-2")]
        await until_full(both, addresses, daemon)
        await engine.refuse()
        await daemon.wait_log("docker is not followed")
        kept = await shown(daemon)
        await asyncio.to_thread(both[1].haproxy.restart)
        await until(lambda: both[1].has(addresses), "filled anew", daemon)
        engine.path.unlink()
        await engine.start()
        await daemon.wait_log("following docker", after=len(daemon.log))
        again = await shown(daemon)

    assert kept == again == urls(both)
    assert [line for line in daemon.log if "haproxy has gone" in line] == []


async def test_commands_find_the_same_ones(
    engine: ScriptedEngine, edges: Edges, haproxy3: HaproxyProcess
) -> None:
    """One that is found and one that is given are both read, moved and checked."""
    engine.run("web-1", labels=WEB)
    edge = await edges.come("edge-1")
    addresses = ["127.10.0.1"]
    mixed = (haproxy3.url, "docker://edge")
    common = [part for url in mixed for part in ("--haproxy", url)]
    common += ["--docker", engine.url]
    async with Daemon(haproxy=mixed, docker=engine.url) as daemon:
        await until_full([edge], addresses, daemon)
        listen = ("--listen", f"127.0.0.1:{daemon.port}")
        planned = await run_cli("plan", *common)
        drained = await run_cli("drain", "web-1", "--json", *common)
        told = await run_cli("explain", "web-1", *common)
        checked = await run_cli("check", *common, *listen)

    moved = json.loads(drained.stdout)["slots"]
    assert [one["haproxy"] for one in moved] == [haproxy3.url, edge.url]
    assert [planned.code, drained.code, told.code] == [0, 0, 0]
    assert edge.url in told.stdout
    assert f"haproxy {edge.url}" in checked.stdout
    assert "found in container edge-1" in checked.stdout
    assert "daemon-haproxies" not in checked.stdout


async def test_what_is_given_is_read_without_docker(
    engine: ScriptedEngine, haproxy3: HaproxyProcess
) -> None:
    """The sources that cannot be asked are named, and the rest is shown."""
    await engine.refuse()
    common = ("--haproxy", haproxy3.url, "--haproxy", "swarm://lb")
    looked = await run_cli("slots", "--all", *common, "--docker", engine.url)
    moved = await run_cli(
        *("drain", "web/slot1", "--haproxy", "swarm://lb", "--docker", engine.url)
    )

    assert looked.code == 1
    assert "web" in looked.stdout
    unknown = "haproxies by swarm://lb are not known while docker cannot be read"
    assert unknown in looked.stderr
    assert moved.code == 1
    assert unknown in moved.stderr


async def test_a_container_without_an_address_is_named(
    engine: ScriptedEngine,
) -> None:
    """By the commands; the daemon's health, which anybody may ask, only counts it."""
    engine.run("edge-1", labels=EDGE, networks={"host": ""}, network_mode="host")
    common = ("--haproxy", "docker://edge", "--docker", engine.url)
    looked = await run_cli("slots", *common)
    async with Daemon(haproxy=["docker://edge"], docker=engine.url) as daemon:
        await daemon.wait_log("following docker")
        answer = await daemon.get("/readyz")

    assert looked.code == 1
    assert "container edge-1 is meant by docker://edge, but " in looked.stderr
    assert answer.status == 503
    assert json.loads(answer.body)["problems"] == [
        "no address is known of 1 container meant by docker://edge"
    ]
