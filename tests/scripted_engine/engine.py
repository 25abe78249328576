"""The scripted engine: Docker's HTTP API on a unix socket, in front of a script."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from decimal import Decimal
from pathlib import Path
from typing import Self

from tests.scripted_engine.control import Control
from tests.scripted_engine.events import Stream
from tests.scripted_engine.faults import Fault, Faults, Rule
from tests.scripted_engine.filters import EVENT_FILTERS, BadFilterError, Filters
from tests.scripted_engine.routes import answer as answer_to
from tests.scripted_engine.wire import (
    LAST_CHUNK,
    Answer,
    Request,
    RequestLog,
    chunk,
    parse_head,
    stream_head,
)


class ScriptedEngine(Control):
    """Serves Docker's read-only API on ``socket_path``; ``Control`` has the verbs.

    All of it belongs to one event loop: call it from that loop. ``requests`` counts what
    was asked, ``faults`` and ``events`` make things go wrong.
    """

    def __init__(self, socket_path: str | Path) -> None:
        super().__init__()
        self.path = Path(socket_path)
        self.requests = RequestLog()
        self.faults = Faults()
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        """The engine's address, as ``DOCKER_HOST`` has it."""
        return f"unix://{self.path}"

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Close."""
        await self.close()

    async def start(self) -> None:
        """Listen. A socket file that is in the way is replaced: a new inode."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._serve, self.path, backlog=512
        )

    async def close(self) -> None:
        """Break every connection, stop listening, remove the socket file."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        connections = dict(self._connections)
        for task, writer in connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        if server is not None:
            await server.wait_closed()
        self.path.unlink(missing_ok=True)

    async def refuse(self) -> None:
        """Go on as a dead engine does: the socket file is there, and nobody listens."""
        await self.close()
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(self.path))

    async def restart_engine(self, *, down_seconds: float = 0.0) -> None:
        """Go away and come back, at a new inode, with the past events forgotten.

        Containers run on, as with the engine's ``live-restore``; do to them what the
        story asks for before or after.
        """
        await self.close()
        await asyncio.sleep(down_seconds)
        self.events.forget()
        await self.start()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - a coroutine of asyncio's server is a task
            return
        self._connections[task] = writer
        # Cancelled only by ``close``; ended here, so that asyncio does not report it.
        with contextlib.suppress(
            asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError
        ):
            while await self._serve_one(reader, writer):
                pass
        del self._connections[task]
        writer.close()

    async def _serve_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request = parse_head(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(request.body_bytes)
        if request.method not in {"GET", "HEAD"}:
            self.requests.refuse(request)
            writer.writelines(Answer.error(403, "this engine is only read").encode())
            return True
        self.requests.add(request)
        rule = self.faults.take(request.path)
        if rule is not None and rule.fault is Fault.DELAY:
            await asyncio.sleep(rule.seconds)
        if rule is not None and rule.fault is Fault.STALL:
            await rule.released.wait()
        if request.path == "/events" and (rule is None or rule.fault is not Fault.FAIL):
            return await self._serve_events(request, rule, reader, writer)
        return await self._serve_answer(request, rule, writer)

    async def _serve_answer(
        self, request: Request, rule: Rule | None, writer: asyncio.StreamWriter
    ) -> bool:
        if rule is not None and rule.fault is Fault.FAIL:
            answer = Answer.error(rule.status, rule.message)
        else:
            answer = answer_to(self, request)
        if rule is not None and rule.fault is Fault.STALE:
            await asyncio.sleep(rule.seconds)
        head, body = answer.encode()
        is_cut = rule is not None and rule.fault is Fault.CUT
        is_head = request.method == "HEAD"
        writer.write(
            head + (b"" if is_head else body[: len(body) // 2 if is_cut else None])
        )
        await writer.drain()
        return not is_cut

    async def _serve_events(
        self,
        request: Request,
        rule: Rule | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        try:
            filters = Filters.parse(request.query.get("filters", ""), EVENT_FILTERS)
        except BadFilterError as error:
            writer.write(b"".join(Answer.error(400, str(error)).encode()))
            return True
        writer.write(stream_head())
        stream = Stream(lambda line: writer.write(chunk(line)), filters)
        if rule is not None and rule.fault is Fault.CUT:
            stream.end(is_clean=False)
        await self._follow(stream, request, reader)
        if stream.is_clean:
            writer.write(LAST_CHUNK)
        return stream.is_clean

    async def _follow(
        self, stream: Stream, request: Request, reader: asyncio.StreamReader
    ) -> None:
        since, until = request.query.get("since"), request.query.get("until")
        until_nano = _nano(until) if until else None
        # No await between the replay and joining: no event can fall in between.
        if since:
            self.events.replay(stream, _nano(since), until_nano)
        self.events.join(stream)
        left = None if until_nano is None else (until_nano - self.clock.now_ns()) / 1e9
        gone = asyncio.create_task(reader.read(1))
        over = asyncio.create_task(stream.over.wait())
        try:
            await asyncio.wait(
                {gone, over}, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self.events.streams.discard(stream)
            for task in (gone, over):
                task.cancel()
            await asyncio.gather(gone, over, return_exceptions=True)


def _nano(text: str) -> int:
    """Read seconds with an optional fraction, exactly to the nanosecond."""
    return int(Decimal(text) * 1_000_000_000)
