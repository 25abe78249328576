"""The workers of a daemon: one for each HAProxy, some of which come and go while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from reconciler.core.instances import Instance
from reconciler.core.touched import Touched
from reconciler.status import Reporter, WorkerStatus
from reconciler.worker import Worker


class Crew:
    """Workers by the name of their HAProxy, in the order in which they came."""

    def __init__(
        self,
        workers: Sequence[Worker],
        *,
        reporter: Reporter,
        hire: Callable[[str], Worker] | None = None,
        let_go: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``workers`` stay for good; ``hire`` makes one for a HAProxy that was found.

        ``let_go`` is called once that has gone.
        """
        self._on_leave = let_go
        self._reporter = reporter
        self._hire = hire
        self._workers: dict[str, Worker] = {}
        self._fixed = frozenset(worker.status.name for worker in workers)
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[NoReturn]] = {}
        self._number = 0
        for worker in workers:
            self._add(worker)

    @property
    def statuses(self) -> list[WorkerStatus]:
        """The state of every HAProxy."""
        return [worker.status for worker in self._workers.values()]

    def has_newcomers(self) -> bool:
        """Whether one was just found that is not filled yet."""
        return any(worker.is_new for worker in self._workers.values())

    def wake(self, touched: Touched, *, at: float | None) -> None:
        """Some claims changed."""
        for worker in self._workers.values():
            worker.wake(touched, at=at)

    def observe_again(self, why: str) -> None:
        """Have every table read again, and everything planned for."""
        for worker in self._workers.values():
            worker.observe_again(why)

    def keep(self, found: Mapping[str, Instance]) -> None:
        """These HAProxies are found now: hire for new ones, let go of those that are gone."""
        for name in self._workers.keys() - self._fixed - found.keys():
            self._let_go(name)
        for name, instance in found.items():
            if name in self._fixed or self._hire is None:
                continue
            worker = self._workers.get(name)
            if worker is None:
                worker = self._hire(name)
                self._reporter.haproxy_found(worker.status, instance)
                self._add(worker)
            worker.status.is_leaving = instance.is_leaving

    async def run(self) -> NoReturn:
        """Run all workers, and those that come. Ends only by cancellation."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name in self._workers:
                self._start(name)
            await asyncio.Event().wait()
        raise AssertionError  # nobody sets that event

    def _add(self, worker: Worker) -> None:
        worker.status.number = self._number
        self._number += 1
        self._workers[worker.status.name] = worker
        if self._group is not None:
            self._start(worker.status.name)

    def _start(self, name: str) -> None:
        assert self._group is not None  # noqa: S101 - it runs
        self._tasks[name] = self._group.create_task(self._workers[name].run())

    def _let_go(self, name: str) -> None:
        """End a worker. What it still has to tell comes before the news that it is gone."""
        worker = self._workers.pop(name)
        self._on_leave(name)
        task = self._tasks.pop(name, None)
        if task is None:
            self._reporter.haproxy_gone(worker.status)
            return

        def gone(_: asyncio.Task[NoReturn]) -> None:
            if name not in self._workers:  # it may be back already
                self._reporter.haproxy_gone(worker.status)

        task.add_done_callback(gone)
        task.cancel()
