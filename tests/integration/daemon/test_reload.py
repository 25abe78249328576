"""HAProxy is reloaded by somebody else: what the daemon does, and what requests see."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.daemon.conftest import ready, table, until, until_placed
from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.local import LocalPool
from tests.support.daemon import Daemon
from tests.support.haproxy_process import BASE_CFG, HaproxyProcess, haproxy_process
from tests.support.load import Load, request
from tests.unit.docs import pages


pytestmark = pytest.mark.integration
RECIPE = pages.section(
    pages.text_of("docs/reloads.md"), "Not even a moment without servers"
)


@pytest.fixture
async def pool(engine: ScriptedEngine) -> AsyncIterator[LocalPool]:
    """Run real servers as containers."""
    async with LocalPool(engine) as started:
        yield started


async def metric(daemon: Daemon, name: str, **labels: str) -> float:
    """Return the sum of the samples of a metric that have these labels."""
    answer = await daemon.get("/metrics")
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.body)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.mark.parametrize(
    ("version", "by_master"),
    [("2.6", False), ("2.8", True), ("3.0", False), ("3.0", True)],
)
async def test_a_reload_costs_a_wait_and_no_error(
    version: str,
    by_master: bool,  # noqa: FBT001 - a parameter of the test
    engine: ScriptedEngine,
    pool: LocalPool,
) -> None:
    """The new worker is noticed and filled in one pass; every GET is answered meanwhile."""
    with haproxy_process(version, with_master=True, sorry_wait="500ms") as haproxy:
        url = haproxy.master_url if by_master else haproxy.url
        async with Daemon(haproxy=[url], docker=engine.url) as daemon:
            await pool.scale("web", 4)
            await until_placed(haproxy, engine, daemon)
            await daemon.wait_ready()
            before = len(daemon.log)
            changes = await metric(daemon, "reconciler_changes_total", kind="assign")
            async with Load(haproxy.http_port) as load:
                await until(lambda: load.answered > 20, "answers", daemon)
                await asyncio.to_thread(haproxy.reload)
                await until_placed(haproxy, engine, daemon)
                answered = load.answered
                await until(lambda: load.answered > answered + 50, "more", daemon)
            await daemon.wait_ready()

            assert load.failures == []
            replaced = [x for x in daemon.log[before:] if "filling it anew" in x]
            assert len(replaced) == 1
            assigned = [x for x in daemon.log[before:] if "assigned " in x]
            passes = {
                found[0] for x in assigned if (found := re.findall(r"pass=\d+", x))
            }
            assert (len(assigned), len(passes)) == (4, 1)
            assert (
                await metric(daemon, "reconciler_changes_total", kind="assign")
                == changes + 4
            )
            name = "reconciler_haproxy_process_changes_total"
            assert await metric(daemon, name) == 1
            assert load.slowest_seconds < 5


def config_with_state_file(folder: Path) -> str:
    """Return base.cfg with the lines of docs/reloads.md, where each of them belongs."""
    fence = pages.block(RECIPE, "haproxy")
    state_file = next(x for x in fence.splitlines() if "server-state-file" in x)
    load = next(x for x in fence.splitlines() if "load-server-state" in x)
    template = next(x for x in fence.splitlines() if "server-template" in x)
    path = folder / "servers.state"
    state_file = state_file.replace("/run/haproxy/servers.state", str(path))
    text = BASE_CFG.read_text()
    text = text.replace("\nglobal\n", f"\nglobal\n{state_file}\n")
    text = text.replace("\ndefaults http\n", f"\ndefaults http\n{load}\n")
    ours = "    server-template slot 1-64 127.255.255.1:8000 disabled"
    assert [text.count(x) for x in (state_file, load, ours)] == [1, 1, 1]
    return text.replace(ours, template)


async def test_the_state_file_of_the_documents(
    version: str, engine: ScriptedEngine, pool: LocalPool, tmp_path: Path
) -> None:
    """The new worker begins with every slot as it was, and the daemon has nothing to do."""
    config = config_with_state_file(tmp_path)
    with haproxy_process(version, config=config, with_master=True) as haproxy:
        async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
            await pool.scale("web", 5)
            await until_placed(haproxy, engine, daemon)
            await pool.stop_and_remove("demo-web-2")
            await daemon.wait_log("released demo-web-2 ")
            await daemon.kill()
            haproxy.raw(f"set server web/{ready(haproxy)[0][1]} state drain")
            before = table(haproxy)
            in_rotation = ready(haproxy)
            assert len(in_rotation) == 3

            state = haproxy.raw("show servers state")
            (tmp_path / "servers.state").write_text(state)
            haproxy.reload()

            posts = [await request(haproxy.http_port, "POST") for _ in range(9)]
            gets = [await request(haproxy.http_port) for _ in range(9)]
            assert {status for status, _ in posts + gets} == {200}
            assert len({body for _, body in posts + gets}) == 3
            after = table(haproxy)
            assert ready(haproxy) == in_rotation
            assert after == before

            await daemon.start()
            await daemon.wait_ready()
            assert await metric(daemon, "reconciler_commands_total") == 0
            assert table(haproxy) == after


async def test_a_stale_state_file_is_corrected(
    haproxy_with_state_file: HaproxyProcess,
    engine: ScriptedEngine,
    pool: LocalPool,
    tmp_path: Path,
) -> None:
    """What changed since the file was written is made good in the first pass."""
    haproxy = haproxy_with_state_file
    async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
        await pool.scale("web", 3)
        await until_placed(haproxy, engine, daemon)
        state = haproxy.raw("show servers state")
        (tmp_path / "servers.state").write_text(state)
        await pool.stop_and_remove("demo-web-1")
        await pool.run("demo-web-4", "web")
        await until_placed(haproxy, engine, daemon)

        await asyncio.to_thread(haproxy.reload)

        await daemon.wait_log("haproxy was replaced: filling it anew")
        await until_placed(haproxy, engine, daemon)
        posts = [await request(haproxy.http_port, "POST") for _ in range(6)]
        assert {status for status, _ in posts} == {200}


@pytest.fixture
async def haproxy_with_state_file(tmp_path: Path) -> AsyncIterator[HaproxyProcess]:
    """Run a HAProxy 3.0 as docs/reloads.md has it."""
    config = config_with_state_file(tmp_path)
    with haproxy_process("3.0", config=config, with_master=True) as started:
        yield started
