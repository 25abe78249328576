"""The shipped configuration, on every version."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.haproxy_process import HaproxyProcess
from tests.support.named_servers import get


pytestmark = pytest.mark.integration


def test_it_is_valid_without_a_warning(version: str, tmp_path: Path) -> None:
    """`haproxy -c` accepts the file and has nothing to say against it."""
    checked = HaproxyProcess(version, tmp_path).check()

    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_it_is_valid_with_its_defaults(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing in the environment, every default stands for itself."""
    process = HaproxyProcess(version, tmp_path)
    defaults = {k: v for k, v in process.environment.items() if "HAPROXY_" not in k}
    monkeypatch.setattr(HaproxyProcess, "environment", defaults)

    checked = process.check()

    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


async def test_no_slot_is_in_rotation_before_the_reconciler_comes(
    haproxy: HaproxyProcess,
) -> None:
    """A fresh HAProxy sends every request to the sorry server."""
    status, body = await get(haproxy.http_port)

    assert status == 503
    assert "No server is ready" in body


async def test_a_probe_finds_it_alive(haproxy: HaproxyProcess) -> None:
    """`/healthz` on the stats listener answers 200."""
    status, _ = await get(haproxy.stats_port)

    assert status == 200


def test_the_socket_is_for_owner_and_group_only(haproxy: HaproxyProcess) -> None:
    """Nobody else may open the runtime socket."""
    assert haproxy.socket.stat().st_mode & 0o777 == 0o660
