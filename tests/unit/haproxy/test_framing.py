"""The conversation: where a reply ends, and what is no reply."""

from __future__ import annotations

import pytest

from reconciler.errors import RemoteProtocolError
from reconciler.haproxy.protocol import OneShotReply, Session


def test_replies_are_told_apart_by_prompts() -> None:
    """Each line is one reply, be it silent, one line or a table."""
    session = Session()

    assert session.send(["a", "b", "c"]) == b"a\nb\nc\n"
    assert session.receive_data(
        b"\n> [3]: No such server.\n\n> 1\n# x y\n1 2\n\n> "
    ) == [
        "",
        "[3]: No such server.",
        "1\n# x y\n1 2",
    ]
    assert session.expected == 0


def test_a_missing_empty_line_does_not_shift_replies() -> None:
    """2.6 leaves out the empty line after some refusals; the prompt still comes."""
    session = Session()
    session.send(["a", "b"])

    assert session.receive_data(b"bad weight\n> next\n\n> ") == ["bad weight", "next"]


def test_part_of_a_reply_is_no_reply() -> None:
    """Until the whole prompt is there, nothing is handed out."""
    session = Session()
    session.send(["a"])

    assert session.receive_data(b"Name: HAProxy\n\n>") == []
    assert session.pending == b"Name: HAProxy\n\n>"
    assert session.receive_data(b" ") == ["Name: HAProxy"]


def test_the_end_in_the_middle_is_an_error() -> None:
    """HAProxy that closes before the prompt has not answered."""
    session = Session()
    session.send(["a", "b"])
    session.receive_data(b"one\n\n> two\n")

    with pytest.raises(RemoteProtocolError, match="1 replies missing, after"):
        session.receive_end()


def test_the_end_of_an_idle_session_is_none() -> None:
    """Nothing was asked and nothing is missing."""
    session = Session()
    session.send(["a"])
    session.receive_data(b"\n> ")

    session.receive_end()


def test_text_that_nobody_asked_for_is_an_error() -> None:
    """It is noticed at once, or, behind a whole reply, before anything else is sent."""
    with pytest.raises(RemoteProtocolError, match="nobody asked"):
        Session().receive_data(b"hello")
    session = Session()
    session.send(["a"])
    assert session.receive_data(b"one\n> more") == ["one"]
    with pytest.raises(RemoteProtocolError, match="nobody asked"):
        session.send(["b"])


def test_a_reply_has_a_limit() -> None:
    """More than the limit without a prompt is an error, and is not kept for ever."""
    session = Session(max_reply_bytes=100)
    session.send(["a"])
    session.receive_data(b"x" * 100)

    with pytest.raises(RemoteProtocolError, match="more than 100 bytes"):
        session.receive_data(b"x")


def test_foreign_bytes_are_shown_not_lost() -> None:
    """What is no UTF-8 comes out escaped."""
    session = Session()
    session.send(["a"])

    assert session.receive_data(b"caf\xc3\xa9 \xff\n\n> ") == ["café \\xff"]


def test_a_masters_prompt_is_the_workers_pid() -> None:
    """Through the master the prompt is a pid, with no line break after silence."""
    session = Session(via_master=True)
    session.send(["prompt", "@1", "set severity-output number", "x", "y"])
    stream = b"master> 4711> 4711> No such server.\n\n4711> \n4711> "

    assert session.receive_data(stream) == ["", "", "", "No such server.", ""]


def test_a_master_whose_reload_failed_has_a_prompt_too() -> None:
    """The mark of a failed reload is part of the prompt."""
    session = Session(via_master=True)
    session.send(["prompt"])

    assert session.receive_data(b"master[ReloadFailed]> ") == [""]


@pytest.mark.parametrize(
    ("line", "sent", "text"),
    [
        ("show info", b"Name: HAProxy\n\n", "Name: HAProxy"),
        ("set server b/s state ready", b"\n", ""),
        ("set server b/s weight x", b"bad weight\n", "bad weight"),
    ],
)
def test_a_reply_of_one_shot_ends_with_the_connection(
    line: str, sent: bytes, text: str
) -> None:
    """An empty line ends it; a refusal of one line may lack it."""
    reply = OneShotReply(line)

    assert reply.send() == line.encode() + b"\n"
    reply.receive_data(sent)
    assert reply.receive_end() == text


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("show info", b""),
        ("show info", b"Name: HAProxy\nVersion: 3"),
        ("show info", b"Name: HAProxy\n"),
        ("show servers state", b"1\n# be_id\n3 web\n"),
        ("set server b/s weight x", b"bad wei"),
        ("set server b/s weight x", b""),
    ],
)
def test_a_truncated_reply_of_one_shot_is_an_error(line: str, sent: bytes) -> None:
    """What does not show its end is not taken for whole."""
    reply = OneShotReply(line)
    reply.receive_data(sent)

    with pytest.raises(RemoteProtocolError, match="in the middle"):
        reply.receive_end()


def test_one_shot_has_a_limit() -> None:
    """A reply beyond the limit is an error."""
    with pytest.raises(RemoteProtocolError, match="more than 10 bytes"):
        OneShotReply("show info", max_reply_bytes=10).receive_data(b"x" * 11)
