"""The client against a peer that misbehaves on purpose."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.scripted_socket import Script, ScriptedSocket

from reconciler.errors import (
    ConnectError,
    LocalProtocolError,
    RemoteProtocolError,
    ReplyTimeoutError,
)
from reconciler.haproxy import RuntimeClient


OPENING = 2
"""How many lines open a session: the prompt, and the severity."""


async def _open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for _ in range(OPENING):
        await reader.readline()
        writer.write(b"\n> ")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every line with itself."""
    await _open(reader, writer)
    while line := await reader.readline():
        writer.write(line + b"\n> ")
        await writer.drain()


def says(*answers: bytes) -> Script:
    """Give these answers to the lines after the opening, then close."""

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await _open(reader, writer)
        for answer in answers:
            await reader.readline()
            writer.write(answer)

    return script


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Open, take everything, answer nothing."""
    await _open(reader, writer)
    await reader.read()


def hanging(asked: asyncio.Event) -> Script:
    """Open, take one line, say that it came, and answer nothing."""

    async def script(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await _open(reader, writer)
        await reader.readline()
        asked.set()
        await reader.read()

    return script


async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Not even open."""
    await reader.read()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never end a reply, and never stop it."""
    await _open(reader, writer)
    await reader.readline()
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def promptless(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Know no prompt: one command, one answer, the end."""
    line = await reader.readline()
    known = {b"show info\n": b"Pid: 1\n\n", b"set server b/s state ready\n": b"\n"}
    writer.write(known.get(line, b"Unknown command.\n\n"))


async def test_replies_come_in_order(scripted: ScriptedSocket) -> None:
    """Each line gets its own reply, however many there are."""
    await scripted.serve(echo)
    lines = [f"show {number}" for number in range(3000)]
    async with RuntimeClient(scripted.url) as client:
        replies = await client.execute(lines)

    assert [reply.text for reply in replies] == lines
    assert [reply.command for reply in replies] == lines
    assert scripted.connections == 1


async def test_a_session_is_kept(scripted: ScriptedSocket) -> None:
    """Batch after batch uses the same connection; an empty one needs none."""
    await scripted.serve(echo)
    async with RuntimeClient(scripted.url) as client:
        assert await client.execute([]) == []
        assert scripted.connections == 0
        for _ in range(3):
            await client.execute(["show a"])

    assert scripted.connections == 1


async def test_a_peer_that_does_not_read_blocks_nobody_for_ever(
    scripted: ScriptedSocket,
) -> None:
    """A batch beyond all buffers times out while it is still being written."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _open(reader, writer)
        await asyncio.Event().wait()

    await scripted.serve(deaf)
    async with RuntimeClient(scripted.url, timeout_seconds=0.1) as client:
        with pytest.raises(ReplyTimeoutError):
            await client.execute(["show " + "x" * 4000] * 5000)


@pytest.mark.parametrize("script", [silent, mute])
async def test_silence_is_a_timeout(scripted: ScriptedSocket, script: Script) -> None:
    """No reply in time: the error names the socket, and the session is dropped."""
    await scripted.serve(script)
    async with RuntimeClient(scripted.url, timeout_seconds=0.05) as client:
        with pytest.raises(ReplyTimeoutError, match="no whole reply") as caught:
            await client.execute(["show info"])
        await client.wait_closed()

    assert caught.value.address == scripted.url


async def test_a_trickle_does_not_last_for_ever(scripted: ScriptedSocket) -> None:
    """Progress buys time, but not without limit."""
    await scripted.serve(trickle)
    async with RuntimeClient(scripted.url, timeout_seconds=0.05) as client:
        started = asyncio.get_running_loop().time()
        with pytest.raises(ReplyTimeoutError):
            await client.execute(["show info"])
        seconds = asyncio.get_running_loop().time() - started

    assert 0.4 < seconds < 5


async def test_a_close_in_the_middle_is_an_error(scripted: ScriptedSocket) -> None:
    """Part of a reply is never returned; the next batch uses a new session."""
    await scripted.serve(says(b"one\n\n> ", b"Name: HAP"), echo)
    async with RuntimeClient(scripted.url) as client:
        with pytest.raises(RemoteProtocolError, match="1 replies missing"):
            await client.execute(["show a", "show b"])
        (reply,) = await client.execute(["show c"])

    assert reply.text == "show c"


async def test_a_close_before_the_first_prompt_is_an_error(
    scripted: ScriptedSocket,
) -> None:
    """A peer that only closes is no HAProxy that knows no prompt."""

    async def slam(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readline()

    await scripted.serve(slam)
    async with RuntimeClient(scripted.url) as client:
        with pytest.raises(RemoteProtocolError):
            await client.execute(["show info"])


async def test_a_reply_beyond_the_limit_is_an_error(scripted: ScriptedSocket) -> None:
    """Memory is bounded, whatever the peer sends."""
    await scripted.serve(says(b"x" * 200_000), echo)
    async with RuntimeClient(scripted.url, max_reply_bytes=100_000) as client:
        with pytest.raises(RemoteProtocolError, match="more than 100000 bytes"):
            await client.execute(["show a"])
        await client.execute(["show b"])


async def test_text_while_idle_ends_the_session(scripted: ScriptedSocket) -> None:
    """What nobody asked for is never taken for the next reply."""

    async def chatty(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await says(b"one\n\n> ")(reader, writer)
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(b"two\n\n> ")
        await reader.read()

    await scripted.serve(chatty, echo)
    async with RuntimeClient(scripted.url) as client:
        await client.execute(["show a"])
        async with asyncio.timeout(5):
            await client.wait_closed()
        (reply,) = await client.execute(["show b"])

    assert reply.text == "show b"


async def test_an_unsafe_line_sends_nothing(scripted: ScriptedSocket) -> None:
    """One bad line stops the whole batch before the first byte."""
    await scripted.serve(echo)
    async with RuntimeClient(scripted.url) as client:
        with pytest.raises(LocalProtocolError):
            await client.execute(["show info", "show info;show stat"])

    assert scripted.connections == 0


async def test_cancelling_a_batch_drops_the_session(scripted: ScriptedSocket) -> None:
    """A reply that nobody waits for any more is never taken for another's."""
    asked = asyncio.Event()
    await scripted.serve(hanging(asked), echo)
    async with RuntimeClient(scripted.url) as client:
        batch = asyncio.create_task(client.execute(["show a"]))
        await asked.wait()
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        (reply,) = await client.execute(["show b"])
        async with asyncio.timeout(5):
            await scripted.ended.wait()

    assert reply.text == "show b"
    assert scripted.connections == 2


async def test_a_stale_session_is_replaced_for_questions_only(
    scripted: ScriptedSocket,
) -> None:
    """A close that crosses our batch: questions are asked again, changes are not."""

    async def close_on_second(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await says(b"one\n\n> ")(reader, writer)
        await reader.readline()

    await scripted.serve(close_on_second, close_on_second, echo)
    async with RuntimeClient(scripted.url) as client:
        await client.execute(["show a"])
        (again,) = await client.execute(["show b"])
        with pytest.raises(RemoteProtocolError):
            await client.execute(["set server b/s state ready"])

    assert again.text == "one"
    assert scripted.connections == 2


async def test_closing_ends_a_batch_that_waits(scripted: ScriptedSocket) -> None:
    """A batch in flight ends with an error when the client is closed under it."""
    asked = asyncio.Event()
    await scripted.serve(hanging(asked))
    client = RuntimeClient(scripted.url)
    batch = asyncio.create_task(client.execute(["show a"]))
    await asked.wait()
    await client.aclose()

    with pytest.raises(ConnectError, match="closed on our side"):
        await batch


async def test_without_a_prompt_each_line_has_its_connection(
    scripted: ScriptedSocket,
) -> None:
    """Where `prompt` is not known, the client still works, a connection a line.

    There is no session that could end, so nobody who waits for its end is woken.
    """
    await scripted.serve(promptless)
    async with RuntimeClient(scripted.url) as client:
        replies = await client.execute(["show info", "set server b/s state ready"])
        await client.execute(["show info"])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.wait_closed()

    assert [reply.text for reply in replies] == ["Pid: 1", ""]
    assert scripted.connections == 1 + 2 + 1


async def test_a_masters_lack_of_workers_is_named(scripted: ScriptedSocket) -> None:
    """A master that has no worker to lead to says so, and so do we; and hang up."""
    left = 0

    async def master(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal left
        for answer in (
            b"master> ",
            b"Can't find the target.\n\nmaster> ",
            b"\nmaster> ",
        ):
            await reader.readline()
            writer.write(answer)
        await reader.read()
        left += 1

    await scripted.serve(master)
    async with RuntimeClient(f"master+{scripted.url}") as client:
        for _ in range(3):
            with pytest.raises(ConnectError, match="cannot reach a worker"):
                await client.execute(["show info"])
        async with asyncio.timeout(5):
            while left < scripted.connections:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.001)


async def test_nobody_listens_on_a_port() -> None:
    """A refused TCP connection is named as one."""
    client = RuntimeClient("tcp://127.0.0.1:1")

    with pytest.raises(ConnectError, match="nobody listens"):
        await client.show_info()
