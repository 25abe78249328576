"""Who is told what: Docker's changes go into the claims, and wake the workers concerned."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping

from reconciler.core.claims import ClaimTable
from reconciler.core.instances import Instances
from reconciler.core.model import Container
from reconciler.core.placement import Context, Ports, joined_ports
from reconciler.crew import Crew
from reconciler.status import Reporter, WorkerStatus


class Controller:
    """All workers and the claims they share: the sink that discovery reports to."""

    def __init__(
        self,
        claims: ClaimTable,
        crew: Crew,
        *,
        context_for: Callable[[Mapping[str, Container]], Context],
        reporter: Reporter,
        instances: Instances | None = None,
    ) -> None:
        """``instances`` are the HAProxies that are found by themselves."""
        self._claims = claims
        self._reporter = reporter
        self._crew = crew
        self._instances = instances or Instances(())
        self._context_for = context_for
        self._told: frozenset[str] = frozenset()
        self._ports = Ports({}, {})
        self._last_context = (claims.context, claims.context)
        self._informed = asyncio.Event()
        self.engine_error: str | None = "docker was not read yet"
        self.corrections = 0
        """Containers that a resync corrected: what events had missed."""
        self.events: Counter[str] = Counter()
        """Events that came, by action."""
        self.listed_at = 0.0
        """When the last whole list was read, in Unix seconds; 0 before the first."""

    @property
    def is_informed(self) -> bool:
        """Whether Docker was read at least once: before that nothing is changed."""
        return self._informed.is_set()

    @property
    def is_current(self) -> bool:
        """Whether what is known of Docker is what there is."""
        return self.engine_error is None

    @property
    def is_loaded(self) -> bool:
        """Whether Docker and every HAProxy that can be reached were read at least once."""
        return self.is_informed and all(
            worker.is_reached or worker.error is not None for worker in self.workers
        )

    @property
    def claims(self) -> ClaimTable:
        """What the running containers ask for."""
        return self._claims

    @property
    def workers(self) -> list[WorkerStatus]:
        """The state of every HAProxy."""
        return self._crew.statuses

    @property
    def problems(self) -> list[str]:
        """Why a HAProxy that should be found is not, in words that name no container."""
        return self._instances.nameless_problems if self.is_informed else []

    def changed(
        self,
        changes: Mapping[str, Container | None],
        *,
        at: float | None,
        is_resync: bool,
    ) -> None:
        """Containers changed (None: gone); wake whom it concerns."""
        if is_resync and self.is_informed:
            self.corrections += len(changes)
        touched = self._claims.update(changes)
        touched.join(self._claims.set_context(self._context()))
        if self._instances.update(
            changes, self._claims.containers, self._claims.context
        ):
            self._crew.keep(self._instances.found)
            self.learn_ports()
            self._tell_problems()
        if touched:
            self._crew.wake(touched, at=at)

    def _context(self) -> Context:
        """Return what the rules take for granted now: the same object while nothing changed."""
        given = self._context_for(self._claims.containers)
        if self._last_context[0] is not given:
            self._last_context = (given, self._with_ports(given))
        return self._last_context[1]

    def _with_ports(self, given: Context) -> Context:
        free, on_file = self._ports
        return dataclasses.replace(given, free_ports=free, file_ports=on_file)

    def learn_ports(self) -> None:
        """The ports of some HAProxy's free slots are others now; wake whom it concerns."""
        workers = self.workers
        found = joined_ports((one.free_ports, one.file_ports) for one in workers)
        if found == self._ports:
            return
        self._ports = found
        given = self._last_context[0]
        self._last_context = (given, self._with_ports(given))
        touched = self._claims.set_context(self._context())
        if touched:
            self._crew.wake(touched, at=None)

    def heard(self, action: str) -> None:
        """An event came."""
        self.events[action] += 1

    def listed(self) -> None:
        """A whole list was read."""
        self.listed_at = time.time()
        was_lost, self.engine_error = self.engine_error is not None, None
        if was_lost:
            self._reporter.docker_followed()
        if was_lost and self.is_informed:
            # Absence means something again: whatever was left alone is looked at.
            self._crew.observe_again("docker answers again")
        self._informed.set()
        self._tell_problems()

    def _tell_problems(self) -> None:
        """Tell each reason why a HAProxy is not found, once for as long as it holds.

        Not before everything was read: until then nobody is missing.
        """
        if self.is_informed:
            before, self._told = self._told, frozenset(self._instances.problems)
            for problem in sorted(self._told - before):
                self._reporter.haproxy_missing(problem)

    def engine_lost(self, reason: str) -> None:
        """The engine does not answer: everything stays as it is."""
        if self.engine_error != reason:
            self._reporter.docker_lost(reason)
        self.engine_error = reason

    async def run(self) -> None:
        """Run all workers, once Docker was read. Ends only by cancellation."""
        await self._informed.wait()
        await self._crew.run()
