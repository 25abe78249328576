"""Record a terminal session on real containers, as a page for the documents.

    make session            writes docs/session.md
    … --output FILE         writes somewhere else
    … --list                only prints what would be typed

A stack of its own, with six slots in `web`, is started under a name and on ports of its own,
walked through the scenes below, and taken away. What is shown is what was typed and what
came back; nothing is edited but the ends of lines. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demolib import Screen, free_port


ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "session.md"
STACK = os.environ.get("SESSION_STACK", "shop")
SLOTS = 6
WAIT_SECONDS = 60.0
COLUMNS = "110"

HEAD = f"""# A session at the terminal

Recorded by `make session` on real containers, and not edited.
The stack is the demo's ([compose/compose.yaml](../compose/compose.yaml)), named `{STACK}`, with {SLOTS} slots in the backend `web`.
`reconciler` stands for `docker compose exec reconciler reconciler`.
"""


class SessionError(Exception):
    """A step did not do what it is there to show."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command line as a person types it, and what has to be true afterwards."""

    line: str
    code: int = 0
    """The exit code it has to end with; a person would look at it, so it is shown."""
    ready: int | None = None
    """Wait until so many slots of `web` are ready before the next step."""
    says: tuple[str, ...] = ()
    """Words that its output must have: what the scene is about."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A few steps with one point."""

    title: str
    words: str
    steps: tuple[Step, ...] = field(default=())


UP = "docker compose up -d --no-recreate --scale web={} web"

SCENES = (
    Scene(
        "One container",
        "Backend `web` has its first container. Nothing was configured for it: the service "
        "has the backend's name.",
        (Step("reconciler slots", says=(f"{STACK}-web-1", "ready")),),
    ),
    Scene(
        "Scale up",
        "Compose starts three more. By the time it is done, they are in rotation.",
        (
            Step(UP.format(4), ready=4),
            Step("reconciler slots --backend web", says=(f"{STACK}-web-4",)),
        ),
    ),
    Scene(
        "Take one out by hand",
        "`drain` lets open sessions end and gives it no new ones. The daemon leaves it "
        "alone until somebody says `ready`.",
        (
            Step(f"reconciler drain {STACK}-web-2 --wait 10", says=("drain",)),
            Step("reconciler slots --backend web", says=("held",)),
            Step(f"reconciler ready {STACK}-web-2", ready=4),
        ),
    ),
    Scene(
        "More containers than slots",
        "Nobody is evicted. Whoever came last waits, and everything says so.",
        (
            Step(UP.format(SLOTS), ready=SLOTS),
            Step(UP.format(8), ready=SLOTS),
            Step("reconciler slots --backend web", says=(f"all {SLOTS} slots",)),
            Step("reconciler explain web-8", code=1, says=("web-8",)),
            Step(f"reconciler explain {STACK}-web-8", says=(f"all {SLOTS} slots",)),
        ),
    ),
    Scene(
        "What is wrong here?",
        "A container with a label that is none, and no head-room: `check` names the thing, "
        "the cause and the mend, and ends with 1.",
        (
            Step(
                f"docker run -d --name {STACK}-odd --network {STACK}_default "
                "-l haproxy.backend=web -l haproxy.port=http "
                "$WEB_IMAGE sleep 300"
            ),
            Step("reconciler check", code=1, says=("haproxy.port", "FAIL")),
            Step(f"reconciler explain {STACK}-odd", says=("haproxy.port",)),
            Step(f"docker rm -f {STACK}-odd"),
        ),
    ),
    Scene(
        "Scale down, with the daemon stopped",
        "`plan` shows what the daemon would do, and changes nothing. It ends with 3 while "
        "changes are pending.",
        (
            Step("docker compose stop reconciler"),
            Step(UP.format(3)),
            Step(
                "docker compose run --rm --no-deps -T reconciler plan",
                code=3,
                says=("- web/slot", "3 to release"),
            ),
            Step("docker compose start reconciler", ready=3),
            Step("reconciler plan", says=("nothing to do",)),
        ),
    ),
    Scene(
        "What happened",
        "The daemon remembers the last changes, each with its reason.",
        (
            Step(UP.format(2), ready=2),
            Step(
                "reconciler events --since 10m --no-follow",
                says=("drain web/slot", "- web/slot", f"{STACK}-web-3"),
            ),
        ),
    ),
    Scene(
        "All is well",
        "",
        (Step("reconciler check", says=("web",)),),
    ),
)


def argv(line: str, environment: Mapping[str, str]) -> list[str]:
    """Return what a line means here: the stack's own files, and words in place of variables."""
    words = [
        environment[word[1:]] if word.startswith("$") else word
        for word in shlex.split(line)
    ]
    stack = ["docker", "compose", *environment["SESSION_FILES"].split()]
    if words[0] == "reconciler":
        wide = ("-e", f"COLUMNS={COLUMNS}")
        return [*stack, "exec", "-T", *wide, "reconciler", *words]
    if words[:2] == ["docker", "compose"]:
        return [*stack, *words[2:]]
    return words


class Session:
    """The stack, and the page as far as it is written."""

    def __init__(self, folder: Path, screen: Screen) -> None:
        self._screen = screen
        self._page = [HEAD]
        config = folder / "base.cfg"
        text = (ROOT / "haproxy" / "base.cfg").read_text(encoding="utf-8")
        few = text.replace("slot 1-64 ", f"slot 1-{SLOTS} ")
        if few == text:
            raise SessionError("haproxy/base.cfg has no `slot 1-64` any more")
        config.write_text(few, encoding="utf-8")
        mount = f'volumes: ["{config}:/etc/haproxy/base.cfg:ro"]'
        override = folder / "few-slots.yaml"
        override.write_text(
            f"services: {{haproxy: {{{mount}}}, reconciler: {{{mount}}}}}\n",
            encoding="utf-8",
        )
        files = (ROOT / "compose" / "compose.yaml", override)
        self._environment = {
            **os.environ,
            "STACK_NAME": STACK,
            "SESSION_FILES": " ".join(f"--file {file}" for file in files),
            **{
                name: str(free_port())
                for name in ("HTTP_PORT", "TCP_PORT", "STATS_PORT")
            },
        }

    def run(self, line: str, *, seconds: float = 180) -> subprocess.CompletedProcess:
        """Run a line and return how it ended; its two outputs are one, as on a terminal."""
        return subprocess.run(
            argv(line, self._environment),
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )

    def required(self, line: str) -> str:
        """Run a line that is not shown, and return what it printed; raises SessionError."""
        done = self.run(line)
        if done.returncode:
            raise SessionError(f"{line}: ended with {done.returncode}: {done.stdout}")
        return done.stdout

    def play(self, scene: Scene) -> None:
        """Play a scene, and write it down."""
        self._screen.step(scene.title)
        words = f"\n{scene.words}\n" if scene.words else ""
        self._page.append(f"\n## {scene.title}\n{words}")
        shown = [self._played(step) for step in scene.steps]
        self._page.append("\n```console\n" + "\n".join(shown) + "```\n")

    def _played(self, step: Step) -> str:
        self._screen.show(f"$ {step.line}")
        done = self.run(step.line)
        text = "\n".join(line.rstrip() for line in done.stdout.splitlines()).rstrip()
        if done.returncode != step.code:
            raise SessionError(
                f"{step.line}: ended with {done.returncode}, not {step.code}:\n{text}"
            )
        missing = [words for words in step.says if words not in text]
        if missing:
            raise SessionError(f"{step.line}: does not say {missing}:\n{text}")
        if step.ready is not None:
            self.wait_ready(step.ready)
        is_quiet = step.line.startswith("docker ") and "plan" not in step.line
        said = f"{text}\n" if text and not is_quiet else ""
        code = f"$ echo $?\n{step.code}\n" if step.code else ""
        return f"$ {step.line}\n{said}{code}"

    def wait_ready(self, count: int) -> None:
        """Wait until exactly so many slots of `web` are ready."""

        def ready() -> bool:
            text = self.required("reconciler slots --json --backend web")
            states = [slot["state"] for slot in json.loads(text)["slots"]]
            return states.count("ready") == count

        wait_until(f"{count} ready slots", ready)

    def page(self) -> str:
        """Return the page as far as it is written."""
        return "".join(self._page)


def wait_until(claim: str, check: Callable[[], bool]) -> None:
    """Poll until the check holds; raises SessionError when the time is over."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not check():
        if time.monotonic() > deadline:
            raise SessionError(f"not so after {WAIT_SECONDS:.0f} s: {claim}")
        time.sleep(0.1)


def recorded(screen: Screen) -> str:
    """Play all scenes on a stack of their own, and return the page."""
    with tempfile.TemporaryDirectory(prefix="session-") as folder:
        # The engine's processes are others than ours: let them read the configuration.
        Path(folder).chmod(0o755)
        session = Session(Path(folder), screen)
        try:
            screen.step(f"Starting the stack {STACK}")
            session.required("docker compose up -d --scale web=1")
            session.wait_ready(1)
            for scene in SCENES:
                session.play(scene)
        finally:
            session.run(f"docker rm -f {STACK}-odd")
            session.run("docker compose down --volumes --timeout 1")
        return session.page()


def main() -> int:
    """Record, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    if given.list:
        print(*(step.line for scene in SCENES for step in scene.steps), sep="\n")
        return 0
    output = given.output
    screen = Screen()
    try:
        page = recorded(screen)
    except (SessionError, subprocess.TimeoutExpired) as error:
        screen.error(f"nothing was written: {error}")
        return 1
    output.write_text(page, encoding="utf-8")
    screen.step(f"Wrote {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
