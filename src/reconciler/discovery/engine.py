"""One Docker engine: found and spoken to by docker-py, and asked directly where it matters.

Only GET requests leave here: ``/version`` (docker-py negotiates), ``/containers/json``,
``/containers/{id}/json``, ``/networks/{id}``, ``/events`` and ``/info``; and on a Swarm's
manager ``/tasks``, ``/services`` and ``/nodes``. That is the allow-list for a socket proxy.

On a unix socket, what stands between an event and its effect is asked on the event loop
(``unix_http``, docs/decisions/0023). All else is docker-py's, which blocks: it runs in the
threads of a small pool, each with a client of its own, as a client is not safe to share.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException
from docker.transport import UnixHTTPAdapter
from docker.utils import kwargs_from_env

from reconciler.core.membership import IMAGE, Maker
from reconciler.core.model import Container
from reconciler.discovery.inspect import (
    EVENT_FILTERS,
    EngineEvent,
    addresses_on_network,
    clock_from_info,
    container_from_inspect,
    container_from_list,
    event_from,
    event_of_line,
)
from reconciler.discovery.json_elements import CONTAINERS_AGE, JsonElements
from reconciler.discovery.naming import named, secrets
from reconciler.discovery.streams import (
    EventStream,
    IsIdle,
    ThreadedEvents,
    UnixEvents,
    nothing_is_idle,
)
from reconciler.discovery.swarm_json import (
    SWARM_EVENT_FILTERS,
    Role,
    SwarmEvent,
    role_from_info,
    swarm_event_from,
)
from reconciler.discovery.unix_http import Answer, HttpError, UnixHttp
from reconciler.errors import DockerUnavailableError, quoted


T = TypeVar("T")

_asked_log = logging.getLogger("reconciler.asked")

DEFAULT_TIMEOUT_SECONDS = 20.0
"""For one answer. A list of 10,000 containers takes a busy engine seconds."""

USUAL_SOCKET = "unix:///var/run/docker.sock"
"""Where docker-py looks when nobody tells it."""

DOCKER_THREADS = 4
"""For what goes through docker-py. More threads would only fight for the GIL."""

ENTRIES_AT_ONCE = 100
"""So many entries of a list are read in one go: 2 to 3 ms. Then the loop may turn."""


MOST_ANSWERING = 4096
"""Of so many that may be copies it is remembered what an inspect said."""


class Engine:
    """One Docker engine. Every method raises DockerUnavailableError when it cannot answer."""

    def __init__(
        self,
        url: str | None,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        keep: Collection[str] = (),
    ) -> None:
        """``url`` as in DOCKER_HOST; None takes the environment's, else the usual socket."""
        self.keep = keep
        """Labels that count beside those that always do."""
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._pool = ThreadPoolExecutor(DOCKER_THREADS, thread_name_prefix="docker")
        self._local = threading.local()
        self._api_version = "auto"
        self._unix: UnixHttp | None = None
        self._is_routed = False
        self._listed: Mapping[bytes, Container] = {}
        """Who was in the last whole list, by the text that said so."""
        self._answering: dict[str, bool] = {}
        """Which of those that may be copies some network knows by their service's name."""

    @property
    def name(self) -> str:
        """The engine as the operator wrote it, or as docker-py finds it; no credentials."""
        return named(self._written)

    @property
    def _written(self) -> str:
        return self._url or os.environ.get("DOCKER_HOST") or USUAL_SOCKET

    async def containers(self) -> list[Container]:
        """Return all running containers, in one request."""
        return [one async for part in self.listed() for one in part]

    async def listed(self) -> AsyncGenerator[list[Container]]:
        """Yield all running containers, in one request, some at a time.

        The loop turns between two parts, and the whole answer is never in memory.
        """
        elements = JsonElements(self._from_list, self._listed, blur=CONTAINERS_AGE)
        with _Asking(self, "GET /containers/json"):
            async for part in self._list("/containers/json", elements):
                yield await self._settled(part)
        self._listed = elements.remembered
        if len(self._answering) > MOST_ANSWERING:
            self._answering.clear()

    async def containers_of(self, ids: Collection[str]) -> dict[str, Container]:
        """Return those of some containers that the engine lists as running, by id.

        A list may be a moment behind the events. Who is missing may run all the same.
        """
        filters = _ID_FILTER % "%2C".join(f"%22{quote(id_, safe='')}%22" for id_ in ids)
        with _Asking(self, f"GET /containers/json of {len(ids)} containers"):
            elements = JsonElements(self._from_list)
            parts = self._list(f"/containers/json?filters={filters}", elements)
            return {
                one.id: one async for part in parts for one in await self._settled(part)
            }

    async def container(self, container_id: str) -> Container | None:
        """Return one container by id or name, None where there is no such container."""
        path = f"/containers/{quote(container_id, safe='')}/json"
        with _Asking(self, f"GET /containers/{container_id}/json"):
            answer = await self._get(path)
            if _says_absent(answer):
                return None
            if answer.status != HTTPStatus.OK:
                raise DockerUnavailableError(
                    f"docker refused to describe container {quoted(container_id)}: status "
                    f"{answer.status}, {quoted(answer.body.decode(errors='replace'))}"
                )
            found = container_from_inspect(json.loads(answer.body), self.keep)
            if IMAGE in found.labels:
                self._answering[found.id] = found.answers_to_service
            return found

    async def addresses_on(
        self, network_id: str, container_id: str
    ) -> tuple[str, str] | None:
        """Return the IPv4 and IPv6 address that a container has on a network.

        None where it has none there, or where the engine does not tell.
        """
        path = f"/networks/{quote(network_id, safe='')}"
        with _Asking(self, f"GET /networks/{network_id}"):
            answer = await self._get(path)
            if answer.status != HTTPStatus.OK:
                return None
            return addresses_on_network(json.loads(answer.body), container_id)

    async def _settled(self, part: list[Container]) -> list[Container]:
        """Return containers of a list, with what it does not tell of those that may be copies.

        They are few, and each is inspected once; whoever cannot be stays as it is.
        """
        for number, one in enumerate(part):
            if one.identity.maker is not Maker.COPY or IMAGE not in one.labels:
                continue
            if one.id not in self._answering:
                with suppress(DockerUnavailableError):
                    await self.container(one.id)
            answers = self._answering.get(one.id, False)
            part[number] = replace(one, answers_to_service=answers)
        return part

    def _from_list(self, entry: Mapping[str, Any]) -> Container:
        return container_from_list(entry, self.keep)

    async def list_of(self, path: str, elements: JsonElements[T]) -> list[T]:
        """Return what ``elements`` makes of each entry of a list, read some at a time."""
        with _Asking(self, f"GET {path}"):
            return [one async for part in self._list(path, elements) for one in part]

    async def _list(
        self, path: str, elements: JsonElements[T]
    ) -> AsyncGenerator[list[T]]:
        unix = await self._route()
        if unix is None:
            answer = await self._in_a_thread(lambda client: _asked(client, path))
            _require_ok(answer.status, answer.body)
            entries = await asyncio.to_thread(json.loads, answer.body)
            for start in range(0, len(entries), ENTRIES_AT_ONCE):
                part = entries[start : start + ENTRIES_AT_ONCE]
                yield [elements.read(entry) for entry in part]
                await asyncio.sleep(0)
            return
        refusal, status = b"", 0
        async for part in unix.get_parts(f"/v{self._api_version}{path}"):
            if isinstance(part, int):
                status = part
            elif status != HTTPStatus.OK:
                refusal += part
            else:
                elements.feed(part)
                while taken := elements.take(ENTRIES_AT_ONCE):
                    yield taken
                    await asyncio.sleep(0)
        _require_ok(status, refusal)
        elements.end()

    async def _get(self, path: str) -> Answer:
        unix = await self._route()
        if unix is None:
            return await self._in_a_thread(lambda client: _asked(client, path))
        return await unix.get(f"/v{self._api_version}{path}")

    async def _route(self) -> UnixHttp | None:
        """Return what asks a unix socket, None where docker-py has to; find out if need be."""
        if not self._is_routed:
            path = await self._in_a_thread(self._negotiated)
            if path is not None and self._unix is None:
                self._unix = UnixHttp(path, timeout_seconds=self._timeout_seconds)
            self._is_routed = True
        return self._unix

    def _negotiated(self, _: docker.APIClient) -> str | None:
        """Ask for the API's version anew; return the path of the unix socket, if it is one.

        Others go on asking by the version that was known until the new one is.
        """
        client = self._new_client(self._timeout_seconds, version="auto")
        try:
            return _unix_path(client)
        finally:
            client.close()

    async def version(self) -> dict[str, Any]:
        """Return ``GET /version``."""
        with _Asking(self, "GET /version"):
            return await self._in_a_thread(lambda client: client.version())

    async def now(self) -> float:
        """Return the engine's own clock in Unix seconds; ours where it does not tell it."""
        with _Asking(self, "GET /info"):
            told = await self._in_a_thread(
                lambda client: clock_from_info(client.info())
            )
        return told or time.time()

    async def role(self) -> Role:
        """Return what the engine is in a swarm, by ``GET /info``."""
        with _Asking(self, "GET /info"):
            answer = await self._get("/info")
            _require_ok(answer.status, answer.body)
            return role_from_info(json.loads(answer.body))

    async def events(
        self, *, since: float, is_idle: IsIdle = nothing_is_idle
    ) -> EventStream[EngineEvent]:
        """Subscribe to the events of containers from ``since`` (Unix seconds) on.

        When this returns, the engine has answered: no later event is missed. ``is_idle``
        may leave lines out that would not be acted upon.
        """
        return await self._follow(since, EVENT_FILTERS, event_from, is_idle)

    async def swarm_events(self) -> EventStream[SwarmEvent]:
        """Subscribe to the events of services and nodes, from now on."""
        return await self._follow(time.time(), SWARM_EVENT_FILTERS, swarm_event_from)

    async def _follow(
        self,
        since: float,
        filters: Mapping[str, list[str]],
        read: Callable[[Mapping[str, Any]], T | None],
        is_idle: IsIdle = nothing_is_idle,
    ) -> EventStream[T]:
        with _Asking(self, "GET /events, to follow"):
            unix = await self._route()
            if unix is None:
                client = await self._in_a_thread(lambda _: self._new_client(None))
                return await self._in_a_thread(
                    lambda _: ThreadedEvents(client, read, since=since, filters=filters)
                )
            status, stream = await unix.follow(
                f"/v{self._api_version}/events?since={int(since)}"
                f"&filters={_as_query(filters)}"
            )
            if status != HTTPStatus.OK:
                _require_ok(status, await stream.rest())
            return UnixEvents(stream, read, is_idle)

    async def past_events(self, *, since: float, until: float) -> list[EngineEvent]:
        """Return what the engine still remembers between two moments (Unix seconds).

        ``until`` in the future would have the engine wait for it.
        """
        span = f"since={since:.9f}&until={until:.9f}"
        with _Asking(self, "GET /events"):
            answer = await self._get(f"/events?{span}&filters={_FILTERS}")
            _require_ok(answer.status, answer.body)
            events = map(event_of_line, answer.body.splitlines())
            return [event for event in events if event is not None]

    async def aclose(self) -> None:
        """Give threads and connections up."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._unix is not None:
            self._unix.close()

    async def _in_a_thread(self, read: Callable[[docker.APIClient], T]) -> T:
        """Ask through docker-py, which blocks."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._in_thread, read)

    def _in_thread(self, read: Callable[[docker.APIClient], T]) -> T:
        try:
            client: docker.APIClient = self._local.client
        except AttributeError:
            client = self._local.client = self._new_client(self._timeout_seconds)
        return read(client)

    def _new_client(
        self, timeout: float | None, *, version: str | None = None
    ) -> docker.APIClient:
        # kwargs_from_env reads DOCKER_HOST and the TLS variables, as the docker CLI does.
        arguments = kwargs_from_env()
        if self._url is not None:
            arguments["base_url"] = self._url
        client = docker.APIClient(
            version=version or self._api_version,
            timeout=timeout,  # type: ignore[arg-type] # None is forever: requests
            **arguments,
        )
        # Negotiated once: an engine takes 10 ms and more to say its version.
        self._api_version = client.api_version
        return client

    def translated(self, error: Exception) -> DockerUnavailableError | None:
        """Return what docker-py, requests and our own client raise as our own error.

        None for what is no word of an engine's, but a mistake of ours.
        """
        if isinstance(error, DockerUnavailableError):
            self._is_routed = False  # it may come back as another engine
            return error
        if isinstance(error, APIError):
            return DockerUnavailableError(
                f"docker at {self.name} refused: {self._quoted(error.explanation or error)}"
            )
        if isinstance(error, _FAULTS):
            self._is_routed = False
            return DockerUnavailableError(
                f"docker at {self.name} cannot be reached: {self._quoted(error)}; "
                f"{_mend(error)}"
            )
        return None

    def _quoted(self, error: object) -> str:
        """Quote an error that may quote the engine's URL, or parts of it."""
        text = str(error).replace(self._written, self.name)
        for part in secrets(self._written):
            text = text.replace(part, "***")
        return quoted(text)


class _Asking:
    """Says of a request how long it took, and turns what fails into our own error.

    No generator: an event waits for what is inside.
    """

    __slots__ = ("_began", "_engine", "_request")

    def __init__(self, engine: Engine, request: str) -> None:
        self._engine = engine
        self._request = request

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Raises DockerUnavailableError for what an engine's silence or refusal raised."""
        if _asked_log.isEnabledFor(logging.DEBUG):
            _asked_log.debug(
                "asked docker at %s: %s (%s%.1f ms)",
                self._engine.name,
                self._request,
                "" if error is None else "failed after ",
                (time.perf_counter() - self._began) * 1000,
            )
        if isinstance(error, Exception):
            told = self._engine.translated(error)
            if told is not None and told is not error:
                raise told from error


_FAULTS = (
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
    HttpError,
)
"""What docker-py and what is below it raise when there is no good answer."""


_ID_FILTER = "%%7B%%22id%%22%%3A%%5B%s%%5D%%7D"
"""``{"id":[…]}``: to quote a hundred ids as one text takes as long as to read two of them."""


def _as_query(filters: Mapping[str, list[str]]) -> str:
    return quote(json.dumps(filters, separators=(",", ":")))


_FILTERS = _as_query(EVENT_FILTERS)


def _unix_path(client: docker.APIClient) -> str | None:
    """Return the socket docker-py asks, None where it is no unix socket."""
    adapter = client.get_adapter(client.base_url)
    return adapter.socket_path if isinstance(adapter, UnixHTTPAdapter) else None


def _asked(client: docker.APIClient, path: str) -> Answer:
    """GET a path through docker-py: over TCP, TLS, SSH or a named pipe."""
    answer = client.get(
        f"{client.base_url}/v{client.api_version}{path}", timeout=client.timeout
    )
    return Answer(answer.status_code, answer.content)


def _says_absent(answer: Answer) -> bool:
    """Whether the engine knows no such container.

    It answers 404 for a path that it does not know as well, and that says nothing of anybody.
    """
    is_404 = answer.status == HTTPStatus.NOT_FOUND
    return is_404 and b"no such container" in answer.body.lower()


def _require_ok(status: int, body: bytes) -> None:
    if status != HTTPStatus.OK:
        raise APIError(f"status {status}", explanation=_message(body))


def _message(body: bytes) -> str:
    """Return the engine's own words of a refusal."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["message"])
    return body.decode(errors="replace")


def _mend(error: BaseException) -> str:
    text = str(error)
    if "Permission denied" in text:
        return "add this user to the group that owns the socket"
    if "No such file" in text or "FileNotFound" in text:
        return "mount the folder of its socket here, or correct --docker"
    if "refused" in text.lower():
        return "is the engine running?"
    return "check --docker, DOCKER_HOST and the engine"
