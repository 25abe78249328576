"""The helper that runs the daemon for other tests: it never hangs, and it says why."""

from __future__ import annotations

import pytest
from tests.support.daemon import Daemon, DaemonError, run_cli


@pytest.fixture
def broken() -> Daemon:
    """A daemon that ends at once: it is given an option that does not exist."""
    return Daemon(haproxy=[], docker="unix:///nowhere", arguments=["--no-such-option"])


async def test_a_daemon_that_ends_is_not_waited_for(broken: Daemon) -> None:
    """Each wait ends with the daemon, with its exit code and its last words."""
    async with broken as daemon:
        with pytest.raises(DaemonError, match=r"exit code [12]") as caught:
            await daemon.wait_ready(timeout_seconds=30)
        with pytest.raises(DaemonError, match="ended without saying 'never said'"):
            await daemon.wait_log("never said", timeout_seconds=30)

        assert await daemon.wait_ended() != 0
    assert daemon.log
    assert daemon.log[-1] in str(caught.value)


async def test_a_daemon_that_is_gone_can_be_killed_and_started_again(
    broken: Daemon,
) -> None:
    """Clean-up is safe to repeat, and ``start`` runs it anew."""
    async with broken as daemon:
        await daemon.wait_ended()
        await daemon.kill()
        first = len(daemon.log)
        await daemon.start()
        await daemon.wait_ended()

    assert len(daemon.log) == 2 * first


async def test_a_command_gives_its_code_and_both_outputs() -> None:
    """``run_cli`` runs the real command line."""
    done = await run_cli("no-such-command")

    assert done.code in {1, 2}
    assert done.stdout == ""
    assert done.stderr
