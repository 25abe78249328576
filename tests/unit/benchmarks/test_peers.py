"""How the comparison with peers looks at a HAProxy, and what it makes of that."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.contest import Finding
from peers.look import Look, RuntimeTable, Table
from peers.observer import Observer, ServerLog, UnseenError
from peers.steps import Times, last_turn
from peers.summary import series, table, verdicts


STATE = b"""1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight
2 web 1 sorry 127.0.0.1 2 0 1
2 web 2 slot1 10.0.0.1 2 4 1
2 web 3 slot2 10.0.0.2 0 4 1
2 web 4 slot3 10.0.0.3 2 12 0
2 web 5 slot4 10.0.0.4 0 32 1

"""


class Scripted(Table):
    """Shows these, and then the last one for ever."""

    is_by_address = True

    def __init__(self, *shown: frozenset[str]) -> None:
        self._shown = iter(enumerate(shown))
        self._last = Look(0, frozenset(), frozenset())

    def look(self) -> Look:
        """Return the next one."""
        for number, servers in self._shown:
            self._last = Look(number + 1, servers, servers)
            break
        return self._last

    def tried_again(self) -> None:
        """Return nothing."""


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[str]:
    """Answer one question with the table above."""
    path = tmp_path / "s"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        stream, _ = server.accept()
        with stream:
            stream.recv(100)
            stream.sendall(STATE)

    thread = threading.Thread(target=serve)
    thread.start()
    yield str(path)
    thread.join()
    server.close()


def test_drain_and_want_of_an_address_keep_a_server_out(
    listening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down by a check is known, but not up; other servers do not count at all."""
    found = RuntimeTable(0, "/x", "web", "slot")
    monkeypatch.setattr(found, "_path", listening)
    look = found.look()

    assert look.known == {"10.0.0.1", "10.0.0.2"}
    assert look.up == {"10.0.0.1"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ServerLog]:
    """Return a log that nobody writes yet."""
    with ServerLog(tmp_path / "watch" / "log") as listening:
        yield listening


def test_the_first_look_after_a_time_counts(log: ServerLog) -> None:
    """One that came before does not, even where it says the same."""
    a, b = frozenset({"a"}), frozenset({"b"})
    with Observer(Scripted(a, b, a), 0.001, log) as eyes:
        look = eyes.wait("a is up", lambda one: "a" in one.up, after=2)

    assert look.at == 3


def test_what_is_so_only_for_a_moment_does_not_count() -> None:
    """The last stretch does, from its first look on."""
    a, none = frozenset({"a"}), frozenset[str]()
    looks = [Look(at, up, up) for at, up in enumerate([none, a, none, a, a])]

    assert last_turn(looks, lambda look: "a" in look.up).at == 3
    with pytest.raises(UnseenError):
        last_turn(looks, lambda look: "a" not in look.up)


def test_a_line_of_the_log_makes_it_look_and_dates_what_it_sees(log: ServerLog) -> None:
    """Long before its next look is due, and not by when the answer was here."""
    a, none = frozenset({"a"}), frozenset[str]()
    with (
        Observer(Scripted(none, a), 60.0, log) as eyes,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as haproxy,
    ):
        eyes.wait("a first look", lambda one: not one.up)
        before = time.time_ns()
        haproxy.sendto(b"Server web/slot1 is UP", str(log.path))
        look = eyes.wait("a is up", lambda one: "a" in one.up)

    assert before < look.at < time.time_ns()


def test_what_never_comes_is_an_error(log: ServerLog) -> None:
    """The error says what was waited for."""
    with (
        Observer(Scripted(frozenset()), 0.001, log) as eyes,
        pytest.raises(UnseenError, match="a is up"),
    ):
        eyes.wait("a is up", lambda one: "a" in one.up, after=0, timeout_seconds=0.01)


def test_a_peer_that_is_slower_makes_ours_so_many_times_faster() -> None:
    """Each target of the comparison is judged where both sides ran."""
    ours = Finding(name="slots", times=Times(known=[5.0], up=[300.0], out=[2.0]))
    dns = Finding(name="dns", times=Times(known=[600.0], up=[600.0], out=[900.0]))
    lost = Finding(name="easyhaproxy", not_run="no image")
    judged = verdicts([ours, dns, lost], series([ours, dns, lost]))

    assert [(v.value, v.is_met) for v in judged] == [
        (120.0, True),
        (450.0, False),
        (0, True),
    ]


def test_too_early_is_as_far_off_as_too_late() -> None:
    """A peer that sends requests to what does not run yet is not the quicker one."""
    ours = Finding(name="slots", times=Times(known=[5.0], up=[300.0], out=[2.0]))
    dns = Finding(
        name="dns", times=Times(known=[-400.0, -90.0, 500.0], up=[9.0], out=[2.0])
    )
    found = series([ours, dns])

    assert found["known", "dns"].figures()["median"] == -90.0
    assert verdicts([ours, dns], found)[0].value == 80.0


def test_a_contender_that_did_not_run_says_why() -> None:
    """It has a line of its own in the table."""
    assert "not run: no image" in table([Finding(name="dns", not_run="no image")])
