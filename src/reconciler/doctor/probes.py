"""What ``check`` asks beyond what every command reads. Changes nothing, waits for little.

To see whether a socket may change servers, it names a server that does not exist.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp

from reconciler.config import Settings
from reconciler.core.cfg_facts import Facts
from reconciler.core.model import Container
from reconciler.discovery.engine import Engine
from reconciler.doctor.evidence import (
    DaemonReading,
    DockerReading,
    ProxyReading,
    SocketFile,
)
from reconciler.errors import DiscoveryError, NoSuchServerError, RuntimeSocketError
from reconciler.haproxy.address import Address
from reconciler.haproxy.client import RuntimeClient
from reconciler.haproxy.commands import show_servers_state
from reconciler.haproxy.replies import check_places
from reconciler.haproxy.tls import Tls
from reconciler.inquiry import ProxyWorld


_SOCKET_SECONDS = 1.0
_DAEMON_SECONDS = 2.0
_NOBODY = "reconciler-check"
"""The name of a container, and of a backend, that nobody has."""
_PATIENTS = 20
"""How many containers whose health check is starting are inspected."""
_BUILD = re.compile(r'^reconciler_build_info\{[^}]*version="([^"]*)"', re.MULTILINE)
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, never bound


def socket_file(
    path: str, mountinfo: Path = Path("/proc/self/mountinfo")
) -> SocketFile:
    """Look at a unix socket and open it for a moment."""
    error = _open_error(path)
    group = mode = None
    try:
        seen = Path(path).stat()
        group, mode = seen.st_gid, seen.st_mode & 0o777
    except OSError:
        pass
    return SocketFile(
        path=path,
        error=error,
        group=group,
        mode=mode,
        is_mounted=_is_mount_point(path, mountinfo),
    )


def _open_error(path: str) -> int | None:
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(_SOCKET_SECONDS)
        try:
            one.connect(path)
        except (TimeoutError, BlockingIOError):
            return None  # its backlog is full: somebody listens
        except OSError as error:
            return error.errno
    return None


def _is_mount_point(path: str, mountinfo: Path) -> bool:
    try:
        lines = mountinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return os.path.realpath(path) in {line.split()[4] for line in lines if line}


def path_of(docker: str) -> str | None:
    """Return the path of an engine's unix socket, None where it is reached otherwise."""
    scheme, _, rest = docker.partition("://")
    return f"/{rest.lstrip('/')}" if scheme in {"unix", "http+unix"} else None


async def read_docker(
    settings: Settings, waiting: Iterable[Container], *, timeout_seconds: float
) -> DockerReading:
    """Ask the engine every request that the daemon will make.

    ``waiting`` are containers whose health check is starting.
    """
    engine = Engine(settings.docker, timeout_seconds=timeout_seconds)
    path = path_of(engine.name)
    seen = await asyncio.to_thread(socket_file, path) if path else None
    if seen is not None and seen.error is not None:
        await engine.aclose()
        return DockerReading(name=engine.name, socket=seen)
    try:
        version = await engine.version()
    except DiscoveryError as error:
        refusals = {"/version": _why(error)}
        return DockerReading(name=engine.name, socket=seen, refusals=refusals)
    else:
        refusals = await _refusals(engine)
        return DockerReading(
            name=engine.name,
            socket=seen,
            version=str(version.get("Version") or ""),
            api_version=str(version.get("ApiVersion") or ""),
            refusals=refusals,
            started=await _running_for(engine, waiting),
        )
    finally:
        await engine.aclose()


async def _refusals(engine: Engine) -> dict[str, str]:
    found = {}
    now = 0.0
    try:
        now = await engine.now()
    except DiscoveryError as error:
        found["/info"] = _why(error)
    try:
        # Up to a moment that is over, so the engine answers at once.
        await engine.past_events(since=now - 1, until=now)
    except DiscoveryError as error:
        found["/events"] = _why(error)
    try:
        await engine.container(_NOBODY)
    except DiscoveryError as error:
        found["/containers/{id}/json"] = _why(error)
    return found


async def _running_for(
    engine: Engine, waiting: Iterable[Container]
) -> dict[str, float]:
    found = {}
    try:
        now = await engine.now()
        for one in list(waiting)[:_PATIENTS]:
            seen = await engine.container(one.id)
            if seen is not None and seen.started:
                found[one.id] = now - seen.started
    except DiscoveryError:
        pass  # it is told elsewhere that the engine does not answer this
    return found


def _why(error: DiscoveryError) -> str:
    cause = error.__cause__
    return str(getattr(cause, "explanation", None) or cause or error)


async def read_proxy(
    world: ProxyWorld,
    tls: Tls,
    *,
    timeout_seconds: float,
    variables: Iterable[str] = (),
) -> ProxyReading:
    """Ask one HAProxy what only ``check`` wants to know.

    ``variables`` are those of its environment that its configuration names.
    """
    path = Address.parse(world.name).path
    seen = await asyncio.to_thread(socket_file, path) if path else None
    if world.observed is None:
        return ProxyReading(world=world, socket=seen)
    client = RuntimeClient(world.name, timeout_seconds=timeout_seconds, tls=tls)
    try:
        return ProxyReading(
            world=world,
            socket=seen,
            values=(await client.show_info()).values,
            stats=tuple(await client.show_stat()),
            level=(await client.ask("show cli level")).text.strip(),
            refusal=await _refusal(client),
            check_places=check_places(await client.ask(show_servers_state())),
            facts=await _facts(client, world.observed.process.version, variables),
        )
    except RuntimeSocketError as error:
        return ProxyReading(world=world, socket=seen, refusal=error)
    finally:
        await client.aclose()


async def _refusal(client: RuntimeClient) -> RuntimeSocketError | None:
    try:
        await client.ask(f"set server {_NOBODY}/none state ready")
    except NoSuchServerError:
        return None
    except RuntimeSocketError as error:
        return error
    return None


async def _facts(
    client: RuntimeClient, version: str, variables: Iterable[str]
) -> Facts:
    try:
        return await client.facts(variables)
    except RuntimeSocketError:
        return Facts(version=version)


async def read_daemon(listen: tuple[str, int] | None) -> DaemonReading | None:
    """Ask the daemon on this machine how it is; None with ``--listen off``."""
    if listen is None:
        return None
    host, port = _ANY_ADDRESS.get(listen[0], listen[0]), listen[1]
    shown = f"[{host}]" if ":" in host else host
    place = f"http://{shown}:{port}"
    try:
        async with asyncio.timeout(_DAEMON_SECONDS), aiohttp.ClientSession() as session:
            async with session.get(f"{place}/readyz") as answer:
                detail = await answer.json(content_type=None)
            async with session.get(f"{place}/metrics") as answer:
                version = _BUILD.search(await answer.text())
        return _daemon(place, detail, version[1] if version else "")
    except aiohttp.ClientConnectorError as error:
        return DaemonReading(place=place, error=str(error.strerror or error).lower())
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, LookupError):
        return DaemonReading(place=place, error="no daemon of ours", is_there=True)


def _daemon(place: str, detail: dict[str, Any], version: str) -> DaemonReading:
    """Read ``/readyz``. Raises LookupError or ValueError where it is not ours."""
    if not isinstance(detail, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of "not ours"
    engine_error = detail["docker"]["error"]
    troubles = [f"docker: {engine_error}"] if engine_error else []
    troubles += [
        f"{one['haproxy']}: {one['error'] or 'not converged'}"
        for one in detail["haproxy"]
        if (one["error"] or not one["converged"]) and not one.get("leaving")
    ]
    troubles += detail.get("problems", [])
    return DaemonReading(
        place=place,
        is_there=True,
        version=version,
        is_ready=bool(detail["ready"]),
        troubles=tuple(troubles),
        haproxies=tuple(one["haproxy"] for one in detail["haproxy"]),
        leaving=tuple(
            one["haproxy"] for one in detail["haproxy"] if one.get("leaving")
        ),
    )
