"""slots, plan, explain and check against a real HAProxy and a scripted engine."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.integration.daemon.conftest import WEB, table, until_placed
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon, Done, run_cli
from tests.support.haproxy_process import BASE_CFG, HaproxyProcess
from tests.support.ports import free_port
from tests.support.schemas import validator


pytestmark = pytest.mark.integration

SLOT_KEYS = [
    *("haproxy", "backend", "slot", "state", "address", "port", "weight", "sessions"),
    *("check", "container_id", "container", "service", "project", "held"),
    *("requests_per_second", "age_seconds"),
]
UNPLACED_KEYS = [
    *("haproxy", "backend", "container_id", "container", "service", "project"),
    *("address", "port", "reason"),
]


async def ask(haproxy: HaproxyProcess, engine: ScriptedEngine, *arguments: str) -> Done:
    """Run a command between these two."""
    return await run_cli(*arguments, "--haproxy", haproxy.url, "--docker", engine.url)


async def test_what_a_pass_would_do_is_what_it_then_does(
    haproxy: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Exit 3 and the changes before; exit 0 and the slots after; nothing changed by asking."""
    engine.run_many(2, labels=WEB)
    engine.run("bad", labels={**WEB, "haproxy.port": "70000"})
    before = table(haproxy)

    shown, text = await asyncio.gather(
        ask(haproxy, engine, "plan", "--json"), ask(haproxy, engine, "plan")
    )

    plan = json.loads(shown.stdout)
    validator("plan").validate(plan)
    assert (shown.code, text.code, shown.stderr) == (3, 3, "")
    assert table(haproxy) == before
    assert plan["converged"] is False
    first, second = plan["changes"]
    assert [(c["kind"], c["slot"]) for c in (first, second)] == [
        ("assign", "slot1"),
        ("assign", "slot2"),
    ]
    assert {c["container"] for c in (first, second)} == {"web-1", "web-2"}
    assert first["commands"][:3] == [
        "set server web/slot1 weight 0",
        "set server web/slot1 state maint",
        f"set server web/slot1 addr {first['address']} port 8000",
    ]
    assert [one["container"] for one in plan["unplaced"]] == ["bad"]
    assert "web-1" in text.stdout
    assert "! web ← bad " in text.stdout
    assert "2 to assign; 1 not placed" in text.stdout

    async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
        await daemon.wait_ready()
    done = await ask(haproxy, engine, "plan", "--json")
    assert done.code == 0
    assert json.loads(done.stdout)["converged"] is True
    assert json.loads(done.stdout)["changes"] == []


async def test_slots(haproxy3: HaproxyProcess, engine: ScriptedEngine) -> None:
    """The contract of the JSON, and the same map from the daemon and without it."""
    one = engine.run("web-1", labels=WEB)
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
        await daemon.wait_ready()
        engine.run("bad", labels={**WEB, "haproxy.weight": "-1"})
        await daemon.wait_log("container bad has no slot")
        served = await daemon.slots()
    done = await ask(haproxy3, engine, "slots", "--json")
    shown = json.loads(done.stdout)

    assert (done.code, done.stderr) == (0, "")
    assert list(shown) == ["slots", "unplaced"]
    for found in (shown, served):
        validator("slots").validate(found)
    assert {tuple(row) for row in shown["slots"]} == {tuple(SLOT_KEYS)}
    assert len(shown["slots"]) == 64 + 32
    [row] = [row for row in shown["slots"] if row["state"] != "free"]
    expected: dict[str, object] = {"haproxy": haproxy3.url, "backend": "web"}
    expected |= {"slot": "slot1", "address": one.address, "port": 8000}
    expected |= {"weight": 1, "sessions": 0, "container_id": one.id}
    expected |= {"container": "web-1", "service": "web", "project": "demo"}
    assert row.items() >= expected.items()
    assert row["state"] in {"ready", "down"}
    assert row["check"]
    [left_out] = shown["unplaced"]
    assert [key for key in left_out if key != "cause"] == UNPLACED_KEYS
    assert left_out["container"] == "bad"

    def without_statistics(found: dict[str, Any]) -> list[dict[str, Any]]:
        unread = dict.fromkeys(
            ("check", "sessions", "state", "requests_per_second", "age_seconds")
        )
        return [one | unread for one in found["slots"]]

    assert without_statistics(served) == without_statistics(shown)
    assert served["unplaced"] == shown["unplaced"]


async def test_slots_for_people(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A table without colours where it is piped; a backend that is not there is exit 1."""
    one = engine.run("web-1", labels=WEB)
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)

    everything, with_free, nowhere = await asyncio.gather(
        ask(haproxy3, engine, "slots"),
        ask(haproxy3, engine, "slots", "--backend", "echo", "--all"),
        ask(haproxy3, engine, "slots", "--backend", "nowhere"),
    )

    assert everything.code == 0
    assert "\x1b" not in everything.stdout
    assert f"web-1 ({one.id[:12]})" in everything.stdout
    assert f"{one.address}:8000" in everything.stdout
    assert "63 free" in everything.stdout
    assert "web" not in with_free.stdout.replace("haproxy-", "")
    assert "slot32" in with_free.stdout
    assert nowhere.code == 1
    assert "no haproxy has a backend nowhere with slots" in nowhere.stderr


async def test_explain(haproxy3: HaproxyProcess, engine: ScriptedEngine) -> None:
    """Why a container is where it is, by name and by id; and why another is nowhere."""
    one = engine.run("web-1", labels=WEB)
    engine.stop(engine.run("gone", labels=WEB))
    engine.run("hostile", labels={**WEB, "haproxy.port": "80\x1b[31m;\n"})
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await daemon.wait_ready()

    placed, hostile, gone, nobody = await asyncio.gather(
        ask(haproxy3, engine, "explain", one.id[:12], "--json"),
        ask(haproxy3, engine, "explain", "hostile"),
        ask(haproxy3, engine, "explain", "gone"),
        ask(haproxy3, engine, "explain", "nobody"),
    )

    shown = json.loads(placed.stdout)
    validator("explain").validate(shown)
    assert list(shown) == ["container_id", "container", "placed", "steps", "verdict"]
    assert shown["verdict"].startswith("placed: web/slot1 is ")
    assert (shown["container"], shown["placed"]) == ("web-1", True)
    keys = ("rule", "passes", "evidence", "tried", "mend", "haproxy", "slot")
    assert {tuple(step) for step in shown["steps"]} == {keys}
    assert "web/slot1 is" in shown["steps"][-1]["evidence"]
    assert (hostile.code, gone.code) == (0, 0)
    assert '"80\\x1b[31m;\\n" → it must be an integer' in hostile.stdout
    assert "\x1b" not in hostile.stdout
    assert "not placed: it is not running → start it" in gone.stdout
    assert nobody.code == 1
    assert 'docker has no container "nobody": see `docker ps -a`' in nobody.stderr


async def test_check(haproxy: HaproxyProcess, engine: ScriptedEngine) -> None:
    """Without a daemon: exit 0, and every part is named; a bad label makes it 1."""
    cfg = ("--base-cfg", str(BASE_CFG))
    good, quiet = await asyncio.gather(
        ask(haproxy, engine, "check", "--listen", f"127.0.0.1:{free_port()}", *cfg),
        ask(haproxy, engine, "check", "--quiet", "--listen", "off", *cfg),
    )
    engine.run("bad", labels={**WEB, "haproxy.port": "x"})
    bad = await ask(haproxy, engine, "check", "--json")

    assert (good.code, good.stderr) == (0, "")
    assert "FAIL" not in good.stdout
    for words in (
        "ok   engine 20.10.24-scripted, API 1.41, 0 running containers",
        f"ok   haproxy {haproxy.version}",
        "ok   may change servers (level admin)",
        "ok   64 slots, 64 free",
        "backend web, default port 8000",
        "no daemon answers there: nobody keeps the map",
    ):
        assert words in good.stdout
    # 2.6 reuses connections of former tenants, which is worth a note.
    assert quiet.stdout.count("\n") == (4 if haproxy.version == "2.6" else 0)
    assert bad.code == 1
    validator("check").validate(json.loads(bad.stdout))
    failed = [
        one for one in json.loads(bad.stdout)["findings"] if one["verdict"] == "FAIL"
    ]
    assert [(one["thing"], one["code"]) for one in failed] == [
        ("container bad", "container-label")
    ]
    assert table(haproxy)["slot1"].address == "127.255.255.1"


async def test_base_cfg_gives_ports(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A container that exposes nothing gets the port that is given, else on its line.

    The free slots tell it themselves, where they agree.
    """
    haproxy3.raw("set server web/slot64 addr 127.255.255.1 port 9100")
    engine.run("web-1", labels=WEB, ports=[])

    without, with_cfg, by_flag = await asyncio.gather(
        ask(haproxy3, engine, "plan", "--json"),
        ask(haproxy3, engine, "plan", "--json", "--base-cfg", str(BASE_CFG)),
        ask(haproxy3, engine, "plan", "--json", "--backend-port", "web=81"),
    )

    assert json.loads(without.stdout)["changes"] == []
    ports = [
        json.loads(one.stdout)["changes"][0]["port"] for one in (with_cfg, by_flag)
    ]
    assert ports == [8000, 81]


async def test_no_colour_in_a_terminal_that_wants_none(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Forced colours appear, and NO_COLOR takes them away."""
    arguments = ("check", "--haproxy", haproxy3.url, "--docker", engine.url)
    forced = {"FORCE_COLOR": "1"}
    coloured, plain = await asyncio.gather(
        run_cli(*arguments, environment=forced),
        run_cli(*arguments, environment={**forced, "NO_COLOR": "1"}),
    )

    assert "\x1b[32m" in coloured.stdout
    assert "\x1b[32m" not in plain.stdout
