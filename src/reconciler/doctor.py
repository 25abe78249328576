"""``check``: everything between Docker and HAProxy, what works, and how to mend the rest."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.config import Settings
from reconciler.core.base_cfg import Template, templates
from reconciler.core.model import Cause
from reconciler.core.plan import slots_of
from reconciler.core.view import FREE, state_of
from reconciler.discovery.engine import Engine
from reconciler.errors import (
    ConfigError,
    DiscoveryError,
    NoSuchServerError,
    PermissionDeniedError,
    RuntimeSocketError,
    quoted,
)
from reconciler.haproxy.client import RuntimeClient
from reconciler.haproxy.versions import reuse_needs_idle
from reconciler.inquiry import ProxyWorld, World, read_world


_OLDEST = (2, 6, 0)


class Verdict(enum.Enum):
    """How bad a finding is. Only FAIL makes ``check`` exit 1."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: what it is, how it is, and how to mend it ('' where fine)."""

    verdict: Verdict
    thing: str
    text: str
    mend: str = ""


async def findings(settings: Settings) -> list[Finding]:
    """Look at everything and return what was found. Changes nothing."""
    try:
        world = await read_world(settings)
    except ConfigError as error:
        return [Finding(verdict=Verdict.FAIL, thing="settings", text=str(error))]
    found = list(_of_docker(world))
    if world.engine_error is None:
        found += await _of_engine(settings)
    for proxy in world.proxies:
        found += _of_proxy(proxy, settings)
        if proxy.observed is not None:
            found.append(await _of_level(proxy.name))
    found += _of_base_cfg(settings)
    found += _of_containers(world)
    return found


def _of_docker(world: World) -> Iterator[Finding]:
    if world.engine_error is not None:
        yield Finding(
            verdict=Verdict.FAIL, thing="docker", text=str(world.engine_error)
        )
        return
    count = len(world.claims.containers)
    yield Finding(
        verdict=Verdict.OK, thing="docker", text=f"answers; {count} running containers"
    )
    context = world.claims.context
    covered = "all projects"
    if context.projects is not None:
        covered = f"project {', '.join(sorted(context.projects))}"
    yield Finding(
        verdict=Verdict.OK, thing="projects", text=f"service names count in {covered}"
    )


async def _of_engine(settings: Settings) -> list[Finding]:
    """Find out the engine's version, and whether it lets us follow its events."""
    engine = Engine(settings.docker)
    try:
        version = await engine.version()
        stream = await engine.events(since=await engine.now())
        stream.close()
    except DiscoveryError as error:
        refused = Finding(
            verdict=Verdict.FAIL,
            thing="docker events",
            text=str(error),
            mend="allow GET on /version, /info and /events: the daemon waits until it may "
            "follow the events",
        )
        return [refused]
    finally:
        await engine.aclose()
    said = f"engine {version.get('Version')}, API {version.get('ApiVersion')}"
    return [
        Finding(verdict=Verdict.OK, thing="docker", text=said),
        Finding(verdict=Verdict.OK, thing="docker events", text="can be followed"),
    ]


def _of_proxy(proxy: ProxyWorld, settings: Settings) -> Iterator[Finding]:
    observed = proxy.observed
    if observed is None:
        yield Finding(verdict=Verdict.FAIL, thing=proxy.name, text=str(proxy.error))
        return
    process = observed.process
    said = f"haproxy {process.version}, pid {process.pid}"
    if process.release < _OLDEST:
        mend = "upgrade HAProxy: 2.6 is the oldest release that was tried"
        yield Finding(verdict=Verdict.WARN, thing=proxy.name, text=said, mend=mend)
    else:
        yield Finding(verdict=Verdict.OK, thing=proxy.name, text=said)
    if reuse_needs_idle(process.release):
        yield Finding(
            verdict=Verdict.NOTE,
            thing=proxy.name,
            text="this release may reuse a former tenant's connections, so a slot is "
            "given away only when it has none left",
            mend="a current 2.8, 3.0 or later needs no such wait",
        )
    yield from _of_slots(proxy, settings)


def _of_slots(proxy: ProxyWorld, settings: Settings) -> Iterator[Finding]:
    assert proxy.observed is not None  # noqa: S101 - the caller saw to it
    prefix = settings.slot_prefix
    with_slots = 0
    for backend, servers in proxy.observed.backends.items():
        slots = slots_of(servers.values(), prefix)
        if not slots:
            continue
        with_slots += 1
        free = sum(state_of(slot) == FREE for slot in slots)
        text = f"{len(slots)} slots, {free} free"
        verdict, mend = Verdict.OK, ""
        if free == 0:
            verdict = Verdict.WARN
            mend = "raise the count on the server-template line: no head-room is left"
        yield Finding(verdict=verdict, thing=f"backend {backend}", text=text, mend=mend)
    if not with_slots:
        yield Finding(
            verdict=Verdict.FAIL,
            thing=proxy.name,
            text=f"no backend has servers named {prefix}1, {prefix}2, …",
            mend=f"add `server-template {prefix} 1-32 127.255.255.1:PORT check disabled` "
            "to the backend, or correct --slot-prefix",
        )


async def _of_level(address: str) -> Finding:
    """Find out whether the socket may change servers, by naming one that is not there."""
    client = RuntimeClient(address)
    try:
        await client.ask("set server reconciler-check/none state ready")
    except NoSuchServerError:
        return Finding(
            verdict=Verdict.OK, thing=address, text="may change servers (level admin)"
        )
    except PermissionDeniedError as error:
        return Finding(
            verdict=Verdict.FAIL,
            thing=address,
            text=f"may not change servers: haproxy answered {quoted(error.reply)}",
            mend="write `level admin` on its `stats socket` line and restart HAProxy",
        )
    except RuntimeSocketError as error:
        return Finding(verdict=Verdict.FAIL, thing=address, text=str(error))
    finally:
        await client.aclose()
    return Finding(
        verdict=Verdict.WARN,
        thing=address,
        text="haproxy accepted a change of a server that should not exist",
    )


def _of_base_cfg(settings: Settings) -> Iterator[Finding]:
    if settings.base_cfg is None:
        return
    path = settings.base_cfg
    text = path.read_text(encoding="utf-8", errors="replace")
    managed = [t for t in templates(text) if t.prefix == settings.slot_prefix]
    if not managed:
        yield Finding(
            verdict=Verdict.FAIL,
            thing=str(path),
            text=f"has no server-template line with prefix {settings.slot_prefix}",
            mend="add one to each backend that is to be filled, or correct --slot-prefix",
        )
    for template in managed:
        yield from _of_template(f"{path}:{template.line_number}", template)


def _of_template(thing: str, template: Template) -> Iterator[Finding]:
    port = f"default port {template.port}" if template.port else "no default port"
    if "disabled" in template.words:
        text = f"backend {template.backend}, {port}"
        yield Finding(verdict=Verdict.OK, thing=thing, text=text)
    else:
        yield Finding(
            verdict=Verdict.FAIL,
            thing=thing,
            text=f"slots of backend {template.backend} start enabled at a placeholder",
            mend="write `disabled` on the line: a free slot must get no traffic",
        )
    if "resolvers" in template.words:
        yield Finding(
            verdict=Verdict.FAIL,
            thing=thing,
            text="`resolvers` also changes the addresses of these slots",
            mend="remove `resolvers` and the host name: use a placeholder address",
        )


def _of_containers(world: World) -> Iterator[Finding]:
    for _, one in world.unplaced():
        waits = one.cause in {
            Cause.STARTING,
            Cause.UNHEALTHY,
            Cause.STOPPING,
            Cause.SLOT_BUSY,
        }
        yield Finding(
            verdict=Verdict.NOTE if waits else Verdict.FAIL,
            thing=f"container {one.tenant.container}",
            text=one.reason,
        )
