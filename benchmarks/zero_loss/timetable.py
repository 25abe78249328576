"""What happens to the containers while requests come in; the same for every contender."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace

from tests.support.engine import wait_until
from traffic.stacks import Project
from traffic.tally import Phase


SERVICE = "web"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How much, and how long."""

    few: int = 2
    many: int = 20
    rolled: int = 4
    """So many containers stand during both recreates."""
    steady_seconds: float = 5.0
    hold_seconds: float = 8.0
    """After each change, so that its consequences fall into its own phase."""
    settle_seconds: float = 2.0
    """A rolling recreate waits so long between the new ones' start and the old ones' end."""

    def quick(self) -> Timing:
        """Return a short form, to see that all of it works."""
        return replace(
            self, many=6, steady_seconds=2.0, hold_seconds=3.0, settle_seconds=2.0
        )


@dataclass(slots=True)
class Timetable:
    """One run through all phases."""

    project: Project
    timing: Timing
    phases: list[Phase] = field(default_factory=list)

    def run(self, *, has_reconciler: bool) -> None:
        """Go through it. Raises CommandError where Docker refuses something."""
        timing = self.timing
        self._begin("steady")
        time.sleep(timing.steady_seconds)
        self._begin(f"scale {timing.few} -> {timing.many}")
        self._scale(timing.many)
        self._begin(f"scale {timing.many} -> {timing.few}")
        self._scale(timing.few)
        self._begin(f"rolling, start-first, {timing.rolled}")
        self._roll()
        self._begin(f"recreate, stop-first, {timing.rolled}")
        self._recreate()
        if has_reconciler:
            self._begin("reconciler killed in a scale up")
            self._kill_reconciler()
        self._begin(f"scale back to {timing.few}")
        self._scale(timing.few)
        self._begin("steady again")
        time.sleep(timing.steady_seconds)

    def _begin(self, name: str) -> None:
        self.phases.append(Phase(name, time.monotonic()))

    def _hold(self) -> None:
        time.sleep(self.timing.hold_seconds)

    def _scale(self, count: int) -> None:
        self.project.scale(SERVICE, count)
        self._hold()

    def _roll(self) -> None:
        """As many new ones first; then the old ones go, one after another."""
        count = self.timing.rolled
        self.project.scale(SERVICE, count)
        old = self.project.container_ids(SERVICE)
        self.project.scale(SERVICE, 2 * count)
        wait_until(
            lambda: len(self.project.container_ids(SERVICE)) == 2 * count,
            claim=f"{2 * count} containers run",
        )
        time.sleep(self.timing.settle_seconds)
        for container in old:
            self.project.engine.docker("stop", container)
            self.project.engine.docker("rm", container)
        self._hold()

    def _recreate(self) -> None:
        """Compose's own way: every old one is stopped before its new one starts."""
        count = self.timing.rolled
        options = ("--detach", "--no-deps", "--force-recreate")
        self.project.compose(
            "up",
            *options,
            "--scale",
            f"{SERVICE}={count}",
            SERVICE,
            timeout_seconds=120,
        )
        self._hold()

    def _kill_reconciler(self) -> None:
        """SIGKILL it when the first of a burst have started; start it a moment later."""
        before = len(self.project.container_ids(SERVICE))
        failed: list[BaseException] = []

        def scale() -> None:
            try:
                self.project.scale(SERVICE, 3 * self.timing.rolled)
            except BaseException as error:  # noqa: BLE001 - raised below
                failed.append(error)

        burst = threading.Thread(target=scale)
        burst.start()
        try:
            wait_until(
                lambda: len(self.project.container_ids(SERVICE)) > before,
                claim="the burst has begun",
            )
            reconciler = self.project.container("reconciler")
            self.project.engine.docker("kill", "--signal=KILL", reconciler)
        finally:
            burst.join()
        if failed:
            raise failed[0]
        self.project.compose("start", "reconciler")
        self._hold()
