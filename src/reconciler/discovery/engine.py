"""Docker's HTTP API through docker-py's low-level client, kept in threads.

Only GET requests leave here: ``/version`` (docker-py negotiates), ``/containers/json``,
``/containers/{id}/json``, ``/events`` and ``/info``. That is the allow-list for a socket
proxy. docker-py blocks, so every call runs in a thread of a small pool; a client is not
safe to share between threads, so each thread has its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, NotFound
from docker.transport import UnixHTTPAdapter
from docker.utils import kwargs_from_env

from reconciler.core.model import Container
from reconciler.discovery.inspect import (
    EVENT_FILTERS,
    EngineEvent,
    Json,
    clock_from_info,
    container_from_inspect,
    container_from_list,
    event_from,
)
from reconciler.errors import (
    DiscoveryError,
    DockerUnavailableError,
    quoted,
)


T = TypeVar("T")

_asked = logging.getLogger("reconciler.asked")

DEFAULT_TIMEOUT_SECONDS = 20.0
"""For one answer. A list of 10,000 containers takes a busy engine seconds."""

USUAL_SOCKET = "unix:///var/run/docker.sock"
"""Where docker-py looks when nobody tells it."""

INSPECT_THREADS = 4
"""An inspect takes about 2 ms, most of it in Python: more threads only fight for the GIL."""


class Engine:
    """One Docker engine. Every method raises DockerUnavailableError when it cannot answer."""

    def __init__(
        self, url: str | None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        """``url`` as in DOCKER_HOST; None takes the environment's, else the usual socket."""
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._pool = ThreadPoolExecutor(INSPECT_THREADS, thread_name_prefix="docker")
        self._local = threading.local()
        self._api_version = "auto"

    @property
    def name(self) -> str:
        """The engine as the operator wrote it, or as docker-py finds it; no credentials."""
        return _named(self._written)

    @property
    def _written(self) -> str:
        return self._url or os.environ.get("DOCKER_HOST") or USUAL_SOCKET

    async def containers(self) -> list[Container]:
        """Return all running containers, in one request."""

        def read(client: docker.APIClient) -> list[Container]:
            return [container_from_list(entry) for entry in _listed(client)]

        return await self._call(read, "GET /containers/json")

    async def container(self, container_id: str) -> Container | None:
        """Return one container by id or name, None where there is no such container."""

        def read(client: docker.APIClient) -> Container | None:
            document = _inspected(client, container_id)
            return None if document is None else container_from_inspect(document)

        return await self._call(read, f"GET /containers/{container_id}/json")

    async def version(self) -> dict[str, Any]:
        """Return ``GET /version``."""
        return await self._call(lambda client: client.version(), "GET /version")

    async def now(self) -> float:
        """Return the engine's own clock in Unix seconds; ours where it does not tell it."""
        told = await self._call(
            lambda client: clock_from_info(client.info()), "GET /info"
        )
        return told or time.time()

    async def events(self, *, since: float) -> EventStream:
        """Subscribe to the events from ``since`` (Unix seconds) on.

        When this returns, the engine has answered: no later event is missed.
        """
        client = await self._call(lambda _: self._new_client(timeout=None))
        return await self._call(
            lambda _: EventStream(client, since=since, engine=self),
            "GET /events, to follow",
        )

    async def past_events(self, *, since: float, until: float) -> list[EngineEvent]:
        """Return what the engine still remembers between two moments (Unix seconds).

        ``until`` in the future would have the engine wait for it.
        """

        def read(client: docker.APIClient) -> list[EngineEvent]:
            # docker-py's events() waits for ever for an engine that says nothing.
            answer = client.get(
                f"{client.base_url}/v{client.api_version}/events",
                params={
                    "since": f"{since:.9f}",
                    "until": f"{until:.9f}",
                    "filters": json.dumps(EVENT_FILTERS),
                },
                timeout=self._timeout_seconds,
            )
            answer.raise_for_status()
            events = map(_event_of_line, answer.content.splitlines())
            return [event for event in events if event is not None]

        return await self._call(read, "GET /events")

    async def aclose(self) -> None:
        """Give the threads up."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _call(
        self, read: Callable[[docker.APIClient], T], request: str = ""
    ) -> T:
        """Read something in a thread. ``request`` is what is said of it to who asks."""
        loop = asyncio.get_running_loop()
        began, end = time.perf_counter(), "failed after "
        try:
            answer = await loop.run_in_executor(self._pool, self._in_thread, read)
            end = ""
        finally:
            if request:
                late = (time.perf_counter() - began) * 1000
                _asked.debug(
                    "asked docker at %s: %s (%s%.1f ms)", self.name, request, end, late
                )
        return answer

    def _in_thread(self, read: Callable[[docker.APIClient], T]) -> T:
        with self.translated_errors():
            try:
                client: docker.APIClient = self._local.client
            except AttributeError:
                client = self._local.client = self._new_client(self._timeout_seconds)
            return read(client)

    def _new_client(self, timeout: float | None) -> docker.APIClient:
        # kwargs_from_env reads DOCKER_HOST and the TLS variables, as the docker CLI does.
        arguments = kwargs_from_env()
        if self._url is not None:
            arguments["base_url"] = self._url
        client = docker.APIClient(
            version=self._api_version,
            timeout=timeout,  # type: ignore[arg-type] # None is forever: requests
            **arguments,
        )
        # Negotiated once: an engine takes 10 ms and more to say its version.
        self._api_version = client.api_version
        return client

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Turn what docker-py and requests raise into DockerUnavailableError."""
        try:
            yield
        except DockerUnavailableError:
            self._api_version = "auto"  # it may come back as another engine
            raise
        except APIError as error:
            raise DockerUnavailableError(
                f"docker at {self.name} refused: {self._quoted(error.explanation or error)}"
            ) from error
        except _FAULTS as error:
            self._api_version = "auto"
            raise DockerUnavailableError(
                f"docker at {self.name} cannot be reached: {self._quoted(error)}; "
                f"{_mend(error)}"
            ) from error

    def _quoted(self, error: object) -> str:
        """Quote an error that may quote the engine's URL, or parts of it."""
        text = str(error).replace(self._written, self.name)
        for part in _secrets(self._written):
            text = text.replace(part, "***")
        return quoted(text)


_ENDS = re.compile(r"[:/@?#]+")
_PATHS = ("unix://", "npipe://", "fd://", "/")
_SHORTEST_SECRET = 3
"""Shorter parts would be found in every other word."""


def _split(url: str) -> tuple[str, str, str]:
    """Return what stands before, in and behind a URL's user and password."""
    if url.startswith(_PATHS) or "@" not in url:
        return "", "", url
    scheme, separator, rest = url.partition("://")
    start = f"{scheme}{separator}" if separator else ""
    # Up to the last @, however oddly a password is written.
    user_info, _, host = (rest if separator else url).rpartition("@")
    return start, user_info, host


def _named(url: str) -> str:
    """Return an engine's URL without credentials."""
    start, user_info, host = _split(url)
    return f"{start}***@{host}" if user_info else url


def _secrets(url: str) -> list[str]:
    """Return the parts of a URL's credentials, as a parser may take them for others."""
    _, user_info, _ = _split(url)
    return [one for one in _ENDS.split(user_info) if len(one) >= _SHORTEST_SECRET]


_FAULTS = (
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
)
"""What docker-py and what is below it raise when there is no good answer."""


def _inspected(client: docker.APIClient, container_id: str) -> Json | None:
    """Return ``GET /containers/{id}/json``, None where there is no such container."""
    answer = _answer_of(client, f"/containers/{quote(container_id, safe='')}/json")
    if answer is None:
        try:
            return dict(client.inspect_container(container_id))
        except NotFound:
            return None
    if answer.status == HTTPStatus.NOT_FOUND:
        return None
    if answer.status != HTTPStatus.OK:
        raise DockerUnavailableError(
            f"docker refused to describe container {quoted(container_id)}: "
            f"status {answer.status}, {quoted(answer.data.decode(errors='replace'))}"
        )
    document: Json = json.loads(answer.data)
    return document


def _listed(client: docker.APIClient) -> list[Json]:
    """Return ``GET /containers/json``: all running containers."""
    answer = _answer_of(client, "/containers/json")
    if answer is None:
        return list(client.containers())
    if answer.status != HTTPStatus.OK:
        raise APIError(f"status {answer.status}", explanation=_message(answer.data))
    listed: list[Json] = json.loads(answer.data)
    return listed


def _message(body: bytes) -> str:
    """Return the engine's own words of a refusal."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["message"])
    return body.decode(errors="replace")


def _answer_of(client: docker.APIClient, path: str) -> urllib3.BaseHTTPResponse | None:
    """GET a path on docker-py's own connections; None where those are on no unix socket.

    docker-py makes a connection and a whole ``requests`` call for each container, which
    takes longer than the engine's answer does, and it takes a long answer to pieces. An
    inspect stands between an event and its effect, and a list may have 10,000 entries, so on
    a unix socket docker-py's own connection pool is asked directly: the same socket and no
    library more (docs/decisions/0013).
    """
    adapter = client.get_adapter(client.base_url)
    if not isinstance(adapter, UnixHTTPAdapter):
        return None
    pool = adapter.get_connection(client.base_url)
    return pool.urlopen(
        "GET", f"/v{client.api_version}{path}", retries=False, timeout=client.timeout
    )


def _event_of_line(line: bytes) -> EngineEvent | None:
    """Return the event of one line of ``GET /events``, None for what is unreadable."""
    with suppress(DiscoveryError, ValueError):
        document = json.loads(line)
        return event_from(document) if isinstance(document, dict) else None
    return None


def _mend(error: BaseException) -> str:
    text = str(error)
    if "Permission denied" in text:
        return "add this user to the group that owns the socket"
    if "No such file" in text or "FileNotFound" in text:
        return "mount the folder of its socket here, or correct --docker"
    if "refused" in text.lower():
        return "is the engine running?"
    return "check --docker, DOCKER_HOST and the engine"


class EventStream:
    """An open subscription. Ends (returns) when the engine goes or :meth:`close` is called.

    docker-py turns a broken stream into a normal end. So the end says nothing but: subscribe
    again, and read everything again.
    """

    def __init__(
        self, client: docker.APIClient, *, since: float, engine: Engine
    ) -> None:
        self._client = client
        self._engine = engine
        self._stream = client.events(
            since=int(since), filters=dict(EVENT_FILTERS), decode=True
        )

    def pump(self, receive: Callable[[EngineEvent], object]) -> None:
        """Call ``receive`` for each event, in this thread, until the stream ends.

        An event that cannot be read is left to the next resync. Raises DockerUnavailableError where docker-py does not hide the fault.
        """
        with self._engine.translated_errors():
            for document in self._stream:
                event = None
                with suppress(DiscoveryError):
                    event = event_from(document)
                if event is not None:
                    receive(event)

    def close(self) -> None:
        """End the subscription from any thread. :meth:`pump` returns soon after."""
        with suppress(Exception):  # half of a broken socket may fail in many ways
            self._stream.close()
        with suppress(Exception):
            self._client.close()
