"""One engine through docker-py: answers as values, and faults as one error that helps."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fakes.unprivileged import unprivileged
from tests.scripted_engine import ScriptedEngine, views

from reconciler.discovery.engine import Engine
from reconciler.errors import DockerUnavailableError


pytestmark = pytest.mark.filterwarnings(
    # docker-py leaves the sockets of broken answers to the garbage collector.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
async def engine(scripted: ScriptedEngine) -> AsyncIterator[Engine]:
    """An engine whose answers may take a second."""
    one = Engine(scripted.url, timeout_seconds=1.0)
    yield one
    await one.aclose()


async def refusal_of(url: str) -> str:
    """Return the message of the error that an engine at this address gives."""
    one = Engine(url, timeout_seconds=1.0)
    try:
        with pytest.raises(DockerUnavailableError) as caught:
            await one.containers()
    finally:
        await one.aclose()
    return str(caught.value)


async def test_a_container_is_found_by_name_id_and_id_prefix(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """As the docker CLI finds it; nobody is None, not an error."""
    one = scripted.run("web-1")

    found = [await engine.container(ref) for ref in ("web-1", one.id, one.id[:12])]

    assert [each and each.id for each in found] == [one.id] * 3
    assert await engine.container("nobody") is None


async def test_a_path_that_is_not_known_says_nothing_of_a_container(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """An engine answers 404 for that, too: nobody is taken for gone by it."""
    scripted.run("web-1")
    scripted.faults.fail("/containers/*/json", status=404, message="page not found")

    with pytest.raises(DockerUnavailableError, match="page not found"):
        await engine.container("web-1")


async def test_while_the_version_is_asked_for_anew_the_old_one_holds(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """After a fault the version is negotiated again; meanwhile all questions are understood."""
    one = scripted.run("web-1")
    assert await engine.container(one.id) is not None
    scripted.faults.cut("/containers/*/json")
    scripted.faults.delay("/version", seconds=0.2)
    with pytest.raises(DockerUnavailableError):
        await engine.container(one.id)

    asked = [asyncio.create_task(engine.container(one.id)) for _ in range(8)]

    assert [found and found.id for found in await asyncio.gather(*asked)] == [
        one.id
    ] * 8


async def test_stopped_containers_are_not_listed(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """Only what runs comes in the list, in one request."""
    scripted.run("web-1")
    scripted.stop(scripted.run("web-2"))

    assert [each.name for each in await engine.containers()] == ["web-1"]
    assert scripted.requests.lists == 1
    assert scripted.requests.inspects == 0


async def test_the_engines_clock_is_read(engine: Engine) -> None:
    """Subscriptions go by the engine's clock, not ours."""
    now = await engine.now()

    assert abs(now - time.time()) < 5
    assert (await engine.version())["ApiVersion"]


async def test_an_absent_socket(tmp_path: Path) -> None:
    """The message names the socket, the cause and the mend."""
    url = f"unix://{tmp_path}/absent.sock"

    message = await refusal_of(url)

    assert message.startswith(f"docker at {url} cannot be reached: ")
    assert "No such file" in message
    assert message.endswith("mount the folder of its socket here, or correct --docker")


async def test_a_socket_that_nobody_serves(scripted: ScriptedEngine) -> None:
    """A dead engine's socket file refuses, and the message asks whether it runs."""
    await scripted.refuse()

    message = await refusal_of(scripted.url)

    assert "refused" in message
    assert message.endswith("is the engine running?")


async def test_a_socket_we_may_not_open(scripted: ScriptedEngine) -> None:
    """The message tells the way in: the group of the socket."""
    scripted.path.chmod(0)

    with unprivileged():
        message = await refusal_of(scripted.url)

    assert message.endswith("add this user to the group that owns the socket")


async def test_an_address_of_no_engine() -> None:
    """Nonsense as an address is named, with the options that set it."""
    message = await refusal_of("gopher://x")

    assert message.startswith("docker at gopher://x cannot be reached: ")
    assert "--docker" in message


async def test_an_engine_that_refuses(scripted: ScriptedEngine, engine: Engine) -> None:
    """The engine's own words are quoted, on one line."""
    scripted.faults.fail("/containers/json", status=403, message="not\nallowed")

    with pytest.raises(
        DockerUnavailableError, match=re.escape('refused: "not\\nallowed"')
    ):
        await engine.containers()


async def test_an_engine_that_does_not_answer(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """Silence ends by the time-out, and the next question is asked anew."""
    await engine.version()
    scripted.run("web-1")
    scripted.faults.stall("/containers/json")

    with pytest.raises(DockerUnavailableError, match="timed out"):
        await engine.containers()

    assert len(await engine.containers()) == 1
    scripted.faults.clear()


@pytest.mark.parametrize("path", ["/containers/json", "/containers/*/json"])
async def test_an_answer_cut_short(
    scripted: ScriptedEngine, engine: Engine, path: str
) -> None:
    """Half an answer is no answer."""
    scripted.run("web-1")
    await engine.version()
    scripted.faults.cut(path)
    asked = engine.container("web-1") if "*" in path else engine.containers()

    with pytest.raises(DockerUnavailableError):
        await asked


async def test_docker_host_is_the_default(
    scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an address the environment's is taken, as the docker CLI does."""
    monkeypatch.setenv("DOCKER_HOST", scripted.url)
    scripted.run("web-1")
    one = Engine(None)
    try:
        assert len(await one.containers()) == 1
    finally:
        await one.aclose()


async def test_past_events_are_what_the_engine_remembers(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """From one moment to another, in order, with their signals; nothing that follows."""
    one = scripted.run("web-1")
    scripted.signal(one, 3)
    now = await engine.now()

    found = await engine.past_events(since=now - 600, until=now)

    told = [(each.action, each.signal) for each in found if each.container_id == one.id]
    born = [("create", None), ("connect", None), ("start", None)]
    assert told == [*born, ("kill", 3)]
    assert scripted.events.streams == set()


async def test_past_events_before_the_moment_asked_for_are_not_told(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """An engine remembers more than anybody wants."""
    scripted.run("web-1")
    now = await engine.now()

    assert await engine.past_events(since=now - 600, until=now - 500) == []


@pytest.mark.parametrize("fault", ["fail", "stall", "cut"])
async def test_past_events_that_do_not_come_are_an_error(
    scripted: ScriptedEngine, engine: Engine, fault: str
) -> None:
    """In the time that any answer may take: whoever asks must not wait for ever."""
    now = await engine.now()
    getattr(scripted.faults, fault)("/events")

    with pytest.raises(DockerUnavailableError):
        async with asyncio.timeout(5):
            await engine.past_events(since=now - 600, until=now)


async def test_past_events_are_not_waited_for(
    scripted: ScriptedEngine, engine: Engine
) -> None:
    """The past ends now: an engine that is asked for more goes on until then."""
    scripted.run("web-1")
    began = asyncio.get_running_loop().time()
    now = await engine.now()

    assert len(await engine.past_events(since=now - 600, until=now)) == 3
    assert asyncio.get_running_loop().time() - began < 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:16:40.123456789Z", 1000.123456),
        ("1970-01-01T02:16:40.123456789+02:00", 1000.123456),
        ("1969-12-31T19:16:40-05:00", 1000.0),
        ("1970-01-01T00:16:40", 1000.0),
    ],
)
async def test_the_engines_clock_may_be_local_time(
    scripted: ScriptedEngine,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    expected: float,
) -> None:
    """An engine writes its clock with the offset of its own time zone."""
    monkeypatch.setattr(views, "iso_time", lambda _: text)
    del scripted

    assert await engine.now() == expected


@pytest.mark.parametrize("text", ["", "soon"])
async def test_an_engine_that_tells_no_time_is_taken_to_have_ours(
    scripted: ScriptedEngine,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
    """Else ten minutes of history would be asked for from 1970 on, and be news."""
    monkeypatch.setattr(views, "iso_time", lambda _: text)
    del scripted

    assert abs(time.time() - await engine.now()) < 5
