"""Real Docker engines for the end-to-end tests.

``shared_engine()`` is the one that set-up found or started: the tests only add Compose
projects of their own to it. ``PrivateEngine`` is one of the test's own that may be stopped,
killed and started again, so that an engine which belongs to somebody never is. It lives in
a network namespace of its own, where its bridge and firewall rules meet nobody else's; its
published ports are therefore only reachable from inside.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, TypeVar

from tests.support.requirements import require


T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
STACK_ENV = ROOT / ".cache" / "stack.env"
_POLL_SECONDS = 0.02
_NO_CONTAINERS = 3
"""How scripts/setup ends where no containers can run."""


class CommandError(AssertionError):
    """A command ended with an error. The message has its last words."""


def run(
    command: list[str],
    *,
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float = 60,
) -> str:
    """Run a command and return its standard output; raises CommandError where it fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=timeout_seconds,
            env={**os.environ, **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(
            f"{shlex.join(command)}: still running after {timeout_seconds} s"
        ) from error
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CommandError(f"{shlex.join(command)}: exit {done.returncode}: {words}")
    return done.stdout


def wait_until(
    read: Callable[[], T], *, claim: str, timeout_seconds: float = 30.0
) -> T:
    """Poll ``read`` until it returns something true, and return that.

    A CommandError or a failed assertion counts as *not yet*. Raises AssertionError with
    the claim, and with what was read last, when the time is over.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            last: object = (value := read())
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(
                f"{claim}: not so after {timeout_seconds} s; last: {last}"
            )
        time.sleep(_POLL_SECONDS)


class Engine:
    """One engine: what Docker's client and Compose need in their environment to reach it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)

    @property
    def host(self) -> str:
        """Where it listens: ``unix:///…/docker.sock``."""
        return self.environment["DOCKER_HOST"]

    def docker(self, *arguments: str, timeout_seconds: float = 60) -> str:
        """Run Docker's client on this engine; raises CommandError."""
        return run(
            ["docker", *arguments],
            environment=self.environment,
            timeout_seconds=timeout_seconds,
        )


def shared_engine() -> Engine:
    """Set up (quick where it is done) and return the engine that the demo uses too.

    Skips the test (fails it under CI) where no containers can run.
    """
    try:
        done = subprocess.run(
            [str(ROOT / "scripts" / "setup")],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
    except OSError as error:
        raise CommandError(f"scripts/setup cannot be run: {error}") from error
    words = done.stderr.strip()[-600:]
    require(
        done.returncode != _NO_CONTAINERS, f"a Docker engine (scripts/setup): {words}"
    )
    if done.returncode != 0:
        raise CommandError(f"scripts/setup: exit {done.returncode}: {words}")
    return Engine(read_exports(STACK_ENV))


def read_exports(path: Path) -> dict[str, str]:
    """Read a file of ``export NAME=VALUE`` lines."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.removeprefix("export ").partition("=")
        if equals:
            found[name] = shlex.split(value)[0] if value else ""
    return found


class PrivateEngine(Engine):
    """An engine of the test's own, with the images of another one. Needs root.

    As a context manager it is started on entry, and removed whole on exit.
    """

    def __init__(
        self, source: Engine, *, hostname: str = "", socket_at: str = ""
    ) -> None:
        require(os.geteuid() == 0, "root, to start a Docker engine of the test's own")
        require(
            shutil.which("dockerd"), "dockerd, to start an engine of the test's own"
        )
        self._source = source
        self._name = f"reconciler-test-{uuid.uuid4().hex[:8]}"
        self._run, self._state = Path("/run", self._name), Path("/var/lib", self._name)
        folder = self._run / "socket"
        super().__init__(
            {
                **source.environment,
                "DOCKER_HOST": f"unix://{folder / 'docker.sock'}",
                "DOCKER_SOCKET_DIR": str(folder),
                "DOCKER_SOCKET_NAME": "docker.sock",
                "ENGINE_NAME": self._name,
                "ENGINE_NETNS": self._name,
                "ENGINE_PRIVATE": "1",
                "ENGINE_HOSTNAME": hostname,
                "ENGINE_SOCKET_AT": socket_at,
            }
        )

    @property
    def namespace(self) -> str:
        """The network namespace it lives in."""
        return self._name

    @property
    def pid(self) -> int:
        """The process that runs now."""
        return int((self._run / "dockerd.pid").read_text())

    def __enter__(self) -> Self:
        """Start, and copy the images of the demo stack over."""
        try:
            self.start()
            self._copy_images()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Remove everything."""
        self.remove()

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._script("up")
        group = Path(self.host.removeprefix("unix://")).stat().st_gid
        self.environment["DOCKER_GID"] = str(group)

    def stop(self) -> None:
        """Stop it in order (SIGTERM), and with it all its containers."""
        self._script("down")

    def kill(self) -> None:
        """End it with SIGKILL. Its containers go on, and are found by the next start."""
        self._script("kill")

    def remove(self) -> None:
        """Stop it with all its containers, and remove its files and its namespace."""
        self._script("up")
        if containers := self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", "--volumes", *containers)
        self._script("down")
        if Path("/run/netns", self._name).exists():
            run(["ip", "netns", "delete", self._name])
        # A killed engine never unmounted its own folder.
        for mounted in (Path("/proc/mounts").read_text()).splitlines():
            folder = Path(mounted.split()[1])
            if folder.is_relative_to(self._state) or folder.is_relative_to(self._run):
                run(["umount", "--lazy", str(folder)])
        shutil.rmtree(self._run, ignore_errors=True)
        shutil.rmtree(self._state, ignore_errors=True)

    def _script(self, verb: str) -> None:
        run(
            [str(ROOT / "scripts" / "engine"), verb],
            environment=self.environment,
            timeout_seconds=120,
        )

    def _copy_images(self) -> None:
        names = ("HAPROXY_IMAGE", "WEB_IMAGE", "RECONCILER_IMAGE")
        images = sorted({self.environment[name] for name in names})
        save = subprocess.Popen(
            ["docker", "save", *images],
            stdout=subprocess.PIPE,
            env={**os.environ, **self._source.environment},
        )
        with save:
            subprocess.run(
                ["docker", "load", "--quiet"],
                stdin=save.stdout,
                env={**os.environ, **self.environment},
                capture_output=True,
                check=True,
                timeout=300,
            )
