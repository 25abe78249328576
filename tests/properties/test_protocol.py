"""For all streams, all cuts and all words: what the runtime protocol promises."""

from __future__ import annotations

import itertools
import re

from hypothesis import given, strategies as st

from reconciler.core.model import (
    Action,
    AdminState,
    ConfirmAddress,
    ServerRef,
    SetAddress,
    SetHealthDown,
    SetState,
    SetWeight,
)
from reconciler.errors import LocalProtocolError, RemoteProtocolError
from reconciler.haproxy import commands, replies
from reconciler.haproxy.protocol import OneShotReply, Session
from reconciler.haproxy.replies import Reply


# What HAProxy prints never has a prompt in it; a line may well begin with part of one.
texts = (
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20)
        | st.sampled_from(["", ">", " > ", "471", "master"]),
        max_size=5,
    )
    .map("\n".join)
    .map(lambda text: text.rstrip("\n"))
    .filter(lambda text: not re.search(r"(\A|\n)(master(\[\w+\])?|[0-9]*)> ", text))
)
# 2.6 leaves the empty line out after some refusals.
endings = st.sampled_from(["\n\n> ", "\n> "])
any_text = st.text(max_size=30) | st.sampled_from(
    ["web", "slot1", "10.0.0.7", "::1", "a;b", "a\nb", "x <<", "a\0", "1 2", "b\\"]
)
refs = st.builds(ServerRef, any_text, any_text)
numbers = st.integers() | st.integers(0, 70_000) | st.booleans()
actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(SetState, refs, st.sampled_from(AdminState)),
    st.builds(SetWeight, refs, numbers),
    st.builds(SetAddress, refs, any_text, st.none() | numbers),
    st.builds(ConfirmAddress, refs, any_text, st.none() | numbers),
    st.builds(SetHealthDown, refs),
)

SAFE_COMMAND = re.compile(
    r"set server [\w:.-]+/[\w:.-]+ "
    r"(state (ready|drain|maint)|weight \d{1,3}|health down"
    r"|addr [0-9a-f.:]+( port \d{1,5})?)"
    r"|show servers state [\w:.-]+",
    re.ASCII,
)


def feed(session: Session, stream: bytes, cuts: list[int]) -> list[str]:
    """Give a stream to a session in pieces."""
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    found: list[str] = []
    for start, end in itertools.pairwise(edges):
        found += session.receive_data(stream[start:end])
    return found


@given(st.lists(texts, min_size=1, max_size=6), st.lists(st.integers(0)), endings)
def test_any_chunking_gives_the_same_replies(
    bodies: list[str], cuts: list[int], ending: str
) -> None:
    """However the bytes are cut, each reply comes out once, whole and in order."""
    stream = "".join(body + ending for body in bodies).encode()
    session = Session()
    session.send(["x"] * len(bodies))

    assert feed(session, stream, cuts) == bodies
    session.receive_end()


@given(st.lists(texts, min_size=1, max_size=6), st.lists(st.integers(0)))
def test_any_chunking_through_a_master(bodies: list[str], cuts: list[int]) -> None:
    """The same through a master, whose prompt follows silence with no line break."""
    stream = "".join(
        (f"{body}\n\n" if body else "") + "4711> " for body in bodies
    ).encode()
    session = Session(via_master=True)
    session.send(["x"] * len(bodies))

    assert feed(session, stream, cuts) == bodies
    session.receive_end()


@given(st.lists(texts, min_size=1, max_size=4), st.data(), st.lists(st.integers(0)))
def test_no_truncation_is_taken_for_whole(
    bodies: list[str], data: st.DataObject, cuts: list[int]
) -> None:
    """Ended anywhere before its end, a stream gives whole replies and an error."""
    stream = "".join(body + "\n> " for body in bodies).encode()
    kept = data.draw(st.integers(0, len(stream) - 1))
    session = Session()
    session.send(["x"] * len(bodies))
    found = feed(session, stream[:kept], cuts)

    assert found == bodies[: len(found)]
    assert len(found) < len(bodies)
    try:
        session.receive_end()
    except RemoteProtocolError:
        return
    raise AssertionError("the end was taken for the end of a reply")


@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([b"\n> ", b"1> ", b"master> "])),
    st.integers(0, 5),
    st.builds(Session, via_master=st.booleans(), max_reply_bytes=st.just(50)),
)
def test_no_bytes_crash_a_session(
    chunks: list[bytes], expected: int, session: Session
) -> None:
    """Whatever a peer sends, the only exception is RemoteProtocolError."""
    session.send(["x"] * expected)
    found: list[str] = []
    try:
        for chunk in chunks:
            found += session.receive_data(chunk)
        session.receive_end()
    except RemoteProtocolError:
        pass

    assert len(found) <= expected


@given(st.lists(st.binary(max_size=30)), st.sampled_from(["show info", "set server x"]))
def test_no_bytes_crash_one_shot(chunks: list[bytes], line: str) -> None:
    """The same for a connection of one command."""
    reply = OneShotReply(line, max_reply_bytes=50)
    try:
        for chunk in chunks:
            reply.receive_data(chunk)
        text = reply.receive_end()
    except RemoteProtocolError:
        return

    assert b"".join(chunks).endswith(b"\n")
    assert not text.endswith("\n")


@given(
    st.text(max_size=60)
    | st.text("0123456789 -.:#ab\n", max_size=80).map(
        lambda rest: "1\n# be_id be_name srv_id srv_name srv_addr\n" + rest
    )
)
def test_no_text_crashes_a_parser(text: str) -> None:
    """Whatever a reply says, it is a value or one of our errors."""
    reply = Reply.parse("show x", text)
    for parse in (
        lambda: replies.info(reply),
        lambda: replies.servers(reply, now=0, uptime_seconds=0),
        lambda: replies.server_addresses(reply, {"slot1"}),
        lambda: replies.connections_in_use(reply),
        lambda: replies.stats(reply),
    ):
        try:
            parse()
        except RemoteProtocolError:
            continue


@given(actions)
def test_no_hostile_word_reaches_the_wire(action: Action) -> None:
    """Every action is one command of a known form, or a LocalProtocolError."""
    try:
        line = commands.command(action)
    except LocalProtocolError:
        return

    assert SAFE_COMMAND.fullmatch(line)
    assert commands.checked_line(line) == line


@given(any_text)
def test_a_line_that_passes_is_one_command(line: str) -> None:
    """What passes has no byte that HAProxy would read as more than one command."""
    try:
        passed = commands.checked_line(line)
    except LocalProtocolError:
        return

    assert passed == line
    assert line.isascii()
    assert line.isprintable()
    assert not re.search(r"[;\\]|<<", line)
    assert Session().send([line]).count(b"\n") == 1
