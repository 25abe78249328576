"""Metrics, paths and Docker requests as docs/operations.md has them, and in the code."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from aiohttp import web
from tests.fakes.containers import free_slot
from tests.scripted_engine import ScriptedEngine
from tests.unit.docs import pages

from reconciler.controller import Controller
from reconciler.core.claims import ClaimTable
from reconciler.core.model import Cause, Process, Tenant, Unplaced
from reconciler.core.placement import Context
from reconciler.core.plan import Rules
from reconciler.crew import Crew
from reconciler.discovery.engine import Engine
from reconciler.discovery.swarm_api import SwarmApi
from reconciler.errors import DiscoveryError
from reconciler.haproxy.proxy import RuntimeProxy
from reconciler.journal import Journal
from reconciler.metrics import Metrics
from reconciler.report import LogReporter
from reconciler.web import application
from reconciler.worker import Worker, WorkerSettings


OPERATIONS = pages.text_of("docs/operations.md")

UNPLACED = Unplaced(
    backend="web",
    tenant=Tenant(container_id="a", container="web-1"),
    cause=Cause.NO_SLOT,
    reason="",
)


def _controller() -> Controller:
    """Return a controller with one worker that has a slot and somebody without one."""
    claims = ClaimTable(Context())
    process = Process(version="3.0.11", pid=1, start_time=1, is_stopping=False)
    worker = Worker(
        RuntimeProxy("unix:///nowhere"),
        claims,
        rules_for=lambda _: Rules(),
        settings=WorkerSettings(),
        reporter=LogReporter(),
    )
    worker.status.process = process
    worker.status.tables = {"web": {"slot1": free_slot(1)}}
    worker.status.unplaced = {"web": (UNPLACED,)}
    reporter = LogReporter()
    crew = Crew([worker], reporter=reporter)
    return Controller(claims, crew, context_for=lambda _: Context(), reporter=reporter)


def exposed_metrics() -> dict[str, set[str]]:
    """Return the labels of every metric that the daemon has, by name."""
    exposed = Metrics(["unix:///nowhere"])
    exposed.watch(_controller())
    found: dict[str, set[str]] = {}
    for family in exposed.scrape().collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = labels - {"le"}
    return found


def test_every_metric_is_documented() -> None:
    """The table of metrics has each metric with its labels, and no other."""
    rows = pages.table(pages.section(OPERATIONS, "Metrics"), "metric")
    documented = {pages.codes(row[0])[0]: set(pages.codes(row[1])) for row in rows}

    assert exposed_metrics() == documented


def test_every_route_is_documented() -> None:
    """The table of paths is what is served on --listen."""
    app: web.Application = application(_controller(), Metrics([]), Journal())
    real = {resource.canonical for resource in app.router.resources()}
    rows = pages.table(pages.section(OPERATIONS, "Health"), "path")

    assert real == set(pages.first_codes(rows))


async def test_docker_is_asked_for_nothing_but_the_documented_list(
    tmp_path: Path,
) -> None:
    """Everything that is asked of Docker is on the allow-list, and all of that is used."""
    async with ScriptedEngine(tmp_path / "docker.sock") as scripted:
        engine = Engine(scripted.url)
        stream = await engine.events(since=await engine.now())
        stream.close()
        await engine.containers()
        await engine.container("none")
        await engine.addresses_on("none", "none")
        await engine.aclose()
        asked = set(scripted.requests.routes)
    rows = pages.table(pages.section(OPERATIONS, "Docker"), "request")

    assert {f"GET {route}" for route in asked} == set(pages.first_codes(rows))
    assert scripted.requests.refused == []


async def test_a_swarm_is_asked_for_nothing_but_the_documented_list(
    tmp_path: Path,
) -> None:
    """What is asked of a manager stands in a table of its own."""
    async with ScriptedEngine(tmp_path / "docker.sock") as scripted:
        engine = Engine(scripted.url)
        api = SwarmApi(engine)
        for asking in (
            api.wanted_tasks(),
            api.all_tasks(),
            api.tasks_of(["a"]),
            api.services(),
            api.nodes(),
        ):
            with suppress(DiscoveryError):  # it is no manager
                await asking
        await engine.aclose()
        asked = {one for one in scripted.requests.routes if one != "/version"}
    rows = pages.table(pages.section(OPERATIONS, "Docker"), "request to a manager")

    assert {f"GET {route}" for route in asked} == set(pages.first_codes(rows))
