"""What the scripted engine answers docker-py: lists, inspects, errors, faults."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import APIError, NotFound
from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.routes import answer
from tests.scripted_engine.views import human_duration
from tests.scripted_engine.wire import Request


# docker-py does not close the sockets of answers that broke.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


async def test_version_is_negotiated(client: docker.APIClient) -> None:
    """docker-py's version="auto" settles on the scripted API version."""
    assert client.api_version == "1.41"


async def test_info_names_the_engine(client: docker.APIClient) -> None:
    """``info`` has an id, a name, a clock and an inactive swarm."""
    info = await asyncio.to_thread(client.info)

    assert info["ID"]
    assert info["Name"] == "scripted"
    assert info["SystemTime"].endswith("Z")
    assert info["Swarm"]["LocalNodeState"] == "inactive"


async def test_list_shows_what_placing_needs(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """One list entry has labels, state, health text, ports and addresses."""
    made = engine.run(
        "web-1",
        labels={"haproxy.port": "8000"},
        networks={"front": "127.10.9.1", "six": "fd00::9"},
        ports=[8000, "53/udp"],
        published={"8000/tcp": 18000},
        health="starting",
    )

    [entry] = await asyncio.to_thread(client.containers)

    assert entry["Id"] == made.id
    assert entry["Names"] == ["/web-1"]
    assert entry["Labels"] == {"haproxy.port": "8000"}
    assert entry["State"] == "running"
    assert entry["Status"] == "Up Less than a second (health: starting)"
    assert entry["HostConfig"]["NetworkMode"] == "front"
    assert entry["Ports"] == [
        {"IP": "127.0.0.1", "PublicPort": 18000, "PrivatePort": 8000, "Type": "tcp"},
        {"PrivatePort": 53, "Type": "udp"},
    ]
    networks = entry["NetworkSettings"]["Networks"]
    assert networks["front"]["IPAddress"] == "127.10.9.1"
    assert networks["six"]["GlobalIPv6Address"] == "fd00::9"


async def test_paused_container_hides_its_health(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """As in the real list, ``(Paused)`` stands where the health was."""
    engine.run("web-1", health="healthy")
    engine.pause("web-1")

    [entry] = await asyncio.to_thread(client.containers)

    assert entry["State"] == "paused"
    assert entry["Status"] == "Up Less than a second (Paused)"


async def test_stopped_container_has_no_address(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """A stopped container is only in the list of all, with its networks but no address."""
    engine.run("web-1")
    engine.stop("web-1", exit_code=3)

    assert await asyncio.to_thread(client.containers) == []
    [entry] = await asyncio.to_thread(client.containers, all=True)

    assert entry["Status"] == "Exited (3) Less than a second ago"
    assert entry["Ports"] == []
    assert entry["NetworkSettings"]["Networks"]["demo_default"]["IPAddress"] == ""


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({"label": "tier=front"}, ["web-1"], id="label-with-value"),
        pytest.param({"label": "tier"}, ["db-1", "web-1"], id="label-alone"),
        pytest.param({"label": ["tier", "x"]}, [], id="every-label-must-match"),
        pytest.param({"status": "exited"}, ["old-1"], id="status"),
        pytest.param({"name": "db"}, ["db-1"], id="name"),
        pytest.param({"health": "healthy"}, ["web-1"], id="health"),
    ],
)
async def test_list_is_filtered_by_the_engine(
    engine: ScriptedEngine,
    client: docker.APIClient,
    filters: dict[str, str | list[str]],
    expected: list[str],
) -> None:
    """Label, status, name and health filters select as the real ones do."""
    engine.run("old-1")
    engine.stop("old-1")
    engine.run("web-1", labels={"tier": "front"}, health="healthy")
    engine.run("db-1", labels={"tier": "back"})

    entries = await asyncio.to_thread(client.containers, filters=filters)

    assert [entry["Names"][0].lstrip("/") for entry in entries] == expected


async def test_list_of_ids_is_in_the_order_of_the_list(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """Whole ids, looked up, find what prefixes find: the newest first, those that run."""
    made = [engine.run(f"web-{number}") for number in range(6)]
    engine.stop(made[2])
    wanted = [each.id for each in made[1:5]] + ["0" * 64]

    whole = await asyncio.to_thread(client.containers, filters={"id": wanted})
    short = await asyncio.to_thread(
        client.containers, filters={"id": [each[:12] for each in wanted]}
    )

    names = [entry["Names"] for entry in whole]
    assert names == [["/web-4"], ["/web-3"], ["/web-1"]]
    assert whole == short


async def test_unknown_filter_is_refused(client: docker.APIClient) -> None:
    """A filter that no engine knows is an error, never ignored."""
    with pytest.raises(APIError, match="Invalid filter 'colour'"):
        await asyncio.to_thread(client.containers, filters={"colour": "red"})


@pytest.mark.parametrize("form", ["id", "prefix", "name"])
async def test_inspect_takes_id_prefix_or_name(
    engine: ScriptedEngine, client: docker.APIClient, form: str
) -> None:
    """A container is found by its id, by a unique prefix, and by its name."""
    engine.run("web-2")
    made = engine.run("web-1", health="healthy", stop_signal="SIGQUIT")
    ref = {"id": made.id, "prefix": made.id[:12], "name": "web-1"}[form]

    found = await asyncio.to_thread(client.inspect_container, ref)

    assert found["Id"] == made.id
    assert found["Name"] == "/web-1"
    assert found["State"]["Status"] == "running"
    assert found["State"]["Health"]["Status"] == "healthy"
    assert found["Config"]["StopSignal"] == "SIGQUIT"
    assert found["Config"]["ExposedPorts"] == {"8000/tcp": {}}
    networks = found["NetworkSettings"]["Networks"]
    assert networks["demo_default"]["IPAddress"] == made.address


async def test_unknown_container_is_not_found(client: docker.APIClient) -> None:
    """The error has the engine's own words."""
    with pytest.raises(NotFound, match="No such container: nope"):
        await asyncio.to_thread(client.inspect_container, "nope")


async def test_requests_are_counted_by_route(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """Tests can say how many lists and inspects somebody needed."""
    engine.run("web-1")
    engine.requests.reset()

    await asyncio.to_thread(client.containers)
    await asyncio.to_thread(client.inspect_container, "web-1")
    await asyncio.to_thread(client.inspect_container, "web-1")

    assert (engine.requests.lists, engine.requests.inspects) == (1, 2)


async def test_only_reading_is_allowed(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """Whatever is not a GET is answered 403, remembered, and changes nothing."""
    made = engine.run("web-1")

    with pytest.raises(APIError) as caught:
        await asyncio.to_thread(client.kill, made.id)

    assert caught.value.status_code == 403
    assert engine.requests.refused == [f"POST /containers/{made.id}/kill"]
    assert made.state == "running"


async def test_fault_fails_the_next_requests_only(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """``fail`` hits as many requests of its path as it says, and no other path."""
    engine.faults.fail("/containers/json", count=2, message="disk on fire")

    for _ in range(2):
        with pytest.raises(APIError, match="disk on fire"):
            await asyncio.to_thread(client.containers)
    await asyncio.to_thread(client.info)

    assert await asyncio.to_thread(client.containers) == []


async def test_fault_cuts_an_answer_in_its_body(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """A cut answer is an error to the client, not a short list."""
    engine.run_many(5)
    engine.faults.cut("/containers/json")

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        await asyncio.to_thread(client.containers)

    assert len(await asyncio.to_thread(client.containers)) == 5


async def test_stalled_request_is_answered_when_the_fault_is_cleared(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """A stalled request hangs; clearing the faults answers it."""
    engine.faults.stall("/info")
    asked = asyncio.create_task(asyncio.to_thread(client.info))
    await engine.requests.seen("/info")

    assert not asked.done()

    engine.faults.clear()

    assert (await asked)["Name"] == "scripted"


async def test_delayed_request_is_answered_later(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """A delayed answer takes at least that long."""
    engine.faults.delay("/info", seconds=0.05)
    started = time.monotonic()

    await asyncio.to_thread(client.info)

    assert time.monotonic() - started >= 0.05


async def test_refusing_engine_leaves_its_socket_file(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """After ``refuse`` the file is there and a connection is refused; ``start`` heals it."""
    await engine.refuse()

    assert engine.path.is_socket()
    with pytest.raises(requests.ConnectionError, match="Connection refused"):
        await asyncio.to_thread(client.containers)

    await engine.start()

    assert await asyncio.to_thread(client.containers) == []


def test_ten_thousand_containers_are_listed_within_a_second(tmp_path: Path) -> None:
    """The engine is never what a scale test waits for; best of three, in CPU time."""
    engine = ScriptedEngine(tmp_path / "docker.sock")
    engine.run_many(10_000)
    request = Request("GET", "/containers/json", {})
    bodies, taken = [], []
    for _ in range(3):
        started = time.process_time()
        bodies.append(answer(engine, request).body)
        taken.append(time.process_time() - started)

    assert min(taken) < 1.0
    assert len({entry["Id"] for entry in json.loads(bodies[0])}) == 10_000


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.2, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (61, "About a minute"),
        (180, "3 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (172_800, "2 days"),
        (1_300_000, "2 weeks"),
    ],
)
def test_durations_are_spelled_as_docker_ps_spells_them(
    seconds: float, expected: str
) -> None:
    """``Status`` is read by people and programs: its words are the engine's."""
    assert expected == human_duration(seconds)


async def test_a_stale_answer_tells_what_was(
    engine: ScriptedEngine, client: docker.APIClient
) -> None:
    """It is made when it is asked for, and comes when something else is true."""
    made = engine.run("web-1")
    engine.faults.stale("/containers/*", seconds=0.1)
    asked = asyncio.create_task(asyncio.to_thread(client.inspect_container, made.id))
    await engine.requests.seen("/containers/{id}/json")
    engine.stop(made)

    assert (await asked)["State"]["Status"] == "running"
    shown = await asyncio.to_thread(client.inspect_container, made.id)
    assert shown["State"]["Status"] == "exited"
