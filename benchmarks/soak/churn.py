"""Random, bounded churn of the web service, and what it has to come to after each step."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from soak.vitals import Vitals
from tests.support.engine import wait_until
from traffic.stacks import Project
from traffic.tally import Phase


SERVICE = "web"
FEWEST, USUAL, MOST = 1, 4, 12
CONVERGED_SECONDS = 30.0
"""A slot is ready some 10 ms after its container starts. A minute of a busy machine is no
reason to call the map wrong, half a minute of nothing is."""

PAUSED_SECONDS = (0.5, 3.0)
LEFT_ALONE = 0.25
"""So often the next step comes at once, before anybody looked at what the last one did."""


@dataclass(slots=True)
class Churn:
    """One run's steps, in the order that its seed gives."""

    project: Project
    vitals: Vitals
    random: random.Random
    phases: list[Phase] = field(default_factory=list)
    slowest: dict[str, float] = field(default_factory=dict)
    """The longest wait for convergence after each kind of step."""
    not_converged: list[str] = field(default_factory=list)

    def warm_up(self) -> None:
        """Let the reconciler see its largest and its usual number of containers."""
        self.begin("warm-up")
        self.project.scale(SERVICE, MOST)
        self.converge()
        self.project.scale(SERVICE, USUAL)
        self.converge()
        self.vitals.begin_life()

    def run(self, seconds: float) -> None:
        """Do steps until the time is over."""
        deadline = time.monotonic() + seconds
        weights = [WEIGHTS.get(name, 1) for name in STEPS]
        while time.monotonic() < deadline:
            (name,) = self.random.choices(list(STEPS), weights)
            self.begin(name)
            STEPS[name](self)
            if self.random.random() > LEFT_ALONE:
                self.converge()
        self.begin("settle")
        self.end_life()

    def end_life(self) -> None:
        """Come to rest at the usual number, then take the reconciler's measure."""
        self.project.scale(SERVICE, USUAL)
        self.converge()
        self.vitals.end_life()

    def begin(self, name: str) -> None:
        """Start a stretch of time that failures are put down to."""
        self.phases.append(Phase(name, time.monotonic()))

    def converge(self) -> None:
        """Wait until exactly the running containers are ready slots; note it if not."""
        name, start = self.phases[-1].name, time.monotonic()
        try:
            wait_until(
                lambda: [self.difference()] == [""],
                claim=f"the map is right after {name!r}",
                timeout_seconds=CONVERGED_SECONDS,
            )
        except AssertionError:
            self.not_converged.append(f"{name}: {self.difference()}")
        took = time.monotonic() - start
        self.slowest[name] = max(took, self.slowest.get(name, 0.0))

    def difference(self) -> str:
        """Return how the map differs from the containers, nothing if it does not."""
        running = self.project.running_containers(SERVICE)
        desired = sorted(one.address for one in running)
        observed = self.project.ready_addresses(SERVICE)
        return "" if desired == observed else f"running {desired}, ready {observed}"

    def victim(self) -> str | None:
        """Return a container that may be missed: another one runs beside it."""
        running = self.project.container_ids(SERVICE)
        return self.random.choice(running) if len(running) > 1 else None

    def docker(self, *arguments: str) -> None:
        """Run Docker's client."""
        self.project.engine.docker(*arguments)


def scale(churn: Churn) -> None:
    """Scale to any number; Compose starts whoever was stopped."""
    churn.project.scale(SERVICE, churn.random.randint(FEWEST, MOST))


def with_victim(step: Callable[[Churn, str], None]) -> Callable[[Churn], None]:
    """Make a step of what is done to one container; where there is none, scale."""

    def chosen(churn: Churn) -> None:
        victim = churn.victim()
        if victim is None:
            churn.project.scale(SERVICE, churn.random.randint(2, MOST))
            victim = churn.victim()
        if victim is not None:
            step(churn, victim)

    return chosen


def kill(churn: Churn, container: str) -> None:
    """SIGKILL, then start it again: the same container at another address, maybe."""
    churn.docker("kill", container)
    churn.converge()
    churn.docker("start", container)


def hang_up(churn: Churn, container: str) -> None:
    """A signal that ends nothing: nobody may be taken out for it."""
    churn.docker("kill", "--signal=HUP", container)


def restart(churn: Churn, container: str) -> None:
    """Docker's own restart."""
    churn.docker("restart", container)


def pause(churn: Churn, container: str) -> None:
    """Freeze it for a moment."""
    churn.docker("pause", container)
    try:
        time.sleep(churn.random.uniform(*PAUSED_SECONDS))
        churn.converge()
    finally:
        churn.docker("unpause", container)


def stop(churn: Churn, container: str) -> None:
    """Stop it in order, then start it."""
    churn.docker("stop", container)
    churn.converge()
    churn.docker("start", container)


def remove(churn: Churn, container: str) -> None:
    """Remove it while it runs, then have Compose make another one."""
    count = len(churn.project.container_ids(SERVICE))
    churn.docker("rm", "--force", container)
    churn.project.scale(SERVICE, count)


def restart_reconciler(churn: Churn) -> None:
    """Restart the daemon; its successor is warmed up, so that it can be measured too."""
    churn.end_life()
    churn.project.compose("restart", "reconciler")
    churn.converge()
    churn.warm_up()


STEPS: dict[str, Callable[[Churn], None]] = {
    "scale": scale,
    "kill -9, start": with_victim(kill),
    "kill -HUP": with_victim(hang_up),
    "restart": with_victim(restart),
    "pause, unpause": with_victim(pause),
    "stop, start": with_victim(stop),
    "rm -f, scale": with_victim(remove),
    "restart reconciler": restart_reconciler,
}
WEIGHTS = {"scale": 3}
"""The others come once as often."""
