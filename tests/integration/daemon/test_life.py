"""The map over the life of containers, of HAProxy, of Docker and of the daemon itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.daemon.conftest import (
    WEB,
    ready,
    ready_addresses,
    running,
    table,
    until,
    until_placed,
)
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon, run_cli
from tests.support.haproxy_process import HaproxyProcess


pytestmark = pytest.mark.integration


def daemon_for(
    haproxy: HaproxyProcess, engine: ScriptedEngine, *arguments: str
) -> Daemon:
    """Return a daemon between these two."""
    return Daemon(haproxy=[haproxy.url], docker=engine.url, arguments=arguments)


async def commands_done(daemon: Daemon) -> float:
    """Return how many runtime commands the daemon has given, by its own metrics."""
    answer = await daemon.get("/metrics")
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
        if sample.name == "reconciler_commands_total"
    )


async def test_scaling_up_and_down(
    haproxy: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """0 → 20 → 5 → 0 → 3: every container ready in one slot, nobody moved, no reload."""
    pid, static = haproxy.worker_pid(), table(haproxy)["sorry"]
    async with daemon_for(haproxy, engine) as daemon:
        await daemon.wait_ready()
        assert ready(haproxy) == []

        everybody = engine.run_many(20, labels=WEB)
        await until_placed(haproxy, engine, daemon)
        homes = dict(ready(haproxy))

        for one in everybody[5:]:
            engine.stop(one)
        await until_placed(haproxy, engine, daemon)
        kept = {address: homes[address] for address in running(engine)}
        assert dict(ready(haproxy)) == kept

        for one in everybody[:5]:
            engine.kill(one)
        await until_placed(haproxy, engine, daemon)
        occupied = {
            row.address
            for name, row in table(haproxy).items()
            if name.startswith("slot") and not row.address.startswith("127.255.255.")
        }
        assert occupied == set()

        for one in everybody[10:13]:
            engine.begin(one)
        await until_placed(haproxy, engine, daemon)
        assert len(ready(haproxy)) == 3

        await daemon.wait_ready()
        assert await daemon.terminate() == 0
    assert len(ready(haproxy)) == 3
    assert haproxy.worker_pid() == pid
    assert table(haproxy)["sorry"] == static
    assert engine.requests.refused == []


async def test_pause_health_and_networks_are_followed(
    haproxy: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Frozen, sick and disconnected containers get nothing, and come back by themselves."""
    async with daemon_for(haproxy, engine) as daemon:
        first = engine.run("web-1", labels=WEB)
        second = engine.run("web-2", labels=WEB, health="starting")
        await until(
            lambda: ready_addresses(haproxy) == [first.address], "the first", daemon
        )
        engine.health(second, "healthy")
        await until_placed(haproxy, engine, daemon)
        homes = dict(ready(haproxy))

        engine.health(second, "unhealthy")
        await until(
            lambda: ready_addresses(haproxy) == [first.address], "a drain", daemon
        )
        drained = table(haproxy)[homes[second.address]]
        assert (drained.address, drained.weight) == (second.address, 0)
        engine.health(second, "healthy")
        await until(lambda: dict(ready(haproxy)) == homes, "the same homes", daemon)

        engine.pause(first)
        await until(
            lambda: ready_addresses(haproxy) == [second.address], "a release", daemon
        )
        engine.unpause(first)
        await until_placed(haproxy, engine, daemon)

        engine.disconnect(first, "demo_default")
        await until(
            lambda: ready_addresses(haproxy) == [second.address], "a release", daemon
        )
        engine.connect(first, "demo_default")
        await until_placed(haproxy, engine, daemon)


async def test_haproxy_restarts_and_is_filled_again(
    haproxy: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A new process comes up empty; no hand and no event of Docker is needed."""
    engine.run_many(8, labels=WEB)
    async with daemon_for(haproxy, engine) as daemon:
        await daemon.wait_ready()
        await until_placed(haproxy, engine, daemon)

        haproxy.restart()
        await until_placed(haproxy, engine, daemon)
        await daemon.wait_log("haproxy was replaced: filling it anew")

        # Not by the log: the restart may have failed a pass, too.
        haproxy.kill()
        answer = await daemon.wait_answer("/readyz", status=503)
        await daemon.wait_log("pass failed")
        [shown] = json.loads(answer.body)["haproxy"]
        assert (shown["haproxy"], shown["reached"]) == (haproxy.url, False)
        assert shown["error"]
        haproxy.start()
        await until_placed(haproxy, engine, daemon)
        await daemon.wait_ready()


def one_more_than(count: int, haproxy: HaproxyProcess) -> Callable[[], bool]:
    """Return whether more slots than that are ready."""
    return lambda: len(ready(haproxy)) > count


async def test_killed_in_the_middle_of_a_burst(
    haproxy: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """SIGKILL while slots are filled, and again: the same slots, nobody moved, all placed."""
    async with daemon_for(haproxy, engine) as daemon:
        await daemon.wait_ready()
        for batch in range(2):
            before = dict(ready(haproxy))
            engine.run_many(6, prefix=f"burst{batch}", labels=WEB)
            await until(one_more_than(len(before), haproxy), "one more", daemon)
            await daemon.kill()
            half_way = dict(ready(haproxy))
            assert half_way.items() >= before.items()

            await daemon.start()
            await until_placed(haproxy, engine, daemon)
            assert dict(ready(haproxy)).items() >= half_way.items()
        engine.stop("burst0-1")
        await until_placed(haproxy, engine, daemon)


async def test_a_restart_when_all_is_right_writes_nothing(
    haproxy: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A second life of the daemon finds everything done: not one command, not one move."""
    engine.run_many(10, labels=WEB)
    async with daemon_for(haproxy, engine) as daemon:
        await daemon.wait_ready()
        await until_placed(haproxy, engine, daemon)
        assert await commands_done(daemon) > 0
        before = table(haproxy)
        await daemon.kill()

        await daemon.start()
        await daemon.wait_ready()
        assert await commands_done(daemon) == 0
        assert table(haproxy) == before
        done = await run_cli("plan", "--haproxy", haproxy.url, "--docker", engine.url)
        assert (done.code, done.stderr) == (0, "")
        assert "nothing to do" in done.stdout


async def test_docker_goes_and_comes_back(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Absent, then refusing: the good map is kept and told; then everything is caught up."""
    engine.run_many(5, labels=WEB)
    async with daemon_for(haproxy3, engine) as daemon:
        await daemon.wait_ready()
        await until_placed(haproxy3, engine, daemon)
        before = table(haproxy3)

        await engine.close()
        await daemon.wait_log(
            "mount the folder of its socket here, or correct --docker"
        )
        await engine.refuse()
        line = await daemon.wait_log("is the engine running?")
        assert f"docker at {engine.url} cannot be reached" in daemon.log[line]
        answer = await daemon.get("/readyz")
        shown = json.loads(answer.body)
        assert (answer.status, shown["docker"]["followed"]) == (200, False)
        assert engine.url in shown["docker"]["error"]
        assert table(haproxy3) == before

        engine.stop("web-2")
        engine.run("web-6", labels=WEB)
        await engine.restart_engine()
        await until_placed(haproxy3, engine, daemon)
        homes = dict(ready(haproxy3))
        assert {row.address: name for name, row in before.items()}.items() >= {
            address: name for address, name in homes.items() if address != "127.10.0.6"
        }.items()


async def test_started_while_docker_is_away(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A daemon that has not read Docker yet leaves the map of its former life alone."""
    engine.run_many(3, labels=WEB)
    async with daemon_for(haproxy3, engine) as daemon:
        await daemon.wait_ready()
        await until_placed(haproxy3, engine, daemon)
        await daemon.kill()
        await engine.close()
        before = table(haproxy3)

        await daemon.start()
        await daemon.wait_log("cannot be reached")
        answer = await daemon.get("/readyz")
        assert answer.status == 503
        assert json.loads(answer.body)["docker"]["read"] is False
        assert (await daemon.get("/healthz")).status == 200
        assert table(haproxy3) == before

        await engine.start()
        await daemon.wait_ready()
        assert await commands_done(daemon) == 0
        assert table(haproxy3) == before


async def test_lost_and_doubled_events_are_made_up_for(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A resync corrects the map, and counts what it had to correct."""
    async with daemon_for(haproxy3, engine, "--resync", "1") as daemon:
        await daemon.wait_ready()
        engine.events.drop(1000)
        engine.run_many(4, labels=WEB)
        engine.stop("web-1")
        await until_placed(haproxy3, engine, daemon)
        engine.events.drop(-engine.events._to_drop)
        engine.events.double(1000)
        engine.restart("web-2")
        engine.stop("web-3")
        await until_placed(haproxy3, engine, daemon)
        answer = await daemon.get("/metrics")
        families = text_string_to_metric_families(answer.body)
        samples = {s.name: s.value for family in families for s in family.samples}

        assert samples["reconciler_resync_corrections_total"] == 3


async def test_two_haproxies_are_filled_alike(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """One daemon drives both; one that is dead does not delay the other."""
    engine.run_many(3, labels=WEB)
    dead = f"unix://{engine.path.parent}/dead.sock"
    async with Daemon(haproxy=[dead, haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
        engine.run("web-4", labels=WEB)
        await until_placed(haproxy3, engine, daemon)
        answer = await daemon.get("/readyz")
        shown = {one["haproxy"]: one for one in json.loads(answer.body)["haproxy"]}

        assert answer.status == 503
        assert shown[haproxy3.url]["converged"] is True
        assert shown[dead]["reached"] is False
        assert "is haproxy running" in shown[dead]["error"]


async def test_sigterm_in_the_middle_of_waiting_for_docker(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A daemon with nothing to do yet ends as politely."""
    await engine.close()
    async with daemon_for(haproxy3, engine) as daemon:
        await daemon.wait_log("cannot be reached")

        assert await daemon.terminate() == 0
        assert "the slot map stays as it is" in daemon.log[-1]
        await asyncio.sleep(0)
