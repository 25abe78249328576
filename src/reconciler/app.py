"""The composition root: the only place that builds adapters and joins them to the loop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping

from reconciler.config import Settings
from reconciler.controller import Controller
from reconciler.core.claims import ClaimTable
from reconciler.core.model import Container, Process
from reconciler.core.placement import Context
from reconciler.core.plan import Rules
from reconciler.discovery.engine import Engine
from reconciler.discovery.own import own_container, own_container_id
from reconciler.discovery.watch import Watcher
from reconciler.haproxy.proxy import RuntimeProxy
from reconciler.haproxy.versions import reuse_needs_idle
from reconciler.journal import Journal
from reconciler.metrics import Metrics
from reconciler.report import LogReporter, Reporters
from reconciler.web import application, serve
from reconciler.web.statistics import Statistics
from reconciler.worker import Worker, WorkerSettings


_log = logging.getLogger("reconciler")

_NOT_SHARED = frozenset({"host", "none"})
"""Network modes that Docker lists as networks, but that connect nobody."""


def rules_for(settings: Settings) -> Callable[[Process], Rules]:
    """Return the planner's rules for a HAProxy process, by its version."""

    def rules(process: Process) -> Rules:
        return Rules(
            slot_prefix=settings.slot_prefix,
            reuse_needs_idle=reuse_needs_idle(process.release),
            drain_seconds=settings.drain_seconds,
        )

    return rules


def context_for(
    settings: Settings, own_id: str | None
) -> Callable[[Mapping[str, Container]], Context]:
    """Return what the placement rules take for granted, given the running containers.

    Raises ConfigError: base_cfg cannot be read.
    """
    ports = settings.default_ports()

    def context(containers: Mapping[str, Container]) -> Context:
        own = own_container(containers, own_id)
        projects = frozenset(settings.projects)
        if not projects and own is not None and own.project is not None:
            projects = frozenset({own.project})
        networks = {a.network for a in own.networks} if own is not None else set()
        return Context(
            projects=projects or None,
            network=settings.network,
            shared_networks=frozenset(networks - _NOT_SHARED),
            default_ports=ports,
        )

    return context


async def run_daemon(settings: Settings) -> None:
    """Reconcile until SIGTERM or SIGINT. The map stays as it is at the end.

    Raises ConfigError where the daemon cannot start. Afterwards nothing ends it but a
    signal: Docker and HAProxy may come and go.
    """
    metrics = Metrics(settings.haproxy)
    journal = Journal()
    reporter = Reporters(LogReporter(), metrics, journal)
    find_context = context_for(settings, own_container_id())
    claims = ClaimTable(find_context({}))
    workers = [
        Worker(
            RuntimeProxy(address, timeout_seconds=settings.haproxy_timeout_seconds),
            claims,
            rules_for=rules_for(settings),
            settings=WorkerSettings(
                slot_prefix=settings.slot_prefix, resync_seconds=settings.resync_seconds
            ),
            reporter=reporter,
        )
        for address in settings.haproxy
    ]
    controller = Controller(
        claims, workers, context_for=find_context, reporter=reporter
    )
    metrics.watch(controller)
    runner = None
    if settings.listen is not None:
        served = application(
            controller,
            metrics,
            journal,
            statistics=_statistics(settings),
            allowed_hosts=settings.allowed_hosts,
        )
        runner = await serve(served, *settings.listen)
    engine = Engine(settings.docker)
    watcher = Watcher(engine, controller, resync_seconds=settings.resync_seconds)
    _log.info("started", extra={"haproxies": len(workers), "docker": engine.name})
    try:
        await _until_signal(watcher.run(), controller.run(), metrics.run())
    finally:
        await engine.aclose()
        if runner is not None:
            await runner.cleanup()
    _log.info("stopped; the slot map stays as it is")


def _statistics(settings: Settings) -> Statistics:
    """Return what reads the statistics, on sessions of its own."""
    return Statistics(
        [
            RuntimeProxy(address, timeout_seconds=settings.haproxy_timeout_seconds)
            for address in settings.haproxy
        ]
    )


async def _until_signal(*endless: Coroutine[None, None, None]) -> None:
    """Run coroutines that never end until a signal asks to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one) for one in endless]
        await stop.wait()
        for task in running:
            task.cancel()
