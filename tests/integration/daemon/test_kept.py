"""Containers that run on keep their slots, whatever changes around them: on a real HAProxy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.integration.daemon.conftest import (
    WEB,
    ready,
    ready_addresses,
    table,
    until,
    until_placed,
)
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon, run_cli
from tests.support.haproxy_process import HaproxyProcess, haproxy_process
from tests.support.schemas import validator


pytestmark = pytest.mark.integration

ALL = ("--max-release", "100")


def slots_of(haproxy: HaproxyProcess) -> Mapping[str, str]:
    """Return the slot of each address in rotation."""
    return dict(ready(haproxy))


async def kept(daemon: Daemon) -> dict[str, int]:
    """Return what ``/readyz`` says of who keeps a slot."""
    detail = json.loads((await daemon.get("/readyz")).body)
    counted: dict[str, int] = detail["haproxy"][0]["kept"]
    return counted


async def ask(
    haproxy: HaproxyProcess, engine: ScriptedEngine, *arguments: str
) -> dict[str, object]:
    """Return what a command prints as JSON."""
    done = await run_cli(
        *(*arguments, "--json", "--haproxy", haproxy.url, "--docker", engine.url)
    )
    shown: dict[str, object] = json.loads(done.stdout)
    return shown


@pytest.mark.parametrize("version", ["2.6", "3.0"])
async def test_a_second_network_takes_no_slot_away(
    version: str, engine: ScriptedEngine
) -> None:
    """Tenants stay and are told of once; a newcomer like them waits, with the reason."""
    tenants = engine.run_many(2, labels=WEB)
    with haproxy_process(version) as haproxy:
        async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
            await until_placed(haproxy, engine, daemon)
            before = slots_of(haproxy)
            for one in tenants:
                engine.connect(one, "mon")
            await daemon.wait_log("web-2 keeps web/")
            newcomer = engine.run(
                "late", labels=WEB, networks={"demo_default": "127.10.9.1", "mon": ""}
            )
            await daemon.wait_log("late has no slot in backend web")

            assert slots_of(haproxy) == before
            assert await kept(daemon) == {"unclear": 2, "limit": 0}
            told = [line for line in daemon.log if "keeps web/" in line]
            assert len(told) == 2
            assert not any("its endpoint has gone" in line for line in daemon.log)

            engine.disconnect(newcomer, "mon")
            await daemon.wait_log("assigned late")
            engine.signal(tenants[0])
            await until(
                lambda: tenants[0].address not in ready_addresses(haproxy),
                "who stops is out, unclear or not",
                daemon,
            )
            engine.die(tenants[0])
            await until(
                lambda: (
                    tenants[0].address
                    not in [r.address for r in table(haproxy).values()]
                ),
                "its end frees the slot",
                daemon,
            )
            engine.disconnect(tenants[1], "demo_default")
            await until(
                lambda: len(ready_addresses(haproxy)) == 2,
                "it has another address now",
                daemon,
            )


async def test_a_restart_with_another_project_leaves_half(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """The rest serves on, is shown everywhere, and goes when somebody says so."""
    engine.run_many(4, labels=WEB)
    url = {"haproxy": [haproxy3.url], "docker": engine.url}
    async with Daemon(**url) as daemon:  # type: ignore[arg-type] # by name
        await until_placed(haproxy3, engine, daemon)
    other = ("--project", "other")
    async with Daemon(**url, arguments=other) as daemon:  # type: ignore[arg-type]
        await until(lambda: len(ready(haproxy3)) == 2, "half is released", daemon)
        await daemon.wait_ready()

        assert await kept(daemon) == {"unclear": 0, "limit": 2}
        assert any("--max-release 100" in line for line in daemon.log)
        plan = await ask(haproxy3, engine, "plan", *other)
        validator("plan").validate(plan)
        assert [one["cause"] for one in plan["kept"]] == ["limit", "limit"]  # type: ignore[attr-defined]
        assert plan["converged"] is True
        check = await ask(haproxy3, engine, "check", *other, "--listen", "off")
        assert "release-limit" in json.dumps(check)
        name = str(plan["kept"][0]["container"])  # type: ignore[index]
        explained = await ask(haproxy3, engine, "explain", name, *other)
        assert explained["placed"] is True
        assert "--max-release 100" in str(explained["verdict"])
        text = (await daemon.get("/metrics")).body
        assert 'backend="web",cause="limit",haproxy="' in text

    async with Daemon(**url, arguments=other) as daemon:  # type: ignore[arg-type]
        await daemon.wait_ready()
        assert len(ready(haproxy3)) == 2, "a restart lets no more go"

    async with Daemon(**url, arguments=(*other, *ALL)) as daemon:  # type: ignore[arg-type]
        await until(lambda: ready(haproxy3) == [], "all are released", daemon)


async def test_a_restart_with_another_network_moves_half(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Each that moves has its new slot in the same pass; taken back, nothing is left of it."""
    for number in range(1, 5):
        networks = {"front": f"127.10.1.{number}", "back": f"127.10.2.{number}"}
        engine.run(f"web-{number}", labels=WEB, networks=networks)
    url = {"haproxy": [haproxy3.url], "docker": engine.url}
    async with Daemon(**url, arguments=("--network", "front")) as daemon:  # type: ignore[arg-type]
        await until(lambda: len(ready(haproxy3)) == 4, "all are placed", daemon)
    async with Daemon(**url, arguments=("--network", "back")) as daemon:  # type: ignore[arg-type]
        await daemon.wait_ready()
        nets = sorted(address.split(".")[2] for address in ready_addresses(haproxy3))
        assert nets == ["1", "1", "2", "2"]
    async with Daemon(**url, arguments=("--network", "nowhere")) as daemon:  # type: ignore[arg-type]
        await daemon.wait_ready()
        assert await kept(daemon) == {"unclear": 4, "limit": 0}
        assert len(ready(haproxy3)) == 4


async def test_an_address_given_to_another_is_no_reason_to_keep_it(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Who lived there has ended while nobody looked: another service has its address now."""
    one = engine.run("web-1", labels=WEB)
    url = {"haproxy": [haproxy3.url], "docker": engine.url}
    async with Daemon(**url) as daemon:  # type: ignore[arg-type] # by name
        await until_placed(haproxy3, engine, daemon)
    engine.remove(one)
    redis = {**WEB, "com.docker.compose.service": "redis"}
    engine.run("redis-1", labels=redis, address=one.address)
    async with Daemon(**url) as daemon:  # type: ignore[arg-type] # by name
        await until(lambda: ready(haproxy3) == [], "its slot is released", daemon)
        assert await kept(daemon) == {"unclear": 0, "limit": 0}


async def test_the_default_port_needs_no_file(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Free slots tell it, after a release and a restart of the daemon, too."""
    silent = engine.run("web-1", labels=WEB, ports=())
    labelled = engine.run("web-2", labels={**WEB, "haproxy.port": "9009"}, ports=())
    url = {"haproxy": [haproxy3.url], "docker": engine.url}
    async with Daemon(**url) as daemon:  # type: ignore[arg-type] # by name
        await until_placed(haproxy3, engine, daemon)
        rows = {row.address: row for row in table(haproxy3).values()}
        assert (rows[silent.address].port, rows[labelled.address].port) == (8000, 9009)
        engine.remove(labelled)
        await until(lambda: len(ready(haproxy3)) == 1, "it is released", daemon)
        free = {row.port for row in table(haproxy3).values() if row.is_free}
        assert free == {8000}
    engine.run("web-3", labels=WEB, ports=(1, 2))
    async with Daemon(**url) as daemon:  # type: ignore[arg-type] # by name
        await until_placed(haproxy3, engine, daemon)
        assert {row.port for row in table(haproxy3).values() if row.is_ready} >= {8000}
        steps = json.dumps(await ask(haproxy3, engine, "explain", "web-3"))
        assert "free slots of backend web" in steps


async def test_free_slots_that_disagree_tell_no_port(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Whoever tells none itself is not placed, and the reason has both ports."""
    haproxy3.raw("set server web/slot64 addr 127.255.255.1 port 9100")
    engine.run("web-1", labels=WEB, ports=())
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await daemon.wait_log("free slots of backend web disagree (8000, 9100)")

        assert ready(haproxy3) == []


async def test_haproxy_decides_the_conditions_of_its_file(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, tmp_path: Path
) -> None:
    """By its environment, which is not ours: the daemon and the commands ask for it."""
    line = "    server-template slot 1-64 127.255.255.1:{} check disabled\n"
    path = tmp_path / "base.cfg"
    path.write_text(
        "backend web\n.if defined(HAPROXY_SOCKET)\n"
        f"{line.format(8123)}.else\n{line.format(8124)}.endif\n"
    )
    haproxy3.raw("set server web/slot64 addr 127.255.255.1 port 9100")
    engine.run("web-1", labels=WEB, ports=())
    more = ("--base-cfg", str(path))

    planned = await ask(haproxy3, engine, "plan", *more)
    async with Daemon(
        haproxy=[haproxy3.url], docker=engine.url, arguments=more
    ) as daemon:
        await until_placed(haproxy3, engine, daemon)

        assert table(haproxy3)["slot1"].port == 8123
    assert '"port": 8123' in json.dumps(planned)
