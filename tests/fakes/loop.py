"""The daemon's loop over fake HAProxies, without Docker: what discovery says, tests say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from tests.fakes.containers import by_id
from tests.fakes.proxy import FakeProxy

from reconciler.controller import Controller
from reconciler.core.cfg_sections import CfgFile
from reconciler.core.claims import ClaimTable
from reconciler.core.instances import Instance, Instances, source_of
from reconciler.core.model import Change, Container, Process
from reconciler.core.placement import Context
from reconciler.core.plan import DRAIN_SECONDS, Rules
from reconciler.core.slot_file import SlotFile
from reconciler.crew import Crew
from reconciler.haproxy.versions import reuse_needs_idle
from reconciler.journal import Journal
from reconciler.metrics import Metrics
from reconciler.report import LogReporter, Reporters
from reconciler.status import PassReport, WorkerStatus
from reconciler.worker import Worker, WorkerSettings


WAIT_SECONDS = 10.0


class RecordingReporter:
    """Remembers every pass and every new process, and lets a test wait for them."""

    def __init__(self) -> None:
        self.passes: list[PassReport] = []
        self.reconnects: list[str] = []
        self.found: list[tuple[str, str]] = []
        self.gone: list[str] = []
        self.missing: list[str] = []
        self._news = asyncio.Event()

    def passed(self, report: PassReport) -> None:
        """Remember a pass."""
        self.passes.append(report)
        self._news.set()
        self._news = asyncio.Event()

    def changed(
        self, worker: WorkerStatus, changes: Sequence[Change], late: float | None
    ) -> None:
        """Remembered by nobody here."""

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """Remember why."""
        del worker
        self.reconnects.append(why)

    def haproxy_found(self, worker: WorkerStatus, instance: Instance) -> None:
        """Remember who was found, and in which container."""
        self.found.append((worker.name, instance.container))

    def haproxy_gone(self, worker: WorkerStatus) -> None:
        """Remember who has gone."""
        self.gone.append(worker.name)
        self._news.set()
        self._news = asyncio.Event()

    def haproxy_missing(self, problem: str) -> None:
        """Remember why."""
        self.missing.append(problem)

    def docker_lost(self, reason: str) -> None:
        """Remembered by nobody here."""

    def docker_followed(self) -> None:
        """Remembered by nobody here."""

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Return once the condition holds; it is looked at after every pass.

        Raises AssertionError, with the last reasons, where it does not within seconds.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not condition():
                    await self._news.wait()
        except TimeoutError as error:
            last = [(one.reason, str(one.error)) for one in self.passes[-5:]]
            raise AssertionError(f"not seen: {what}; last passes {last}") from error

    async def until_passes(self, count: int) -> None:
        """Return once so many passes are over."""
        await self.until(lambda: len(self.passes) >= count, f"{count} passes")


class Loop:
    """A controller with one worker for each proxy, and all that listens to them."""

    def __init__(
        self,
        *proxies: FakeProxy,
        resync_seconds: float = 30.0,
        drain_seconds: float = DRAIN_SECONDS,
        sources: Sequence[str] = (),
        found: Sequence[FakeProxy] = (),
        base_cfg: str = "",
    ) -> None:
        self.proxies = proxies
        self.unread = 0
        """How many containers discovery has heard of, and not read yet."""
        self.reporter = RecordingReporter()
        self.metrics = Metrics([proxy.name for proxy in proxies])
        self.claims = ClaimTable(Context())
        self.journal = Journal()
        reporters = Reporters(LogReporter(), self.metrics, self.journal, self.reporter)

        def rules_for(process: Process) -> Rules:
            return Rules(
                reuse_needs_idle=reuse_needs_idle(process.release),
                drain_seconds=drain_seconds,
            )

        def worker(proxy: FakeProxy, *, starting_seconds: float = 0.0) -> Worker:
            return Worker(
                proxy,
                self.claims,
                rules_for=rules_for,
                settings=WorkerSettings(
                    resync_seconds=resync_seconds, starting_seconds=starting_seconds
                ),
                reporter=reporters,
                unread=lambda: self.unread,
                has_newcomers=lambda: self.crew.has_newcomers(),  # noqa: PLW0108 - it comes later
                is_current=lambda: self.controller.is_current,
                slot_file=SlotFile([CfgFile("base.cfg", base_cfg)]),
            )

        def hire(url: str) -> Worker:
            proxy = self.hired[url] = to_be_found[url]
            return worker(proxy, starting_seconds=10.0)

        to_be_found = {proxy.name: proxy for proxy in found}
        self.hired: dict[str, FakeProxy] = {}
        """The HAProxies that were found, by URL."""
        self.workers = [worker(proxy) for proxy in proxies]
        self.crew = Crew(self.workers, reporter=reporters, hire=hire)
        self.controller = Controller(
            self.claims,
            self.crew,
            context_for=lambda _: Context(),
            reporter=reporters,
            instances=Instances(map(source_of, sources)),
        )
        self.metrics.watch(self.controller)

    def start(self, *containers: Container, at: float | None = None) -> None:
        """Say that these containers run now, or are different."""
        self.controller.changed(by_id(*containers), at=at, is_resync=at is None)

    def gone(self, *containers: Container, at: float | None = 1.0) -> None:
        """Say that these containers do not run any more."""
        changes = dict.fromkeys([one.id for one in containers])
        self.controller.changed(changes, at=at, is_resync=at is None)

    async def idle(self) -> None:
        """Return once no worker has anything to do before a timer: let the loop turn."""
        for _ in range(50):
            await asyncio.sleep(0)


@asynccontextmanager
async def looping(
    *proxies: FakeProxy,
    containers: tuple[Container, ...] = (),
    resync_seconds: float = 30.0,
    drain_seconds: float = DRAIN_SECONDS,
    is_informed: bool = True,
    sources: Sequence[str] = (),
    found: Sequence[FakeProxy] = (),
    base_cfg: str = "",
) -> AsyncIterator[Loop]:
    """Run a loop for the length of a block; Docker was read and has these containers.

    ``base_cfg`` is HAProxy's configuration.
    ``found`` are HAProxies that ``sources`` may find, each by its name.
    """
    loop = Loop(
        *proxies,
        resync_seconds=resync_seconds,
        drain_seconds=drain_seconds,
        sources=sources,
        found=found,
        base_cfg=base_cfg,
    )
    loop.start(*containers)
    task = asyncio.create_task(loop.controller.run())
    try:
        if is_informed:
            loop.controller.listed()
        yield loop
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
