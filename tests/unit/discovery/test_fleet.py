"""Joining one engine's containers with its swarm's tasks: who is told, when, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st
from tests.fakes.containers import container
from tests.fakes.sink import RecordingSink
from tests.fakes.swarm import HERE, THERE, local, service, task, view

from reconciler.core.model import Container
from reconciler.core.swarm import Phase, SwarmView, Task
from reconciler.discovery.fleet import Fleet, joined


@pytest.fixture
def sink() -> RecordingSink:
    """Whoever is told."""
    return RecordingSink()


@pytest.fixture
def fleet(sink: RecordingSink) -> Fleet:
    """A fleet that nothing was read of yet."""
    return Fleet(sink, is_swarm=True)


def tell(fleet: Fleet, **changes: Container | None) -> None:
    """Have this engine tell of containers."""
    fleet.changed(changes, at=1.0, is_resync=False)


def test_nothing_counts_as_read_before_both_were(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """With one of the two unknown, whoever is missing may run all the same."""
    fleet.listed()
    assert sink.lists == 0
    fleet.swarm_read(view())
    assert sink.lists == 1


def test_an_engine_in_no_swarm_counts_as_read(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """Where there is no swarm nobody waits for it."""
    fleet.swarm_off()
    assert sink.lists == 0
    fleet.listed()
    assert sink.lists == 1


IMAGES = {
    "com.docker.compose.project": "dev",
    "com.docker.compose.service": "built",
}
"""What Compose wrote into the image of the tasks."""


def test_a_task_goes_by_its_service_before_and_after_it_was_read(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """Also where Compose built its image: by this engine's word, and by the swarm's."""
    here = replace(local(), labels={**IMAGES, **local().labels})
    tell(fleet, c1=here)
    seen = [sink.known["c1"].service]
    fleet.swarm_read(view())
    seen.append(sink.known["c1"].service)
    fleet.swarm_read(view([task(node=HERE)]))
    seen.append(sink.known["c1"].service)

    assert seen == ["web", "web", "web"]
    assert sink.known["c1"].project is None


@pytest.mark.parametrize("is_swarm", [True, False])
def test_a_tasks_own_engine_names_it_by_its_service(*, is_swarm: bool) -> None:
    """On a worker, and with the swarm left out, there is no other word."""
    told = RecordingSink()
    fleet = Fleet(told, is_swarm=is_swarm)
    tell(fleet, c1=replace(local(), labels={**IMAGES, **local().labels}))
    fleet.swarm_off()

    assert told.known["c1"].service == "web"


def test_a_copy_of_a_task_is_none(fleet: Fleet, sink: RecordingSink) -> None:
    """It passes as the plain container that it is, and the swarm's service is not its own."""
    fleet.swarm_read(view([task(node=HERE)]))
    copy = replace(local(), id="c9", name="hopeful_noyce")
    tell(fleet, c9=copy)

    assert sink.known["c9"] is copy
    assert copy.service is None


def test_a_lost_swarm_keeps_every_task(fleet: Fleet, sink: RecordingSink) -> None:
    """Nobody is removed on ignorance, and this engine's own list does not hide the loss."""
    fleet.listed()
    fleet.swarm_read(view([task(1), task(2)]))
    fleet.swarm_lost("no leader")
    fleet.listed()
    assert sink.losses == ["swarm: no leader"]
    assert (sink.lists, len(sink.known)) == (1, 2)
    fleet.swarm_read(view([task(1), task(2)]))
    assert sink.lists == 2


def test_a_lost_engine_stays_lost_while_its_swarm_answers(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """Each of the two has to be read again by itself."""
    fleet.listed()
    fleet.swarm_read(view())
    fleet.engine_lost("gone")
    fleet.swarm_lost("gone, too")
    fleet.swarm_read(view())
    assert sink.lists == 1
    fleet.listed()
    assert sink.lists == 2


def test_other_containers_pass_unchanged(fleet: Fleet, sink: RecordingSink) -> None:
    """Whoever is no task is as its engine tells, with the time of its event."""
    fleet.swarm_read(view())
    plain = container(7)
    fleet.changed({plain.id: plain}, at=5.0, is_resync=False)
    assert sink.known[plain.id] is plain
    fleet.changed({plain.id: None}, at=6.0, is_resync=False)
    assert not sink.known


def test_a_reading_that_changes_nothing_tells_nothing(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """A swarm is read every second, and mostly all is as it was."""
    fleet.swarm_read(view([task(1)]))
    told = len(sink.changes)
    fleet.swarm_read(view([task(1)]))
    assert len(sink.changes) == told


def test_a_task_here_starts_with_its_container(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """Its own engine's event comes before the swarm hears of it."""
    fleet.swarm_read(view([task(1, node=HERE, phase=Phase.COMING)]))
    assert not sink.known
    tell(fleet, c1=local(1))
    assert sink.known["c1"].is_running
    assert [one.network for one in sink.known["c1"].networks] == ["front"]


def test_a_container_whose_task_is_not_known_yet_is_its_services(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """It may be quicker than the reading that tells of its task."""
    fleet.swarm_read(view(services=[service("web", haproxy_port="81")]))
    tell(fleet, c1=local(1))
    found = sink.known["c1"]
    assert (found.labels["haproxy.port"], found.tcp_ports) == ("81", (8000,))
    assert [one.network for one in found.networks] == ["front"]


def test_a_container_of_an_unknown_service_waits(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """Its labels are not known: it could get into a backend that it is not for."""
    fleet.swarm_read(view(services=[]))
    tell(fleet, c1=local(1))
    assert not sink.known
    fleet.swarm_read(view())
    assert sink.known["c1"].is_running


def test_a_task_here_ends_with_its_container(fleet: Fleet, sink: RecordingSink) -> None:
    """The die event counts, whatever the swarm has heard."""
    tell(fleet, c1=local(1))
    fleet.swarm_read(view([task(1, node=HERE)]))
    tell(fleet, c1=None)
    assert not sink.known


def test_a_task_drains_until_it_has_ended(fleet: Fleet, sink: RecordingSink) -> None:
    """From the moment the swarm wants it no more, seconds before its stop signal."""
    tell(fleet, c1=local(1))
    fleet.swarm_read(view([task(1, node=HERE), task(2)]))
    fleet.swarm_read(
        view([task(n, node=HERE if n == 1 else THERE, is_wanted=False) for n in (1, 2)])
    )
    assert [one.is_stopping for one in sink.known.values()] == [True, True]
    fleet.swarm_read(view())
    assert [(one.id, one.is_stopping) for one in sink.known.values()] == [("c1", True)]
    tell(fleet, c1=None)
    assert not sink.known


def test_a_container_whose_service_was_removed_drains(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """Nothing tells of it any more but its own engine; it is on its way out."""
    tell(fleet, c1=local(1))
    fleet.swarm_read(view([task(1, node=HERE)]))
    fleet.swarm_read(view(services=[]))
    assert sink.known["c1"].is_stopping
    tell(fleet, c1=None)
    assert not sink.known


def test_a_lost_nodes_tasks_are_out_at_once(fleet: Fleet, sink: RecordingSink) -> None:
    """The swarm gave its node up; nobody can stop them any more."""
    fleet.swarm_read(view([task(1), task(2, node=HERE)]))
    tell(fleet, c2=local(2))
    fleet.swarm_read(view([task(1), task(2, node=HERE)], down=[THERE]))
    assert list(sink.known) == ["c2"]


def test_a_services_new_labels_reach_all_its_tasks(
    fleet: Fleet, sink: RecordingSink
) -> None:
    """Labels of a service change with no new task."""
    tell(fleet, c1=local(1))
    tasks = [task(1, node=HERE), task(2)]
    fleet.swarm_read(view(tasks))
    fleet.swarm_read(view(tasks, services=[service("web", haproxy_weight="3")]))
    assert [one.labels["haproxy.weight"] for one in sink.known.values()] == ["3", "3"]


def test_it_asks_to_look_when_something_happens_to_a_task_here(
    sink: RecordingSink,
) -> None:
    """What a task does here is mostly followed by another somewhere."""
    hints: list[None] = []
    fleet = Fleet(sink, hint=lambda: hints.append(None), is_swarm=True)
    fleet.swarm_read(view())
    plain = container(7)
    tell(fleet, **{plain.id: plain})
    assert not hints
    tell(fleet, c1=local(1))
    tell(fleet, c1=None)
    assert len(hints) == 2


PHASES = st.sampled_from(Phase)
TASKS = st.dictionaries(
    st.integers(1, 4),
    st.tuples(PHASES, st.booleans(), st.sampled_from(["web", "api"])),
)
SERVICES = st.lists(st.sampled_from(["web", "api"]), unique=True)
LOCAL = st.dictionaries(
    st.integers(1, 2), st.sampled_from(["running", "stopping", "gone"])
)


@st.composite
def views(draw: st.DrawFn) -> SwarmView:
    """A swarm of up to four tasks in any state, with their services at least.

    The first two are here, of service ``web``; the others are elsewhere.
    """
    tasks: list[Task] = [
        task(number, phase=phase, is_wanted=wanted, node=HERE)
        if number <= 2
        else task(number, phase=phase, is_wanted=wanted, service=name)
        for number, (phase, wanted, name) in draw(TASKS).items()
    ]
    names = {*draw(SERVICES), *(one.service_id[6:] for one in tasks)}
    return view(
        tasks,
        services=[service(one) for one in names],
        down=draw(st.sampled_from([[], [THERE]])),
    )


@given(st.lists(st.one_of(views(), LOCAL), max_size=8), views(), LOCAL)
def test_whatever_came_before_the_last_readings_decide(
    before: list[SwarmView | Mapping[int, str]],
    last: SwarmView,
    here: Mapping[int, str],
) -> None:
    """In any order of readings and events who runs, and where, is what was read last."""
    sink = RecordingSink()
    fleet = Fleet(sink, is_swarm=True)

    def told(states: Mapping[int, str]) -> None:
        changes = {
            f"c{n}": None
            if state == "gone"
            else local(n, is_stopping=state == "stopping")
            for n, state in states.items()
        }
        fleet.changed(changes, at=None, is_resync=True)

    for one in before:
        if isinstance(one, SwarmView):
            fleet.swarm_read(one)
        else:
            told(one)
    fleet.swarm_read(last)
    told(dict.fromkeys(range(1, 5), "gone") | dict(here))
    alive = [
        local(n, is_stopping=state == "stopping")
        for n, state in here.items()
        if state != "gone"
    ]
    fresh = {one.id: one for one in joined(alive, last)}
    for key in fresh.keys() | sink.known.keys():
        known, wanted = sink.known.get(key), fresh.get(key)
        if known == wanted:
            continue
        # Only one thing is remembered: whose task was there, and is not any more, is over.
        assert known is not None
        assert known.is_stopping or not known.is_running
        assert key not in {
            one.key
            for one in last.tasks.values()
            if one.is_wanted and one.service_id in last.services
        }
