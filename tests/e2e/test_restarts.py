"""Every part may be restarted or killed at any moment; nobody has to lend a hand."""

from __future__ import annotations

import asyncio
import re
import threading

from tests.support.daemon import Daemon
from tests.support.engine import PrivateEngine, wait_until
from tests.support.haproxy_process import haproxy_process
from tests.support.stack import Stack

from reconciler.core.view import FREE


_METRICS = (
    "import urllib.request as u;"
    "print(u.urlopen('http://127.0.0.1:9700/metrics').read().decode())"
)


def commands_done(stack: Stack) -> float:
    """Return how many commands the running reconciler has sent since it started."""
    text = stack.exec("reconciler", "python3", "-c", _METRICS)
    counts = re.findall(
        r'^reconciler_commands_total\{.*result="done"\} (\S+)', text, re.MULTILINE
    )
    passes = re.findall(
        r'^reconciler_passes_total\{.*"converged"\} (\S+)', text, re.MULTILINE
    )
    assert sum(map(float, passes)) >= 1, "it has not finished a pass yet"
    return sum(map(float, counts))


def homes(stack: Stack, backend: str) -> dict[str, str]:
    """Return which slot has which address, free ones left out."""
    return {
        row["address"]: row["slot"]
        for row in stack.slots("--backend", backend)["slots"]
        if row["state"] != FREE
    }


def started_at(stack: Stack, service: str) -> str:
    """Return when a service's container was started last, in the engine's words.

    A process has the same pid again after a restart, and may have the same age.
    """
    return stack.engine.docker(
        "inspect", "--format={{.State.StartedAt}}", stack.container(service)
    ).strip()


def test_a_restarted_haproxy_is_filled_again(stack: Stack) -> None:
    """HAProxy comes back empty, in a new process, and every container is ready again."""
    stack.scale("web", 4)
    stack.wait_converged("web", 4)
    before = started_at(stack, "haproxy")

    stack.compose("restart", "haproxy")

    stack.wait_converged("web", 4)
    assert started_at(stack, "haproxy") != before
    assert int(stack.show_info()["Uptime_sec"]) < 30


def test_a_reconciler_killed_in_a_burst_goes_on_where_it_was(stack: Stack) -> None:
    """After SIGKILL mid-burst and a start, whoever had a slot still has the same one."""
    stack.scale("web", 3)
    stack.wait_converged("web", 3)
    before = homes(stack, "web")
    burst = threading.Thread(target=stack.scale, args=("web", 12))
    burst.start()
    wait_until(
        lambda: len(stack.ready_addresses("web")) > 3, claim="the burst has begun"
    )
    stack.engine.docker("kill", "--signal=KILL", stack.container("reconciler"))
    burst.join()

    stack.compose("start", "reconciler")

    stack.wait_converged("web", 12)
    after = homes(stack, "web")
    assert {address: after[address] for address in before} == before


def test_a_restart_when_all_is_right_writes_nothing(stack: Stack) -> None:
    """A reconciler that finds the map as it should be sends no command at all."""
    stack.scale("web", 3)
    stack.wait_converged("web", 3)
    before = homes(stack, "web")

    stack.compose("restart", "reconciler")

    assert wait_until(lambda: [commands_done(stack)], claim="it has looked") == [0.0]
    assert homes(stack, "web") == before


def test_a_restarted_engine_is_followed_again(private_stack: Stack) -> None:
    """dockerd stopped and started: its containers come back and so does the map."""
    engine = private_stack.engine
    assert isinstance(engine, PrivateEngine)
    private_stack.scale("web", 3)
    private_stack.wait_converged("web", 3)

    engine.stop()
    engine.start()

    private_stack.wait_converged("web", 3, timeout_seconds=60)


async def test_a_reconciler_outside_survives_the_engine(
    private_engine: PrivateEngine,
) -> None:
    """The daemon outlives a stopped engine, frees its slots, and fills them after."""
    private_engine.start()
    container = private_engine.docker(
        "run",
        "--detach",
        "--restart=always",
        "--label=haproxy.backend=web",
        # Its own address is in another namespace: what HAProxy checks must stay here.
        "--label=haproxy.address=127.11.0.1",
        "--label=haproxy.port=8000",
        private_engine.environment["WEB_IMAGE"],
        *("sleep", "infinity"),
    ).strip()

    async def states(daemon: Daemon, expected: list[str]) -> None:
        async with asyncio.timeout(60):
            while True:
                rows = (await daemon.slots())["slots"]
                used = [r["container_id"] for r in rows if r["state"] != FREE]
                if used == expected:
                    return
                await asyncio.sleep(0.1)

    try:
        with haproxy_process("3.0") as haproxy:
            async with Daemon(
                haproxy=[haproxy.url], docker=private_engine.host
            ) as daemon:
                await daemon.wait_ready()
                await states(daemon, [container])
                await asyncio.to_thread(private_engine.stop)
                await states(daemon, [])
                await asyncio.to_thread(private_engine.start)
                await states(daemon, [container])
    finally:
        private_engine.docker("rm", "--force", container)
