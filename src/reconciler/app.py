"""The composition root: the only place that builds adapters and joins them to the loop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine

from reconciler import garbage
from reconciler.config import Settings
from reconciler.controller import Controller
from reconciler.core.claims import ClaimTable
from reconciler.core.instances import Instances, labels_of
from reconciler.crew import Crew
from reconciler.discovery.engine import Engine
from reconciler.discovery.fleet import Fleet
from reconciler.discovery.own import own_container_id
from reconciler.discovery.swarm_api import SwarmApi
from reconciler.discovery.swarm_watch import SwarmWatcher
from reconciler.discovery.watch import Watcher
from reconciler.haproxy.proxy import RuntimeProxy
from reconciler.journal import Journal
from reconciler.metrics import Metrics
from reconciler.report import LogReporter, Reporters
from reconciler.rules import context_for, rules_for
from reconciler.web import application, serve
from reconciler.web.statistics import Statistics
from reconciler.worker import Worker, WorkerSettings


STARTING_SECONDS = 10.0
"""For so long a HAProxy that was found, and does not answer yet, is taken for a starting one."""

SWITCH_SECONDS = 0.0005
"""How long a thread keeps Python's lock while the loop wants it. The loop gives the lock away in
every call of the system, several for one answer, and with Python's 5 ms it got it back that much
later each time: 20 to 30 ms for an answer while 10,000 slots were planned for."""

_log = logging.getLogger("reconciler")


async def run_daemon(settings: Settings) -> None:
    """Reconcile until SIGTERM or SIGINT. The map stays as it is at the end.

    Raises ConfigError where the daemon cannot start. Afterwards nothing ends it but a
    signal: Docker and HAProxy may come and go.
    """
    settings.check_tls()
    sys.setswitchinterval(SWITCH_SECONDS)
    metrics = Metrics(settings.sockets)
    journal = Journal()
    reporter = Reporters(LogReporter(), metrics, journal)
    find_context = context_for(settings, own_container_id())
    claims = ClaimTable(find_context({}))
    slot_file = settings.slot_file()
    statistics = Statistics([_proxy(settings, one) for one in settings.sockets])

    def worker(address: str, *, starting_seconds: float = 0.0) -> Worker:
        return Worker(
            _proxy(settings, address),
            claims,
            rules_for=rules_for(settings),
            settings=WorkerSettings(
                slot_prefix=settings.slot_prefix,
                resync_seconds=settings.resync_seconds,
                starting_seconds=starting_seconds,
            ),
            reporter=reporter,
            unread=lambda: watcher.unread,
            has_newcomers=lambda: crew.has_newcomers(),  # noqa: PLW0108 - it comes later
            is_current=lambda: controller.is_current,
            slot_file=slot_file,
            learned=lambda: controller.learn_ports(),  # noqa: PLW0108 - it comes later
        )

    def hire(address: str) -> Worker:
        statistics.add(_proxy(settings, address))
        return worker(address, starting_seconds=STARTING_SECONDS)

    crew = Crew(
        [worker(address) for address in settings.sockets],
        reporter=reporter,
        hire=hire,
        let_go=statistics.remove,
    )
    controller = Controller(
        claims,
        crew,
        context_for=find_context,
        reporter=reporter,
        instances=Instances(settings.sources),
    )
    metrics.watch(controller)
    runner = None
    if settings.listen is not None:
        served = application(
            controller,
            metrics,
            journal,
            statistics=statistics,
            allowed_hosts=settings.allowed_hosts,
        )
        runner = await serve(served, *settings.listen)
    engine = Engine(settings.docker, keep=labels_of(settings.sources))
    is_swarm = settings.swarm != "off"
    fleet = Fleet(controller, hint=lambda: swarm.hint(), is_swarm=is_swarm)  # noqa: PLW0108
    swarm = SwarmWatcher(
        SwarmApi(engine),
        fleet,
        is_wanted=settings.swarm == "on",
        resync_seconds=settings.resync_seconds,
    )
    watcher = Watcher(engine, fleet, resync_seconds=settings.resync_seconds)
    followed = [watcher.run()]
    if is_swarm:
        followed.append(swarm.run())
    _log.info(
        "started", extra={"haproxies": len(settings.haproxy), "docker": engine.name}
    )
    try:
        await _until_signal(
            *followed,
            controller.run(),
            metrics.run(),
            garbage.collect(lambda: controller.is_loaded),
        )
    finally:
        await engine.aclose()
        if runner is not None:
            await runner.cleanup()
    _log.info("stopped; the slot map stays as it is")


def _proxy(settings: Settings, address: str) -> RuntimeProxy:
    return RuntimeProxy(
        address, timeout_seconds=settings.haproxy_timeout_seconds, tls=settings.tls
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
