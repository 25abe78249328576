"""Every row of docs/events.md on a real engine: what is emitted, and what becomes of a slot.

A unit test compares the names here with that table's last column.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.engine import CommandError, Engine, wait_until
from tests.support.recorder import DRAIN, FREE, READY, Recorder
from tests.support.singles import Single, Singles
from tests.support.stack import ServerRow, Stack


FAST_CHECK = (
    "--health-cmd=test -f /tmp/healthy",
    "--health-interval=200ms",
    "--health-retries=1",
    "--health-start-period=60s",
)
MAINT_BIT = 0x01


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run one stack for all tests here: each leaves it with one container of ``web``."""
    with Stack(engine, tmp_path_factory.mktemp("stack")) as started:
        started.wait_converged("web", 1)
        yield started


@pytest.fixture(scope="module")
def only_recorder(stack: Stack) -> Iterator[Recorder]:
    """Record slots and events as long as there are tests."""
    with Recorder(stack) as started:
        yield started


@pytest.fixture
def recorder(only_recorder: Recorder) -> Recorder:
    """Return the history of this test alone: it begins with one slot in use."""
    wait_until(
        lambda: len(only_recorder.occupied()) == 1,
        claim="what the last test ran has left its slots",
    )
    only_recorder.begin_again()
    return only_recorder


@pytest.fixture
def singles(stack: Stack) -> Iterator[Singles]:
    """Run containers that are gone after the test."""
    with Singles(stack) as started:
        yield started


def docker(stack: Stack, *arguments: str) -> None:
    """Run Docker's client."""
    stack.engine.docker(*arguments)


def slot_of(stack: Stack, single: Single) -> ServerRow:
    """Return the one slot with a container's address, as HAProxy reports it now."""
    (row,) = [row for row in stack.servers("web") if row.address == single.address]
    return row


def ready_single(
    singles: Singles, recorder: Recorder, *options: str, command: tuple[str, ...] = ()
) -> Single:
    """Run a container and wait for its slot."""
    single = singles.run(*options, command=command)
    recorder.wait_story(single.address, READY)
    return single


def assert_nothing_follows(
    stack: Stack, singles: Singles, recorder: Recorder, single: Single
) -> None:
    """A later event was acted upon, and this container's slot is as it was."""
    ready_single(singles, recorder)
    assert recorder.story(single.address) == [READY]
    assert slot_of(stack, single).is_ready


def test_start(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """`docker run` and `docker start` give it a free slot."""
    first = ready_single(singles, recorder)
    docker(stack, "stop", first.id)
    recorder.wait_story(first.address, READY, DRAIN, FREE)

    docker(stack, "start", first.id)

    again = singles.look(first.name)
    recorder.wait_story({first.address, again.address}, READY, DRAIN, FREE, READY)
    recorder.wait_said(first.id, "start", "stop", "start")
    row = slot_of(stack, again)
    assert (row.is_ready, row.weight, row.port) == (True, 1, 8000)


def test_create_and_start(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """Its slot has the address before it runs, and is in rotation once it does."""
    created = singles.create()

    docker(stack, "start", created.id)

    single = singles.look(created.name)
    (ready,) = recorder.wait_story(single.address, READY)
    began = recorder.at(single.id, "start")
    addressed = min(s.at for s in list(recorder.steps) if s.address == single.address)
    assert addressed < began < ready.at


def test_a_start_that_fails(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """Nobody is in rotation by it, and no slot is lost."""
    before = recorder.occupied()
    created = singles.create(command=("/does/not/exist",))

    with pytest.raises(CommandError, match="exist"):
        docker(stack, "start", created.id)

    recorder.wait_said(created.id, "connect", "disconnect")
    wait_until(lambda: recorder.occupied() == before, claim="no slot is lost")
    placed = [s for s in list(recorder.steps) if s.address not in before]
    states = {s.state for s in placed if not s.address.startswith("127.")}
    assert states == {DRAIN}, "it was prepared, and never in rotation"


def test_scale_up(stack: Stack, recorder: Recorder) -> None:
    """Each new container gets a slot; the one that was there stays in rotation in its own."""
    (first,) = stack.wait_converged("web", 1)
    home = {row.address: row.name for row in stack.servers("web")}[first.address]

    stack.scale("web", 4)

    containers = stack.wait_converged("web", 4)
    for one in containers:
        recorder.wait_said(one.id, *(["start"] if one != first else []))
        (step,) = recorder.wait_story(one.address, READY)
        assert (step.slot == home) == (one == first)
    stack.scale("web", 1)


def test_scale_down(stack: Stack, recorder: Recorder) -> None:
    """Who has to go is drained before it has ended, and then free; the others stay."""
    stack.scale("web", 3)
    before = stack.wait_converged("web", 3)

    stack.scale("web", 1)

    (stayed,) = stack.wait_converged("web", 1)
    assert recorder.story(stayed.address) == [READY]
    for one in before:
        if one != stayed:
            steps = recorder.wait_story(one.address, READY, DRAIN, FREE)
            recorder.wait_said(one.id, "kill 15", "die", "destroy")
            assert steps[1].at < recorder.at(one.id, "die") < steps[2].at


def assert_drained_at_the_signal(
    recorder: Recorder, single: Single, signal: int
) -> None:
    """It was drained long before its process ended, and free only after."""
    steps = recorder.wait_story(single.address, READY, DRAIN, FREE)
    recorder.wait_said(single.id, f"kill {signal}", "die", "stop")
    signalled, ended = (
        recorder.at(single.id, f"kill {signal}"),
        recorder.at(single.id, "die"),
    )
    drained = steps[1]
    assert (drained.address, drained.weight) == (single.address, 0)
    assert drained.admin & MAINT_BIT
    assert drained.slot == steps[0].slot == steps[2].slot
    # Most of the time that the process takes is still to come.
    assert drained.at - signalled < (ended - signalled) / 2
    assert steps[2].at > ended


def test_stop(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """`docker stop` drains it before the process has acted on it; free when it ended."""
    single = ready_single(singles, recorder)
    slot = slot_of(stack, single).name

    docker(stack, "stop", single.id)

    assert_drained_at_the_signal(recorder, single, 15)
    (row,) = [row for row in stack.servers("web") if row.name == slot]
    assert (row.is_ready, row.weight) == (False, 0)
    assert row.address.startswith("127.255.255.")


def test_stop_by_its_own_stop_signal(
    stack: Stack, singles: Singles, recorder: Recorder
) -> None:
    """With `--stop-signal` that signal drains it, and SIGTERM is one like any other."""
    single = ready_single(singles, recorder, "--stop-signal=SIGUSR1")
    survivor = ready_single(
        singles, recorder, "--stop-signal=SIGUSR1", command=("sleep", "infinity")
    )

    docker(stack, "kill", "--signal=TERM", survivor.id)
    docker(stack, "stop", single.id)

    assert_drained_at_the_signal(recorder, single, 10)
    assert recorder.story(survivor.address) == [READY]


def test_another_signal(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """A signal that is not its stop signal changes nothing."""
    # The first process of a container ignores what it has no handler for.
    single = ready_single(singles, recorder)

    docker(stack, "kill", "--signal=HUP", single.id)

    recorder.wait_said(single.id, "kill 1")
    assert_nothing_follows(stack, singles, recorder, single)


def test_a_stop_signal_outlived(
    stack: Stack, singles: Singles, recorder: Recorder
) -> None:
    """Who runs a second after its stop time-out is ready again, where it was."""
    single = ready_single(
        singles, recorder, "--stop-timeout=1", command=("sleep", "infinity")
    )

    docker(stack, "kill", "--signal=TERM", single.id)

    steps = recorder.wait_story(single.address, READY, DRAIN, READY)
    assert len({step.slot for step in steps}) == 1
    assert 1.9 < steps[2].at - recorder.at(single.id, "kill 15") < 4


def test_kill(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """`docker kill` frees its slot at once, by way of a drain; the others stay."""
    single, other = ready_single(singles, recorder), ready_single(singles, recorder)

    docker(stack, "kill", single.id)

    recorder.wait_said(single.id, "kill 9", "die")
    wait_until(
        lambda: recorder.story(single.address)[-1] == FREE, claim="its slot is free"
    )
    # Between signal and death lie some milliseconds: too few to be sure to see the drain.
    assert recorder.story(single.address) in ([READY, DRAIN, FREE], [READY, FREE])
    assert recorder.steps_of(single.address)[-1].at - recorder.at(single.id, "die") < 1
    log = stack.compose("logs", "--no-color", "reconciler")
    assert f"drained {single.name} " in log
    assert recorder.story(other.address) == [READY]


def test_restart(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """`docker restart`: drained, free, and then a free slot becomes ready."""
    single = ready_single(singles, recorder)

    docker(stack, "restart", single.id)

    now = {single.address, singles.look(single.name).address}
    recorder.wait_story(now, READY, DRAIN, FREE, READY)
    recorder.wait_said(single.id, "kill 15", "die", "start", "restart")


def test_remove_by_force(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """`docker rm -f` frees its slot."""
    single = ready_single(singles, recorder)

    docker(stack, "rm", "--force", single.id)
    singles.forget(single)

    recorder.wait_said(single.id, "kill 9", "die", "destroy")
    wait_until(
        lambda: recorder.story(single.address)[-1] == FREE, claim="its slot is free"
    )


def test_out_of_memory(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """The kernel kills it at its memory limit: free."""
    limits = ("--memory=64m", "--memory-swap=64m")
    single = ready_single(singles, recorder, *limits)

    docker(stack, "kill", "--signal=USR2", single.id)  # eat

    recorder.wait_story(single.address, READY, FREE)
    # The order of these two is not certain.
    recorder.wait_said(single.id, "oom")
    recorder.wait_said(single.id, "die")
    assert singles.inspect(single.id)["State"]["OOMKilled"] is True


def test_end_by_itself(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """Its process ends: free. Where its policy starts it again: ready."""
    once = ready_single(singles, recorder)
    end = ("python3", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")

    docker(stack, "exec", once.id, *end)

    recorder.wait_story(once.address, READY, FREE)
    assert (once.id, "kill 15") not in {e[1:] for e in recorder.events}
    recorder.begin_again()
    again = ready_single(singles, recorder, "--restart=always")

    docker(stack, "exec", again.id, *end)

    recorder.wait_said(again.id, "start", "die", "start")
    now = {again.address, singles.look(again.name).address}
    recorder.wait_story(now, READY, FREE, READY)
    assert singles.inspect(again.id)["RestartCount"] == 1


def test_pause_and_unpause(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """A frozen container has no slot."""
    single = ready_single(singles, recorder)

    docker(stack, "pause", single.id)
    recorder.wait_story(single.address, READY, FREE)
    docker(stack, "unpause", single.id)

    recorder.wait_story(single.address, READY, FREE, READY)
    recorder.wait_said(single.id, "pause", "unpause")


def test_network_disconnect_and_connect(
    stack: Stack, singles: Singles, recorder: Recorder
) -> None:
    """Off the network it has no slot and the cause is told; back on it, it has one."""
    single = ready_single(singles, recorder)
    network = f"{stack.project}_default"

    docker(stack, "network", "disconnect", network, single.id)
    recorder.wait_story(single.address, READY, FREE)
    causes = {row["container_id"]: row["cause"] for row in stack.slots()["unplaced"]}
    docker(stack, "network", "connect", network, single.id)

    now = {single.address, singles.look(single.name).address}
    recorder.wait_story(now, READY, FREE, READY)
    recorder.wait_said(single.id, "disconnect", "connect")
    assert causes == {single.id: "no_address"}


def test_second_network(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """`docker network connect` leaves it in its slot, and so does the way back."""
    single = ready_single(singles, recorder)
    network = f"{stack.project}-second"
    docker(stack, "network", "create", network)
    try:
        docker(stack, "network", "connect", network, single.id)
        recorder.wait_said(single.id, "connect")
        docker(stack, "network", "disconnect", network, single.id)
        recorder.wait_said(single.id, "disconnect")
    finally:
        docker(stack, "network", "rm", network)

    assert recorder.story(single.address) == [READY]
    assert slot_of(stack, single).is_ready


def test_rename(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """Its slot stays as it is, and is shown with the new name."""
    single = ready_single(singles, recorder)
    name = f"{stack.project}-renamed"

    docker(stack, "rename", single.id, name)

    def shown() -> bool:
        read = (
            "import urllib.request as u;"
            "print(u.urlopen('http://127.0.0.1:9700/api/slots').read().decode())"
        )
        return f'"{name}"' in stack.exec("reconciler", "python3", "-c", read)

    wait_until(shown, claim="the daemon knows the new name")
    recorder.wait_said(single.id, "rename")
    assert recorder.story(single.address) == [READY]


def test_update(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """Other limits change nothing."""
    single = ready_single(singles, recorder)

    docker(stack, "update", "--cpu-shares=512", single.id)

    recorder.wait_said(single.id, "update")
    assert_nothing_follows(stack, singles, recorder, single)


def test_health_transitions(stack: Stack, singles: Singles, recorder: Recorder) -> None:
    """None while starting, ready once healthy, drained while unhealthy, ready again."""
    before = stack.ready_addresses("web")
    single = singles.run(*FAST_CHECK)
    wait_until(
        lambda: [u["cause"] for u in stack.slots()["unplaced"]] == ["starting"],
        claim="it waits for its health check",
    )
    assert recorder.story(single.address) == []
    assert stack.ready_addresses("web") == before

    docker(stack, "exec", single.id, "touch", "/tmp/healthy")
    recorder.wait_story(single.address, READY)
    docker(stack, "exec", single.id, "rm", "/tmp/healthy")
    recorder.wait_story(single.address, READY, DRAIN)
    drained = slot_of(stack, single)
    docker(stack, "exec", single.id, "touch", "/tmp/healthy")

    steps = recorder.wait_story(single.address, READY, DRAIN, READY)
    assert len({step.slot for step in steps}) == 1
    assert (drained.weight, bool(drained.admin & MAINT_BIT)) == (0, True)
    recorder.wait_said(
        single.id,
        "start",
        "health_status: healthy",
        "health_status: unhealthy",
        "health_status: healthy",
    )


def test_force_recreate(stack: Stack, recorder: Recorder) -> None:
    """The old one is drained, then free; the new container gets a slot."""
    (old,) = stack.wait_converged("web", 1)

    stack.compose("up", "--detach", "--no-deps", "--force-recreate", "web")

    (new,) = stack.wait_converged("web", 1)
    recorder.wait_story({old.address, new.address}, READY, DRAIN, FREE, READY)
    recorder.wait_said(old.id, "kill 15", "die", "destroy")
    recorder.wait_said(new.id, "create", "rename", "start")
    assert new.id != old.id
