"""The main job: Compose scales, HAProxy follows, nothing is reloaded and nothing written."""

from __future__ import annotations

from tests.support.engine import ROOT
from tests.support.stack import Stack


BASE_CFG = ROOT / "haproxy" / "base.cfg"
STEPS = (30, 5, 0, 3)


def test_every_running_container_is_ready_in_exactly_one_slot(stack: Stack) -> None:
    """Scaling 1, 30, 5, 0, 3 keeps the map true, in one HAProxy process, with no write."""
    before = (BASE_CFG.read_bytes(), BASE_CFG.stat().st_mtime_ns)
    stack.wait_converged("web", 1)
    first = stack.show_info()

    uptimes = [int(first["Uptime_sec"])]
    for count in STEPS:
        stack.scale("web", count)
        containers = stack.wait_converged("web", count, timeout_seconds=60)

        found = stack.slots("--backend", "web")
        used = [row for row in found["slots"] if row["state"] != "free"]
        assert sorted(row["container_id"] for row in used) == sorted(
            one.id for one in containers
        )
        assert found["unplaced"] == []
        info = stack.show_info()
        assert info["Pid"] == first["Pid"]
        uptimes.append(int(info["Uptime_sec"]))
    assert uptimes == sorted(uptimes)
    assert uptimes[-1] > uptimes[0]
    assert (BASE_CFG.read_bytes(), BASE_CFG.stat().st_mtime_ns) == before


def test_requests_are_answered_by_the_containers_that_run(stack: Stack) -> None:
    """Behind the one port all running containers answer, and no other."""
    stack.scale("web", 3)
    containers = stack.wait_converged("web", 3)

    answered = {stack.get("/").split()[0] for _ in range(9)}

    assert answered == {one.id[:12] for one in containers}


def test_servers_that_are_no_slots_stay_as_they_are(stack: Stack) -> None:
    """The static sorry server is ready at its own address before and after a scaling."""

    def sorry() -> list[tuple[str, int, bool]]:
        return [
            (row.address, row.port, row.is_ready)
            for row in stack.servers("web")
            if row.name == "sorry"
        ]

    stack.wait_converged("web", 1)
    before = sorry()
    stack.scale("web", 0)
    stack.wait_converged("web", 0)

    assert len(before) == 1
    assert sorry() == before
