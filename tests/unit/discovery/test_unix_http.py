"""GET over a unix socket: whole answers, kept connections, and every way they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from reconciler.discovery.unix_http import (
    MOST_CONNECTIONS,
    MOST_WAITING_BYTES,
    HttpError,
    UnixHttp,
)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def served(
    tmp_path: Path, serve: Serve, *, seconds: float = 5.0
) -> AsyncIterator[UnixHttp]:
    """Let a server of our own answer, for the length of a block."""
    path = str(tmp_path / "socket")
    serving: set[asyncio.Task[None] | None] = set()

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(noted, path)
    http = UnixHttp(path, timeout_seconds=seconds)
    try:
        yield http
    finally:
        http.close()
        server.close()
        await server.wait_closed()
        async with asyncio.timeout(5):
            ends = asyncio.gather(*filter(None, serving), return_exceptions=True)
            assert set(await ends) <= {None}


def answering(*answers: bytes) -> tuple[Serve, list[int]]:
    """Return a server that gives these answers to each connection, and ends it then.

    The list counts the requests of each connection.
    """
    requests: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(0)
        number = len(requests) - 1
        for answer in answers:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            requests[number] += 1
            writer.write(answer)
            await writer.drain()
        writer.close()

    return serve, requests


async def test_a_connection_is_kept_and_used_again(tmp_path: Path) -> None:
    """One after the other, questions share it."""
    serve, requests = answering(OK, OK, OK)
    async with served(tmp_path, serve) as http:
        for _ in range(3):
            answer = await http.get("/x")
            assert (answer.status, answer.body) == (200, b"ok")

    assert requests == [3]


async def test_a_kept_connection_that_was_closed_costs_no_answer(
    tmp_path: Path,
) -> None:
    """The other side may close it at any time: the question is asked on a new one."""
    serve, requests = answering(OK)
    async with served(tmp_path, serve) as http:
        for _ in range(3):
            assert (await http.get("/x")).body == b"ok"

    assert requests == [1, 1, 1]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["chunked", "to-the-end", "1.0"],
)
async def test_bodies_of_all_kinds(tmp_path: Path, answer: bytes) -> None:
    """However its end is told, a body comes whole."""
    serve, _ = answering(answer)
    async with served(tmp_path, serve) as http:
        assert (await http.get("/x")).body == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"not http at all\r\n\r\n",
    ],
    ids=["nothing", "half-a-head", "half-a-body", "no-last-chunk", "other"],
)
async def test_an_answer_that_is_not_whole_is_none(
    tmp_path: Path, answer: bytes
) -> None:
    """Part of an answer is never taken for the answer."""
    serve, _ = answering(answer)
    async with served(tmp_path, serve) as http:
        with pytest.raises((HttpError, OSError)):
            await http.get("/x")


async def test_silence_ends(tmp_path: Path) -> None:
    """Whoever accepts and never answers is waited for only so long, and said so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with served(tmp_path, serve, seconds=0.05) as http:
        with pytest.raises(TimeoutError, match=r"timed out after 0\.05 s"):
            await http.get("/x")
        with pytest.raises(TimeoutError, match="timed out"):
            await http.follow("/x")


async def test_only_so_many_questions_are_asked_at_once(tmp_path: Path) -> None:
    """More of them wait for their turn, and all are answered."""
    open_now, most = 0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            await asyncio.sleep(0.001)
            writer.write(OK)
        open_now -= 1
        writer.close()

    async with served(tmp_path, serve) as http:
        answers = await asyncio.gather(*(http.get("/x") for _ in range(40)))

    assert [one.body for one in answers] == [b"ok"] * 40
    assert most == MOST_CONNECTIONS


async def test_a_long_answer_waits_in_the_socket(tmp_path: Path) -> None:
    """What is not taken is not read: a list of any length takes little memory."""
    size = 64 * MOST_WAITING_BYTES
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(64):
            writer.write(b"x" * MOST_WAITING_BYTES)
            await writer.drain()
            sent += MOST_WAITING_BYTES
        writer.close()

    async with served(tmp_path, serve) as http:
        parts = http.get_parts("/x")
        assert await anext(parts) == 200
        for _ in range(200):
            await asyncio.sleep(0)
        assert sent < size / 4

        received = 0
        async for part in parts:
            assert isinstance(part, bytes)
            received += len(part)
        assert received == size


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize("in_one_write", [True, False])
@pytest.mark.parametrize("size", [200_000, 300_000, 450_000, 641_000, 3_000_000])
async def test_long_answers_follow_each_other_on_one_connection(
    tmp_path: Path, *, size: int, in_one_write: bool, is_chunked: bool
) -> None:
    """Written as Go's server does it: one chunk, its size and the last chunk on their own."""
    times, connections = 40, 0
    kind = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {size}"
    head = f"HTTP/1.1 200 OK\r\n{kind}\r\n\r\n".encode()
    pieces = [head, b"x" * size]
    if is_chunked:
        pieces = [head, f"{size:x}\r\n".encode(), b"x" * size, b"\r\n", b"0\r\n\r\n"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                for piece in [b"".join(pieces)] if in_one_write else pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                await writer.drain()

    async with served(tmp_path, serve, seconds=2.0) as http:
        for _ in range(times):
            received = 0
            async for part in http.get_parts("/x"):
                received += len(part) if isinstance(part, bytes) else 0
                for _ in range(10):  # to parse it takes longer than to receive more
                    await asyncio.sleep(0)
            assert received == size
        assert len((await http.get("/x")).body) == size

    assert connections == 1


async def test_a_stream_gives_lines_until_it_is_closed(tmp_path: Path) -> None:
    """Each as soon as it is whole, however it was cut; the end is an end, not an error."""
    feed: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while piece := await feed.get():
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        writer.close()

    async with served(tmp_path, serve) as http:
        status, stream = await http.follow("/events")
        assert status == 200
        got: asyncio.Queue[bytes] = asyncio.Queue()
        following = asyncio.create_task(stream.each(got.put_nowait))
        for piece, lines in (
            (b"one\ntw", [b"one"]),
            (b"o\nthree\n", [b"two", b"three"]),
        ):
            feed.put_nowait(piece)
            assert [await got.get() for _ in lines] == lines
        for piece in (b"in ", b"pieces", b"\n"):
            feed.put_nowait(piece)
        assert await got.get() == b"in pieces"
        feed.put_nowait(b"half")
        feed.put_nowait(b"")
        await following
        assert got.empty()
        stream.close()


async def test_many_lines_at_once_come_in_order_and_let_the_loop_turn(
    tmp_path: Path,
) -> None:
    """A flood is handed out in parts, and what comes behind it stays behind it."""
    lines = [b"%05d" % number for number in range(20_000)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start, size in ((0, 19_000), (19_000, 10), (19_010, 990)):
            piece = b"".join(line + b"\n" for line in lines[start : start + size])
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        writer.close()

    got: list[bytes] = []
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while len(got) < len(lines):
            turns += 1
            await asyncio.sleep(0)

    async with served(tmp_path, serve) as http:
        _, stream = await http.follow("/events")
        await asyncio.gather(stream.each(got.append), turn())
        stream.close()

    assert got == lines
    assert turns > 100


async def test_what_a_taker_raises_ends_the_stream(tmp_path: Path) -> None:
    """A mistake of ours is not lost in the transport: whoever follows gets it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asked.wait()
        writer.write(b"5\r\nline\n\r\n")

    def take(line: bytes) -> None:
        raise LookupError(line)

    asked = asyncio.Event()
    async with served(tmp_path, serve) as http:
        _, stream = await http.follow("/events")
        following = asyncio.create_task(stream.each(take))
        asked.set()
        with pytest.raises(LookupError, match="line"):
            await following
        stream.close()
