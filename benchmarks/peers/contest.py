"""Who is compared, and what each goes through: one container more, one less, many times.

The contenders are those of zero_loss, each in a Compose project of its own on a real engine,
under the same constant load.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from peers.cost import NOTHING_SPENT, Cost, Spent
from peers.look import PageTable, RuntimeTable, Table
from peers.observer import Observer, ServerLog
from peers.steps import Steps, Times
from peers.twins import Twins
from tests.support.engine import CommandError, Engine, wait_until
from traffic.load import Load, Target
from traffic.records import records_in
from traffic.stacks import Project
from traffic.tally import Phase, Tally, by_phase, total
from zero_loss.contenders import CONTENDERS, Contender


STANDING = 2
"""So many containers are there all the time."""

START_SECONDS = 60.0
SOCKET = "/run/haproxy/admin.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A contender, and how it is measured."""

    contender: Contender
    changes: int
    """So many single adds, and so many single removals."""
    jitter_seconds: float
    """Before each change a random wait of up to one of its periods: else each change would
    come just after a poll, as the one before was seen by that poll."""
    look_seconds: float
    """How often its HAProxy is looked at, besides when it logs that something became of a
    server. A page that is asked for is also logged, by the follower in EasyHAProxy's case: so
    not more often than its seconds need."""


ENTRIES = {
    "slots": Entry(
        contender=CONTENDERS["slots"],
        changes=30,
        jitter_seconds=0.5,
        look_seconds=0.01,
    ),
    "dns": Entry(
        contender=CONTENDERS["dns"],
        changes=60,
        jitter_seconds=1.0,
        look_seconds=0.01,
    ),
    "easyhaproxy": Entry(
        contender=CONTENDERS["easyhaproxy"],
        changes=10,
        jitter_seconds=10.0,
        look_seconds=0.05,
    ),
}


@dataclass(slots=True, kw_only=True)
class Finding:
    """What became of one contender."""

    name: str
    times: Times = field(default_factory=Times)
    tally: Tally = field(default_factory=lambda: Tally("total"))
    most_haproxies: int = 0
    haproxies: int = 0
    reloads: int = 0
    rest_seconds: float = 0.0
    rest: Spent = NOTHING_SPENT
    change_seconds: float = 0.0
    change: Spent = NOTHING_SPENT
    tried_again: int | None = None
    not_run: str = ""


def contest(
    entry: Entry,
    engine: Engine,
    folder: Path,
    *,
    changes: int,
    rate: float,
    rest: float,
) -> Finding:
    """Put a contender up, measure it, and take it down."""
    contender = entry.contender
    finding = Finding(name=contender.name)
    with (
        ServerLog(folder / "watch" / "log") as log,
        contender.project(engine, folder, log=log.path) as project,
    ):
        project.scale("web", STANDING)
        wait_until(
            project.is_served,
            claim="the service is reached through HAProxy",
            timeout_seconds=START_SECONDS,
        )
        table = table_of(project, contender)
        wait_until(
            lambda: _is_standing(table),
            claim=f"{STANDING} servers are up",
            timeout_seconds=START_SECONDS,
        )
        host, port = project.front(contender.port)
        records = folder / "records"
        # The generator's process first: a process should not be copied with its threads.
        with (
            Load(Target(host=host, port=port, rate=rate), records),
            Cost(_roots(project, contender)) as cost,
        ):
            tried = table.tried_again()
            start = time.monotonic()
            time.sleep(rest)
            finding.rest, finding.rest_seconds = cost.spent(), time.monotonic() - start
            with (
                _twins(project) as twins,
                Observer(table, entry.look_seconds, log) as eyes,
            ):
                steps = Steps(twins, eyes, finding.times, entry.jitter_seconds)
                steps.run(min(changes, entry.changes))
            finding.change_seconds = time.monotonic() - start - finding.rest_seconds
            finding.change = Spent(
                *(a - b for a, b in zip(cost.spent(), finding.rest, strict=True))
            )
        if tried is not None:
            finding.tried_again = (table.tried_again() or 0) - tried
        finding.most_haproxies = cost.most_haproxies
        finding.haproxies = len(cost.haproxies_seen)
        said = project.compose("logs", "--no-color", "haproxy")
        finding.reloads = said.count("Reloading...")
        finding.tally = total(by_phase(records_in(records), [Phase("all", start)]))
    return finding


def table_of(project: Project, contender: Contender) -> Table:
    """Return the best way there is to look at a contender's HAProxy."""
    if contender.name == "easyhaproxy":
        url = f"http://127.0.0.1:{project.stats_port}/;csv"
        return PageTable(url, contender.backend, contender.servers)
    pid = project.host_pid("haproxy")
    return RuntimeTable(pid, SOCKET, contender.backend, contender.servers)


def _is_standing(table: Table) -> bool:
    try:
        return len(table.look().up) == STANDING
    except (OSError, ValueError):
        return False


def _roots(project: Project, contender: Contender) -> list[int]:
    services = [one for one in contender.services if one != "web"]
    return [project.host_pid(service) for service in services]


@contextmanager
def _twins(project: Project) -> Iterator[Twins]:
    host = project.engine.host
    if not host.startswith("unix://"):
        raise CommandError(f"DOCKER_HOST is {host}: only unix:// is measured")
    model = project.container_ids("web")[0]
    twins = Twins(host.removeprefix("unix://"), model, "web")
    try:
        yield twins
    finally:
        twins.remove_all()
