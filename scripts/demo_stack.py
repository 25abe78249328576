"""The demo on real containers: scale a service 1 → 8 → 3 while requests run.

Called by scripts/demo once everything is set up. Ends with 0 only if no request failed,
HAProxy's process stayed the same, its file was not written, and at each step the slot map
was exactly the containers that ran. Standard library only.
"""

from __future__ import annotations

import http
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from demolib import FileStamp, HaproxyProcess, Report, RequestLoop, Screen


ROOT = Path(__file__).resolve().parent.parent
BASE_CFG = ROOT / "haproxy" / "base.cfg"
HTTP_PORT = int(os.environ.get("HTTP_PORT", "8080"))
STEPS = (1, 8, 3)
SECONDS_A_STEP = 2.0
"""How long each step is watched once it is reached."""

SHOW_INFO = """
import socket
stream = socket.socket(socket.AF_UNIX)
stream.connect("/run/haproxy/admin.sock")
stream.sendall(b"show info\\n")
print(b"".join(iter(lambda: stream.recv(65536), b"")).decode())
"""


class DemoError(Exception):
    """What the demo promised did not happen."""


def stack(*arguments: str, timeout_seconds: float = 180) -> str:
    """Run scripts/stack and return what it printed; raises DemoError where it fails."""
    command = [str(ROOT / "scripts" / "stack"), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_seconds, check=False
    )
    if done.returncode != 0:
        words = done.stderr.strip() or done.stdout.strip()
        raise DemoError(f"scripts/stack {' '.join(arguments)} failed: {words[-800:]}")
    return done.stdout


def wait_until(claim: str, check: Callable[[], bool], seconds: float = 60) -> None:
    """Poll until the check holds; raises DemoError with the claim when time is over."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise DemoError(f"{claim}: not so after {seconds:.0f} s")
        time.sleep(0.05)


def answers() -> bool:
    """Whether the service behind HAProxy answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}/", timeout=2) as got:
            return bool(got.status == http.HTTPStatus.OK)
    except (urllib.error.URLError, OSError):
        return False


def running() -> set[str]:
    """Return the short ids of the containers of `web` that run."""
    return {word[:12] for word in stack("ps", "--quiet", "web").split()}


def in_rotation() -> set[str]:
    """Return the short ids of the containers that HAProxy sends requests to."""
    text = stack("exec", "-T", "reconciler", "reconciler", "slots", "--json")
    return {
        str(slot["container_id"])[:12]
        for slot in json.loads(text)["slots"]
        if slot["backend"] == "web" and slot["state"] == "ready"
    }


def slot_map() -> str:
    """Return the slot map of `web` as the reconciler prints it."""
    return stack("exec", "-T", "reconciler", "reconciler", "slots", "--backend", "web")


def haproxy_process() -> HaproxyProcess:
    """Ask HAProxy itself who it is."""
    return HaproxyProcess.parse(
        stack("exec", "-T", "reconciler", "python3", "-c", SHOW_INFO)
    )


def scale_to(count: int, loop: RequestLoop, screen: Screen) -> None:
    """Scale, wait until exactly those containers answer, and show what happened."""
    screen.step(f"docker compose up --scale web={count}")
    loop.take()
    began = time.monotonic()
    stack("up", "-d", "--no-deps", "--no-recreate", "--scale", f"web={count}", "web")
    scaled = time.monotonic() - began
    wanted = running()
    if not loop.wait_answered(count):
        raise DemoError(f"not all of {count} containers answered within 30 s")
    answered = time.monotonic() - began
    wait_until(
        f"the {count} running containers are the {count} ready slots",
        lambda: in_rotation() == wanted,
    )
    while_scaling = loop.take()
    time.sleep(SECONDS_A_STEP)
    settled = loop.take()
    screen.show(
        f"Compose was done after {scaled:.2f} s; all {count} answer after {answered:.2f} s"
    )
    screen.show(
        f"while scaling: {while_scaling.sent} requests, {while_scaling.failed} failed"
    )
    screen.show("then:")
    screen.show("\n".join(settled.lines()))
    screen.show("slot map:")
    screen.show(slot_map())
    check_answered(settled, wanted)


def check_answered(settled: Report, wanted: set[str]) -> None:
    """Raise DemoError unless exactly the wanted containers answered."""
    seen = set(settled.answered)
    if seen != wanted:
        raise DemoError(
            f"answered by {sorted(seen)}, but the running containers are {sorted(wanted)}"
        )


def demo(screen: Screen) -> None:
    """Run the whole demo; raises DemoError where something is not as it should be."""
    screen.step("Starting HAProxy, the reconciler, and one container of each service")
    stack("up", "-d", "--remove-orphans", "--scale", "web=1", timeout_seconds=300)
    wait_until("the first container answers behind HAProxy", answers)
    before, stamp = haproxy_process(), FileStamp.of(BASE_CFG)
    screen.show(f"http://127.0.0.1:{HTTP_PORT}/ answers; HAProxy's pid is {before.pid}")
    with RequestLoop(host="127.0.0.1", port=HTTP_PORT, max_seconds=180) as loop:
        for count in STEPS:
            scale_to(count, loop, screen)
    total, after = loop.total(), haproxy_process()
    screen.step("What it came to")
    screen.show(f"requests: {total.sent} sent, {total.failed} failed")
    screen.show(
        f"HAProxy: pid {before.pid} before, {after.pid} after; "
        f"up for {before.uptime_seconds} s before, {after.uptime_seconds} s after"
    )
    is_same = FileStamp.of(BASE_CFG) == stamp
    screen.show(f"haproxy/base.cfg: {'not written' if is_same else 'WRITTEN'}")
    if total.failed:
        raise DemoError(f"{total.failed} requests failed: {total.failures}")
    if after.pid != before.pid or after.uptime_seconds < before.uptime_seconds:
        raise DemoError("HAProxy's process was replaced")
    if not is_same:
        raise DemoError("haproxy/base.cfg was written")


def main() -> int:
    """Run the demo and say how to go on."""
    screen = Screen()
    try:
        demo(screen)
    except (DemoError, subprocess.TimeoutExpired) as error:
        screen.error(f"the demo failed: {error}")
        screen.error(
            "look with: scripts/stack ps; scripts/stack logs; stop with: make down"
        )
        return 1
    screen.step("It goes on running")
    screen.show("make slots                                 the slot map")
    screen.show(f"curl http://127.0.0.1:{HTTP_PORT}/                who answers")
    screen.show("scripts/stack up -d --no-recreate --scale web=5   scale it yourself")
    screen.show("http://127.0.0.1:8404/                     HAProxy's own page")
    screen.show("make down                                  stop everything")
    return 0


if __name__ == "__main__":
    sys.exit(main())
