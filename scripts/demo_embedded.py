"""The demo without containers: scale a service 1 → 8 → 3 while requests run.

HAProxy, haproxy/base.cfg and the reconciler are the real ones, unchanged. What is played
is Docker: a scripted engine that speaks its HTTP API on a unix socket, and whose containers
are server processes on addresses of 127.10.0.0/15. Called by scripts/demo-embedded. Ends
with 0 only if no request failed, HAProxy's process stayed the same, its file was not
written, and at each step the slot map was exactly the containers that ran.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from demolib import FileStamp, HaproxyProcess, RequestLoop, Screen
from embedded_haproxy import BASE_CFG, Haproxy, HaproxyError, running_haproxy


ROOT = Path(__file__).resolve().parent.parent
# The scripted engine lives with the tests, as a package of the repository's root.
sys.path.insert(0, str(ROOT))

from tests.scripted_engine import ScriptedContainer, ScriptedEngine  # noqa: E402
from tests.scripted_engine.local import LocalPool  # noqa: E402
from tests.support.daemon import Daemon, DaemonError, run_cli  # noqa: E402


STEPS = (1, 8, 3)
SECONDS_A_STEP = 2.0
"""How long each step is watched once it is reached."""

WAIT_SECONDS = 20.0
WHY = """\
This is the EMBEDDED demo: no Docker engine can run here, or it was asked for by name.
Real: HAProxy, haproxy/base.cfg, the reconciler, every request.
Played: Docker. A scripted engine answers its API on a unix socket, and its containers
are server processes on this machine, each on a loopback address of its own."""


class DemoError(Exception):
    """What the demo promised did not happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything the steps of the demo act on."""

    screen: Screen
    haproxy: Haproxy
    docker_url: str
    pool: LocalPool
    requests: RequestLoop

    async def slots(self, *arguments: str) -> str:
        """Return what ``reconciler slots`` prints: read from HAProxy and Docker."""
        url = f"unix://{self.haproxy.socket}"
        done = await run_cli(
            *(
                "slots",
                "--haproxy",
                url,
                "--docker",
                self.docker_url,
                "--backend",
                "web",
            ),
            *arguments,
            environment={"COLUMNS": "120"},
        )
        if done.code != 0:
            raise DemoError(f"`reconciler slots` failed: {done.stderr.strip()[-800:]}")
        return done.stdout


async def in_rotation(stage: Stage) -> set[str]:
    """Return the names of the containers that HAProxy sends requests to."""
    slots = json.loads(await stage.slots("--json"))["slots"]
    return {str(each["container"]) for each in slots if each["state"] == "ready"}


async def wait_in_rotation(stage: Stage, wanted: set[str]) -> None:
    """Return once the ready slots are these containers. Raises DemoError."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (seen := await in_rotation(stage)) != wanted:
        if time.monotonic() > deadline:
            raise DemoError(f"in rotation: {sorted(seen)}; running: {sorted(wanted)}")


async def wait_answering(port: int) -> None:
    """Return once the first request was answered through HAProxy. Raises DemoError.

    A slot that is ready takes requests only after its first health check.
    """

    def is_answered() -> bool:
        # An answer of 400 or more is raised as an OSError, like no answer at all.
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
            return True
        return False

    deadline = time.monotonic() + WAIT_SECONDS
    while not await asyncio.to_thread(is_answered):
        if time.monotonic() > deadline:
            raise DemoError(f"no answer on port {port} within {WAIT_SECONDS} s")
        await asyncio.sleep(0.05)


async def scale_to(stage: Stage, count: int) -> None:
    """Scale, wait until exactly those containers are in rotation, show what happened."""
    stage.screen.step(f"scale web to {count}")
    stage.requests.take()
    began = time.monotonic()
    containers = await stage.pool.scale("web", count)
    if not await asyncio.to_thread(
        stage.requests.wait_answered, count, timeout_seconds=WAIT_SECONDS
    ):
        raise DemoError(f"not all of {count} servers answered within {WAIT_SECONDS} s")
    answered = time.monotonic() - began
    await wait_in_rotation(stage, {each.name for each in containers})
    during = stage.requests.take()
    await asyncio.sleep(SECONDS_A_STEP)
    stage.screen.show(f"all {count} answered after {answered:.2f} s")
    stage.screen.show(f"meanwhile: {during.sent} requests, {during.failed} failed")
    await show_settled(stage, containers)


async def show_settled(stage: Stage, containers: list[ScriptedContainer]) -> None:
    """Show the step at rest. Raises DemoError where others answered than those."""
    settled = stage.requests.take()
    stage.screen.show("then:")
    stage.screen.show("\n".join(settled.lines()))
    stage.screen.show("slot map:")
    stage.screen.show(await stage.slots())
    seen, wanted = set(settled.answered), {each.name for each in containers}
    if seen != wanted:
        raise DemoError(f"answered by {sorted(seen)}, but {sorted(wanted)} run")


async def conclude(stage: Stage, before: HaproxyProcess, stamp: FileStamp) -> None:
    """Show what it came to. Raises DemoError where a promise was not kept."""
    after, total = stage.haproxy.process(), stage.requests.total()
    is_same_file = FileStamp.of(BASE_CFG) == stamp
    stage.screen.step("what it came to (embedded demo)")
    stage.screen.show(f"requests: {total.sent} sent, {total.failed} failed")
    stage.screen.show(f"HAProxy: pid {before.pid} before, {after.pid} after")
    stage.screen.show(
        f"haproxy/base.cfg: {'not written' if is_same_file else 'WRITTEN'}"
    )
    if total.failed:
        raise DemoError(f"{total.failed} requests failed: {total.failures}")
    if after.pid != before.pid or after.uptime_seconds < before.uptime_seconds:
        raise DemoError("HAProxy's process was replaced")
    if not is_same_file:
        raise DemoError("haproxy/base.cfg was written")


async def stay(stage: Stage) -> None:
    """Leave everything running until Ctrl-C."""
    haproxy = stage.haproxy
    flags = f"--haproxy unix://{haproxy.socket} --docker {stage.docker_url}"
    stage.screen.step("it goes on until Ctrl-C")
    stage.screen.show(f"curl http://127.0.0.1:{haproxy.port}/")
    stage.screen.show(f".venv/bin/reconciler slots {flags}")
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    stage.screen.step("stopping everything that was started")


async def demo(screen: Screen, *, stays: bool) -> None:
    """Run the whole demo and end all of it. Raises what ``main`` catches."""
    screen.show(WHY)
    folder = Path(tempfile.mkdtemp(prefix="slots-"))
    stamp = FileStamp.of(BASE_CFG)
    try:
        screen.step("starting HAProxy, the scripted engine, one server, the reconciler")
        async with (
            ScriptedEngine(folder / "docker.sock") as engine,
            LocalPool(engine) as pool,
            running_haproxy(folder) as haproxy,
            Daemon(
                haproxy=[f"unix://{haproxy.socket}"],
                docker=engine.url,
                arguments=["--base-cfg", str(BASE_CFG)],
            ) as daemon,
        ):
            await pool.scale("web", 1)
            await daemon.wait_ready()
            await wait_answering(haproxy.port)
            before = haproxy.process()
            screen.show(
                f"http://127.0.0.1:{haproxy.port}/; HAProxy's pid is {before.pid}"
            )
            with RequestLoop(host="127.0.0.1", port=haproxy.port) as requests:
                stage = Stage(
                    screen=screen,
                    haproxy=haproxy,
                    docker_url=engine.url,
                    pool=pool,
                    requests=requests,
                )
                for count in STEPS:
                    await scale_to(stage, count)
            await conclude(stage, before, stamp)
            if stays:
                await stay(stage)
    finally:
        shutil.rmtree(folder)


async def main() -> int:
    """Read the options, run the demo, say why where it fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stay", action="store_true", help="run on until Ctrl-C")
    options = parser.parse_args()
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    screen = Screen()
    try:
        await demo(screen, stays=options.stay)
    except (DemoError, DaemonError, HaproxyError) as error:
        screen.error(f"the demo failed: {error}")
        return 1
    except asyncio.CancelledError:
        screen.error("the demo was interrupted; what it started has ended")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
