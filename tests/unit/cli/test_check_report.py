"""The doctor's report as people see it, compared with text files.

``UPDATE_SNAPSHOTS=1 pytest tests/unit/cli/test_check_report.py`` writes them anew.
"""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from reconciler.cli.check import print_report, watched
from reconciler.doctor import Code, Finding
from reconciler.doctor.finding import found


SNAPSHOTS = Path(__file__).parent / "snapshots"
URL = "unix:///run/haproxy/admin.sock"
PROXY = f"haproxy {URL}"

WELL = [
    found(Code.PROJECTS, "projects", "service names count in project demo", section="settings"),
    found(Code.DOCKER, "docker", "engine 27.0.1, API 1.46, 5 running containers", section="docker"),
    found(Code.HAPROXY, URL, "haproxy 3.0.11, pid 8", section=PROXY),
    found(Code.HAPROXY_LEVEL, URL, "may change servers (level admin)", section=PROXY),
    found(Code.SLOTS, "backend web", "64 slots, 61 free", section="backend web"),
]  # fmt: skip
BROKEN = [
    *WELL,
    found(
        Code.SLOT_HELD,
        "web/slot3",
        "web-3 (172.18.0.6:8000) is in drain by hand for 3 h",
        "`reconciler ready web/slot3` puts it back",
        section="backend web",
    ),
    *(
        found(
            Code.SLOT_STRAY,
            f"web/slot{number}",
            f"ready at 172.18.0.{number}:8000, where no container lives",
            "`reconciler plan` shows what a pass would do",
            section="backend web",
        )
        for number in range(10, 18)
    ),
    found(
        Code.REDISPATCH,
        "/etc/haproxy/base.cfg:48",
        "backend web has no `option redispatch`",
        "write `option redispatch 1` in `backend web` or in its `defaults`",
        section="base.cfg",
    ),
    found(
        Code.CONTAINER_LABEL,
        "container web-9",
        'label "haproxy.port" is "80;quit": it must be an integer from 1 to 65535',
        "correct the label in the Compose file, and recreate the container",
        section="containers",
    ),
]
ONE = [
    found(Code.DOCKER_ABSENT, "docker", "no such file", "mount it", section="docker")
]


def snapshot(name: str, shown: str) -> None:
    """Compare with a file, or write it where that is asked for."""
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "findings", "quiet"),
    [
        pytest.param("check-well", WELL, False, id="well"),
        pytest.param("check-well-quiet", WELL, True, id="well-quiet"),
        pytest.param("check-broken", BROKEN, False, id="broken"),
        pytest.param("check-broken-quiet", BROKEN, True, id="broken-quiet"),
        pytest.param("check-one", ONE, False, id="one"),
    ],
)
def test_the_report(
    name: str,
    findings: list[Finding],
    quiet: bool,  # noqa: FBT001
) -> None:
    """Section by section, the mend below; quietly only what needs attention, or nothing."""
    out = io.StringIO()
    console = Console(
        file=out, width=240, highlight=False, markup=False, soft_wrap=True
    )

    print_report(console, findings, quiet=quiet)

    snapshot(name, out.getvalue())


@pytest.mark.parametrize("is_terminal", [True, False], ids=["tty", "pipe"])
async def test_a_terminal_is_told_what_takes_so_long(
    is_terminal: bool,  # noqa: FBT001
) -> None:
    """Once it takes long, and on a terminal alone: a pipe gets nothing but the report."""
    told = io.StringIO()
    err = Console(file=told, force_terminal=is_terminal)

    async def slow() -> list[Finding]:
        async with asyncio.timeout(5):
            while is_terminal and "waiting for" not in told.getvalue():  # noqa: ASYNC110 - the end
                await asyncio.sleep(0.01)
        return WELL

    assert await watched(slow(), err, silent_seconds=0.01) == WELL
    assert ("waiting for" in told.getvalue()) is is_terminal


async def test_a_terminal_is_not_told_what_is_quick() -> None:
    """Nothing flickers when all is read at once."""
    told = io.StringIO()

    async def quick() -> list[Finding]:
        return WELL

    assert await watched(quick(), Console(file=told, force_terminal=True)) == WELL
    assert told.getvalue() == ""
