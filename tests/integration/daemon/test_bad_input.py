"""Whatever is wrong: a clear error that names thing, cause and mend, and the good map kept."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.leftovers import leftovers_collected
from tests.fakes.unprivileged import unprivileged
from tests.integration.daemon.conftest import (
    WEB,
    ready_addresses,
    running,
    table,
    until,
    until_placed,
)
from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.model import Options
from tests.support.daemon import Daemon, run_cli
from tests.support.haproxy_process import HaproxyProcess, haproxy_process
from tests.support.scripted_socket import Script, ScriptedSocket

from reconciler.config import Settings
from reconciler.doctor import Verdict, findings


pytestmark = pytest.mark.integration

HUGE = "8" * 255 * 1024
FORGED = "80;shutdown frontend http-in\nset server web/slot1 state maint"
BAD: dict[str, tuple[Options, str]] = {
    "semicolon": (
        {"labels": {"haproxy.port": "80;quit"}},
        "an integer from 1 to 65535",
    ),
    "newline": ({"labels": {"haproxy.port": FORGED}}, "an integer from 1 to 65535"),
    "huge": ({"labels": {"haproxy.port": HUGE}}, "more characters"),
    "port-0": ({"labels": {"haproxy.port": "0"}}, 'label "haproxy.port" is "0"'),
    "port-70000": ({"labels": {"haproxy.port": "70000"}}, '"70000": it must be'),
    "port-abc": ({"labels": {"haproxy.port": "abc"}}, '"abc": it must be'),
    "backend": ({"labels": {"haproxy.backend": "wbe"}}, 'no backend "wbe" with slots'),
    "network": (
        {"labels": {"haproxy.network": "x"}},
        'not attached to the network "x"',
    ),
    "networks": ({"networks": {"a": "127.10.9.1", "b": "127.10.9.2"}}, "is on several"),
    "address": ({"labels": {"haproxy.address": "a.b"}}, "an IPv4 or IPv6 address"),
    "weight": ({"labels": {"haproxy.weight": "257"}}, "an integer from 0 to 256"),
}


def bad_options(name: str) -> Options:
    """Return the options of one bad container, as a service of the demo."""
    options, _ = BAD[name]
    labels = {**WEB, **options.get("labels", {})}
    return {**options, "labels": labels}


async def test_bad_labels_keep_only_their_own_containers_out(
    haproxy: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Each bad container is told by name with its reason; its good neighbours serve."""
    pid, static = haproxy.worker_pid(), table(haproxy)["sorry"]
    good = [one.address for one in engine.run_many(2, prefix="good", labels=WEB)]
    async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
        await daemon.wait_ready()
        for name in BAD:
            engine.run(f"bad-{name}", **bad_options(name))
        late = engine.run("good-3", labels=WEB).address
        for name, (_, words) in BAD.items():
            line = await daemon.wait_log(f"container bad-{name} has no slot")
            assert words in daemon.log[line]
            assert len(daemon.log[line]) < 1500
        await until(
            lambda: ready_addresses(haproxy) == sorted([*good, late]),
            "the good",
            daemon,
        )
        shown = await daemon.slots()
        await daemon.wait_ready()

    assert {one["container"] for one in shown["unplaced"]} == {
        f"bad-{name}" for name in BAD
    }
    assert haproxy.worker_pid() == pid
    assert table(haproxy)["sorry"] == static
    assert not any(line.startswith("set server") for line in daemon.log)


async def test_no_exposed_port_and_no_default(engine: ScriptedEngine) -> None:
    """Where free slots tell none, who exposes nothing is told how to say its port."""
    with haproxy_process("3.0") as haproxy:
        haproxy.raw("set server web/slot64 addr 127.255.255.1 port 9100")
        engine.run("web-1", labels=WEB, ports=[])
        async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
            line = await daemon.wait_log("container web-1 has no slot")
            assert "give label haproxy.port" in daemon.log[line]
            assert "--backend-port web=PORT or --base-cfg" in daemon.log[line]


@pytest.fixture
async def odd(engine: ScriptedEngine) -> AsyncIterator[ScriptedSocket]:
    """A runtime socket that goes wrong as scripted."""
    one = ScriptedSocket(engine.path.parent / "odd.sock")
    yield one
    await one.aclose()


async def closes_in_the_middle(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer the first line with half a reply."""
    await reader.readline()
    writer.write(b"Name: HAProxy\nVersion: 3.0")
    await writer.drain()


async def says_nothing(
    reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
) -> None:
    """Take everything, and answer nothing."""
    while await reader.read(4096):
        pass


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param(closes_in_the_middle, "closed", id="closed-mid-reply"),
        pytest.param(says_nothing, "5 s", id="silent"),
    ],
)
async def test_a_runtime_socket_that_goes_wrong(
    haproxy3: HaproxyProcess,
    engine: ScriptedEngine,
    odd: ScriptedSocket,
    script: Script,
    words: str,
) -> None:
    """It is named with what happened, and the HAProxy beside it is served as ever."""
    await odd.serve(script)
    engine.run_many(3, labels=WEB)
    async with Daemon(haproxy=[odd.url, haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
        line = await daemon.wait_log("pass failed")
        engine.run("web-4", labels=WEB)
        await until_placed(haproxy3, engine, daemon)
        answer = await daemon.get("/readyz")

    assert str(odd.path) in daemon.log[line]
    assert words in daemon.log[line]
    assert answer.status == 503
    errors = [one["error"] for one in json.loads(answer.body)["haproxy"]]
    assert errors[1] is None
    assert words in errors[0]


async def test_a_runtime_socket_that_comes_late(engine: ScriptedEngine) -> None:
    """Absent at the start: told, tried again, and filled the moment it is there."""
    engine.run_many(2, labels=WEB)
    with haproxy_process("3.0") as haproxy:
        haproxy.stop()
        haproxy.socket.unlink(missing_ok=True)
        async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
            line = await daemon.wait_log("pass failed")
            assert f"cannot open {haproxy.url}: it does not exist" in daemon.log[line]
            assert '"stats socket"' in daemon.log[line]
            haproxy.start()
            await until_placed(haproxy, engine, daemon)


LEVELS_CFG = """
global
    stats socket "${HAPROXY_SOCKET}" level admin
    stats socket "${HAPROXY_SOCKET}.user" level user
    stats socket "${HAPROXY_SOCKET}.operator" level operator
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
backend web
    server sorry 127.0.0.1:1
    server-template slot 1-8 127.255.255.1:8000 disabled
"""


@pytest.mark.parametrize("level", ["user", "operator"])
async def test_a_runtime_socket_of_too_low_a_level(
    engine: ScriptedEngine, level: str
) -> None:
    """Nothing changes, and every place says which level is needed."""
    first = engine.run("web-1", labels=WEB)
    with haproxy_process("3.0", config=LEVELS_CFG) as haproxy:
        async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
            await until_placed(haproxy, engine, daemon)
        before = table(haproxy)
        low = f"{haproxy.url}.{level}"
        engine.run("web-2", labels=WEB)
        async with Daemon(haproxy=[low], docker=engine.url) as daemon:
            line = await daemon.wait_log("level")
            answer = await daemon.get("/readyz")
            done = await run_cli("check", "--haproxy", low, "--docker", engine.url)
        assert table(haproxy) == before

    assert ready_at(before) == [first.address]
    assert "level admin" in daemon.log[line]
    assert answer.status == 503
    assert done.code == 1
    assert "FAIL" in done.stdout
    assert "level admin" in done.stdout


def ready_at(found: dict[str, Any]) -> list[str]:
    """Return the addresses that are in rotation in a table."""
    return [
        row.address
        for name, row in found.items()
        if row.is_ready and name.startswith("slot")
    ]


async def test_sockets_we_may_not_open(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Both are found by ``check``, each with the group that mends it."""
    settings = Settings(haproxy=(haproxy3.url,), docker=engine.url, listen=None)
    with leftovers_collected():
        assert {one.verdict for one in await findings(settings)} == {Verdict.OK}
    haproxy3.socket.chmod(0)
    engine.path.chmod(0)
    for path in (haproxy3.socket, engine.path):
        path.parent.chmod(0o755)

    with leftovers_collected(), unprivileged():
        found = [one for one in await findings(settings) if one.verdict is Verdict.FAIL]

    docker, haproxy = found
    assert docker.thing == "docker"
    assert engine.url in docker.text
    assert "Permission denied" in docker.text
    assert f'group_add: ["{engine.path.stat().st_gid}"]' in docker.mend
    assert haproxy.thing == haproxy3.url
    assert "permission denied; join the socket's group" in haproxy.text


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a configuration file."""
    path = Path(tempfile.mkdtemp(prefix="config-"))
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("resync = = 1", "is not TOML", id="does-not-parse"),
        pytest.param(
            "resink = 1",
            'unknown key "resink"; did you mean resync? accepted keys:',
            id="key",
        ),
        pytest.param("resync = 'x'", "it must be a number of seconds", id="type"),
    ],
)
async def test_a_wrong_file_ends_the_daemon_before_it_does_anything(
    haproxy3: HaproxyProcess,
    engine: ScriptedEngine,
    folder: Path,
    text: str,
    words: str,
) -> None:
    """Exit 2 with the file, the key and the accepted form; the map of before is kept."""
    engine.run_many(2, labels=WEB)
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
    before = table(haproxy3)
    path = folder / "reconciler.toml"
    path.write_text(text)

    done = await run_cli("run", "--config", str(path), "--haproxy", haproxy3.url)

    assert (done.code, done.stdout) == (2, "")
    assert f'config file "{path}"' in done.stderr
    assert words in done.stderr
    assert table(haproxy3) == before
    assert len(running(engine)) == 2


async def test_a_port_that_somebody_else_has(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """The daemon does not start half: exit 2, with both ways out."""
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await daemon.wait_ready()
        done = await run_cli(
            *("run", "--haproxy", haproxy3.url, "--docker", engine.url),
            *("--listen", f"127.0.0.1:{daemon.port}"),
        )

    assert done.code == 2
    assert f"cannot listen on 127.0.0.1:{daemon.port}" in done.stderr
    assert "--listen off" in done.stderr
