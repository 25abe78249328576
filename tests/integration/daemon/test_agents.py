"""Servers with an agent-check: it owns the weight, and nobody writes in turn with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.integration.daemon.conftest import (
    WEB,
    resyncs,
    table,
    until,
    until_placed,
)
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import VERSIONS, HaproxyProcess, haproxy_process
from tests.support.ports import free_port


pytestmark = pytest.mark.integration

CONFIG = """
global
    stats socket ${HAPROXY_SOCKET} mode 660 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
backend web
    server-template slot 1-4 127.255.255.1:8000 disabled weight %d \
agent-check agent-addr 127.0.0.1 agent-port %d agent-inter 50ms
"""


class Agent:
    """Answers every server's agent check with one word, and counts how often it is asked."""

    def __init__(self) -> None:
        self.word = "up"
        self.asked = 0
        self._news = asyncio.Event()

    async def serve(
        self, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer once."""
        self.asked += 1
        self._news.set()
        writer.write(f"{self.word}\n".encode())
        writer.close()

    async def says(self, word: str, *, times: int = 12) -> None:
        """Say this from now on; return once it was heard so often."""
        self.word = word
        until_count = self.asked + times
        async with asyncio.timeout(10):
            while self.asked < until_count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def agent(port: int) -> AsyncIterator[Agent]:
    """Run an agent."""
    one = Agent()
    async with await asyncio.start_server(one.serve, "127.0.0.1", port):
        yield one


@asynccontextmanager
async def running_with_agent(
    version: str, engine: ScriptedEngine, *, weight: int = 10
) -> AsyncIterator[tuple[HaproxyProcess, Agent, Daemon]]:
    """Run an agent, a HAProxy that asks it, and a daemon that resyncs every second."""
    port = free_port()
    async with agent(port) as asked:
        with haproxy_process(version, config=CONFIG % (weight, port)) as haproxy:
            daemon = Daemon(
                haproxy=[haproxy.url], docker=engine.url, arguments=("--resync", "1")
            )
            async with daemon:
                await daemon.wait_ready()
                yield haproxy, asked, daemon


async def commands(daemon: Daemon) -> int:
    """Return how many changing commands were done."""
    text = (await daemon.get("/metrics")).body
    found = re.search(r'reconciler_commands_total\{.*result="done"\} (\S+)', text)
    return int(float(found[1])) if found else 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_agents_weight_is_left_alone(
    version: str, engine: ScriptedEngine
) -> None:
    """Whatever it says, no command is sent; 0 % gets no traffic by our doing."""
    async with running_with_agent(version, engine) as (haproxy, asked, daemon):
        one = engine.run("web-1", labels={**WEB, "haproxy.weight": "200"})
        await until_placed(haproxy, engine, daemon)
        for word, weight in (("50%", 5), ("0%", 0), ("75%", 7)):
            await asked.says(word)
            await until(
                lambda w=weight: table(haproxy)["slot1"].weight == w,  # type: ignore[misc]
                word,
                daemon,
            )
            before = await commands(daemon)
            await resyncs(daemon, 2)
            assert await commands(daemon) == before
            assert table(haproxy)["slot1"].weight == weight

        engine.signal(one)
        await until(lambda: table(haproxy)["slot1"].admin & 1, "it is out", daemon)
        asked.word = "ready 100%"
        await resyncs(daemon, 2)
        assert table(haproxy)["slot1"].admin & 1, (
            "an agent that is silenced ends nothing"
        )
        engine.die(one)
        await until(lambda: table(haproxy)["slot1"].is_free, "it is free", daemon)


async def test_half_of_one_is_no_fight(engine: ScriptedEngine) -> None:
    """A line's weight of 1 with 50 % is 0, which is not taken for our sign."""
    async with running_with_agent("3.0", engine, weight=1) as (haproxy, asked, daemon):
        engine.run("web-1", labels=WEB)
        await until(
            lambda: not table(haproxy)["slot1"].is_free, "it has a slot", daemon
        )
        await asked.says("50%")
        before = await commands(daemon)
        await resyncs(daemon, 3)
        assert await commands(daemon) == before


@pytest.mark.parametrize("word", ["maint", "drain"])
async def test_an_agents_own_state_is_not_by_hand(
    word: str, engine: ScriptedEngine
) -> None:
    """It stays, is not shown as an operator's hold, and ends when the agent says so."""
    async with running_with_agent("3.0", engine) as (haproxy, asked, daemon):
        engine.run("web-1", labels=WEB)
        await until_placed(haproxy, engine, daemon)
        await asked.says(word)
        await resyncs(daemon, 1)
        before = await commands(daemon)
        await resyncs(daemon, 2)

        assert await commands(daemon) == before
        [row] = [r for r in (await daemon.slots())["slots"] if r["container"]]
        assert (row["state"], row["held"]) == (word, False)
        await asked.says("ready")
        await until_placed(haproxy, engine, daemon)


async def test_agents_of_free_slots_are_silenced(engine: ScriptedEngine) -> None:
    """Else one that says *ready* would bring them into rotation at their placeholders."""
    async with running_with_agent("3.0", engine) as (haproxy, asked, daemon):
        asked.word = "ready"
        await resyncs(daemon, 2)
        before = asked.asked, await commands(daemon)
        await resyncs(daemon, 2)
        assert (asked.asked, await commands(daemon)) == before
        assert all(row.admin & 1 for row in table(haproxy).values())
        engine.run("web-1", labels=WEB)
        await until_placed(haproxy, engine, daemon)


async def test_a_free_slot_that_its_agent_made_ready_is_released(
    engine: ScriptedEngine,
) -> None:
    """Once, where it came about while no daemon looked, and not again at every resync."""
    async with running_with_agent("3.0", engine) as (haproxy, asked, daemon):
        await resyncs(daemon, 1)
        await daemon.kill()
        haproxy.raw("enable agent web/slot2")
        await asked.says("ready", times=2)
        await until(
            lambda: not table(haproxy)["slot2"].admin & 1, "it is in rotation", daemon
        )
        await daemon.start()
        await until(lambda: table(haproxy)["slot2"].admin & 1, "it is in maint", daemon)
        await resyncs(daemon, 1)
        before = await commands(daemon)
        await resyncs(daemon, 2)
        assert await commands(daemon) == before


async def test_killed_half_way_it_is_finished(engine: ScriptedEngine) -> None:
    """A slot in maint whose agent is silenced is ours: the next daemon brings it in."""
    async with running_with_agent("3.0", engine) as (haproxy, asked, daemon):
        one = engine.run("web-1", labels=WEB)
        await until_placed(haproxy, engine, daemon)
        await daemon.kill()
        haproxy.raw("disable agent web/slot1")
        haproxy.raw("set server web/slot1 state maint")
        asked.word = "50%"
        await daemon.start()
        await until_placed(haproxy, engine, daemon)
        assert table(haproxy)["slot1"].address == one.address
        await until(
            lambda: table(haproxy)["slot1"].weight == 5, "its agent is heard", daemon
        )
