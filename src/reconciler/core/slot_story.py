"""Who lives in one slot, and why it is in its state: every fact, with its evidence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.core.model import (
    AdminState,
    Agent,
    Change,
    Endpoint,
    Kept,
    Rotation,
    Server,
    Tenant,
)
from reconciler.core.tried import Step, failed
from reconciler.core.view import DOWN, FREE, Reading, is_held, state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPart:
    """One slot of one HAProxy, and what is known of it."""

    haproxy: str
    server: Server
    tenant: Tenant | None
    """Who has its address, by Docker."""
    endpoint: Endpoint | None
    """Who should be there, by Docker."""
    reading: Reading
    changes: Sequence[Change] = ()
    """What the next pass would do to this slot."""
    kept: Kept | None = None
    """Why its tenant keeps it though nobody asks for it, None where it does not."""
    is_docker_known: bool = True
    age_seconds: int | None = None

    @property
    def state(self) -> str:
        """Its state in one word."""
        return state_of(self.server, self.reading)

    @property
    def who(self) -> str:
        """Its tenant for people."""
        return self.tenant.container if self.tenant else "nobody known"


def slot_steps(part: SlotPart) -> list[Step]:
    """Return what is so of a slot, and what the next pass would do to it."""
    steps = [_address_step(part), _tenant_step(part), *_kept_steps(part)]
    steps.append(_admin_step(part))
    steps += [_weight_step(part), _check_step(part), *_session_steps(part)]
    return [*steps, _next_step(part)]


def slot_verdict(part: SlotPart) -> str:
    """Return in one line who lives in a slot and why it is in its state, with the mend."""
    said, mend = _said(part)
    age = "" if part.age_seconds is None else f" for {_span(part.age_seconds)}"
    arrow = f" → {mend}" if mend else ""
    return f"{part.state}{age}: {said}{arrow}"


def _span(seconds: int) -> str:
    """Return a time span in its largest fitting unit, and at least two of it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _said(part: SlotPart) -> tuple[str, str]:
    """Return why a slot is in its state, and what to do about it."""
    server, endpoint = part.server, part.endpoint
    if by_others := _said_of_others_doing(part):
        return by_others
    if part.kept is not None:
        return f"{part.who} keeps it, though {part.kept.why}", part.kept.mend
    if endpoint is None and part.is_docker_known:
        return "nobody desired lives here", _DAEMON
    if endpoint is not None and endpoint.rotation is not Rotation.READY:
        return _said_of_leaving(part, endpoint)
    if server.admin is not AdminState.READY:
        return f"{part.who} is out of rotation by the reconciler's own hand", _DAEMON
    return _said_of_ready(part)


def _said_of_others_doing(part: SlotPart) -> tuple[str, str] | None:
    """Return what is to be said of a slot that is free, or held by others than us."""
    server = part.server
    state = server.admin.value
    if part.state == FREE:
        return "nobody lives here", ""
    if is_held(server):
        held = f"an operator put {part.who} in {state}"
        return held, f"`reconciler ready {server.ref}` ends it"
    if _is_out_by_agent(server):
        return f"its agent, or an operator, put {part.who} in {state}", ""
    return None


def _is_out_by_agent(server: Server) -> bool:
    is_out = server.admin is not AdminState.READY and not server.is_free
    return is_out and server.agent is Agent.ACTIVE


def _said_of_leaving(part: SlotPart, endpoint: Endpoint) -> tuple[str, str]:
    if endpoint.rotation is Rotation.START:
        return f"{part.who} is about to start", ""
    if endpoint.rotation is Rotation.STOP:
        return f"the stop signal of {part.who} was sent: its sessions may end", ""
    mend = "it is ready again when its HEALTHCHECK passes"
    return f"docker calls {part.who} unhealthy", mend


def _said_of_ready(part: SlotPart) -> tuple[str, str]:
    if part.state == DOWN:
        check = f" ({part.reading.check})" if part.reading.check else ""
        mend = f"see what {part.who} serves at {_place(part.server)}"
        return f"HAProxy's check of {part.who} does not pass{check}", mend
    weight = part.server.weight
    if weight == 0:
        return f"{part.who} lives here and gets nothing, at weight 0", ""
    return f"{part.who} lives here, weight {weight}", ""


_DAEMON = "the next pass mends it (is the daemon running?)"


def _place(server: Server) -> str:
    return f"{server.address} port {server.port}"


def _address_step(part: SlotPart) -> Step:
    server = part.server
    if server.is_free:
        evidence = f"{server.address}, a placeholder: nobody lives here"
        return Step(rule="address", passes=False, evidence=evidence)
    return Step(rule="address", passes=True, evidence=_place(server))


def _tenant_step(part: SlotPart) -> Step:
    tenant = part.tenant
    if part.server.is_free:
        return Step(rule="tenant", passes=False, evidence="none")
    if tenant is not None:
        evidence = f"{tenant.container} ({tenant.container_id[:12]})"
        return Step(rule="tenant", passes=True, evidence=evidence)
    if not part.is_docker_known:
        return failed("tenant", "not known, docker cannot be read", "see the error")
    why = "no running container of docker's has this address"
    return Step(rule="tenant", passes=False, evidence=why)


def _kept_steps(part: SlotPart) -> Iterator[Step]:
    if part.kept is not None:
        why = f"it keeps its slot, though {part.kept.why}"
        yield failed("endpoint", why, part.kept.mend)


def _admin_step(part: SlotPart) -> Step:
    server = part.server
    state = server.admin.value
    if server.admin is AdminState.READY or server.is_free:
        is_ready = server.admin is AdminState.READY
        return Step(rule="admin state", passes=is_ready, evidence=state)
    if is_held(server):
        why = f"{state}, and its weight was kept: an operator's hold"
        return failed("admin state", why, f"reconciler ready {server.ref}")
    if _is_out_by_agent(server):
        evidence = f"{state}, by its agent's word or an operator's"
        return Step(rule="admin state", passes=False, evidence=evidence)
    mark = "weight 0" if server.agent is Agent.NONE else "a silenced agent"
    evidence = f"{state} with {mark}, the reconciler's own mark"
    return Step(rule="admin state", passes=False, evidence=evidence)


def _weight_step(part: SlotPart) -> Step:
    server, endpoint = part.server, part.endpoint
    where = f"its server-template line says {server.initial_weight}"
    if server.agent is not Agent.NONE:
        where += ", and its agent decides"
    elif endpoint is not None and endpoint.weight is not None:
        where = f"the container's label says {endpoint.weight}"
    evidence = f"{server.weight} ({where})"
    passes = server.weight > 0 or server.is_free or server.agent is Agent.ACTIVE
    return Step(rule="weight", passes=passes, evidence=evidence)


def _check_step(part: SlotPart) -> Step:
    server, reading = part.server, part.reading
    if not server.has_check:
        return Step(rule="check", passes=True, evidence="none on its line")
    if server.admin is AdminState.MAINT:
        return Step(rule="check", passes=True, evidence="none in maint")
    is_up = server.is_up if reading.is_up is None else reading.is_up
    evidence = (
        f"{'passes' if is_up else 'does not pass'} ({reading.check or 'no result'})"
    )
    return Step(rule="check", passes=is_up, evidence=evidence)


def _session_steps(part: SlotPart) -> Iterator[Step]:
    sessions = part.reading.sessions
    if sessions is not None:
        yield Step(rule="sessions", passes=True, evidence=f"{sessions} open")


def _next_step(part: SlotPart) -> Step:
    if not part.is_docker_known:
        return failed("next pass", "not known, docker cannot be read", "see the error")
    if not part.changes:
        return Step(rule="next pass", passes=True, evidence="leaves it as it is")
    listed = "; ".join(f"{one.kind}: {one.reason}" for one in part.changes)
    return failed("next pass", listed, "is the daemon running?")
