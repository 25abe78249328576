"""The planner: (desired, observed) in, the ordered actions that close the gap out.

It is pure, total and deterministic, and keeps these promises:

*Stable.* An endpoint that has a slot keeps it, whatever the input order.
*Never ready at a wrong address.* A slot's address changes only in maint with weight 0, and
nothing is made ready before HAProxy has reported the new address back.
*Every prefix is safe.* Stop after any action, plan again, and the rest comes out. Weight 0
is what makes that possible with no state of our own: whatever *we* take out of rotation has
weight 0, what an operator took out keeps its weight. So the weight goes to 0 before anything
else happens to a slot, and is the last thing to come back. Where a server has an agent, which
owns the weight, that sign is the silence of the agent.
*Nobody is evicted.* Too few slots leaves the youngest endpoints unplaced; no more. And whose
container runs on is released only as far as ``core.keeping`` says.
*Out means out.* Who stops or is unhealthy goes to maint and not to drain, in which HAProxy goes
on sending it the clients that stick to it (docs/decisions/0036).
*Whoever is about to start takes nothing from anybody.* It gets a free slot that is left over,
and gives it back to one that runs.

Phases, each answered before the next is sent::

    out       weight 0, then maint (releases, take-overs, stopping, unhealthy); sessions that
              outlived their drain time
    address   new tenants first, placeholders of released slots after them; then read back
              every address that was set
    in        ready, (health down,) weight

New tenants come before placeholders so that an interrupted plan never finds a freshly
emptied slot more attractive than the one it had chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from reconciler.core.keeping import (
    GONE,
    MAX_RELEASE,
    Parting,
    Tenancy,
    keeper_rank,
    settle,
)
from reconciler.core.model import (
    UNKNOWN_PORT,
    Action,
    AdminState,
    Agent,
    Cause,
    Change,
    ConfirmAddress,
    Desired,
    Endpoint,
    Kept,
    Observed,
    Plan,
    Residents,
    Rotation,
    Server,
    ServerRef,
    SetAddress,
    SetAgent,
    SetHealthDown,
    SetState,
    SetWeight,
    ShutdownSessions,
    Unplaced,
    is_placeholder,
)
from reconciler.core.openings import Openings, Terms, openings, out_since


DRAIN_SECONDS = 30.0
"""The default drain time. Docker's own stop takes 10 s before it kills, so sessions mostly
end with their container and this is for slow clients and longer stop time-outs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the planner must know of the set-up and of this HAProxy's version."""

    slot_prefix: str = "slot"
    reuse_needs_idle: bool = False
    """A connection that is busy while its slot changes its tenant is pooled afterwards and
    reused for the old container (docs/decisions/0009): only an idle slot is given away."""
    drain_seconds: float = DRAIN_SECONDS
    """How long a slot whose tenant is out is kept for the tenant's sessions."""
    trusts_healthcheck: bool = False
    """Docker's HEALTHCHECK is enough to let a newcomer in: HAProxy's own check need not pass
    first (docs/decisions/0037)."""
    max_release: float = MAX_RELEASE
    """What part of a backend's ready slots may be released, 0 to 1, where their containers
    run on and only a change on our own side explains it (docs/decisions/0035)."""


_UNHEALTHY = (
    "docker's HEALTHCHECK calls it unhealthy",
    "it gets a slot once it is healthy",
)
_STARTING = "it is about to start"
_STOPPING = (
    "its stop signal was sent",
    "it gets a slot again if it outlives its stop time-out",
)


@lru_cache(maxsize=1 << 17)
def slot_number(name: str, prefix: str) -> int | None:
    """Return N of a slot's name ``PREFIX`` + N, or None for any server that is no slot."""
    digits = name.removeprefix(prefix)
    if digits == name or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)


def slots_of(servers: Iterable[Server], prefix: str) -> list[Server]:
    """Return the managed servers among some, in numeric order."""
    numbered = [(slot_number(s.ref.server, prefix), s) for s in servers]
    managed = [(number, s) for number, s in numbered if number is not None]
    return [s for _, s in sorted(managed, key=lambda pair: (pair[0], pair[1].ref))]


def backends_with_slots(
    tables: Mapping[str, Mapping[str, Server]], prefix: str
) -> frozenset[str]:
    """Return the backends that have at least one slot."""
    return frozenset(
        backend
        for backend, servers in tables.items()
        if any(slot_number(name, prefix) is not None for name in servers)
    )


def free_ports(
    tables: Mapping[str, Mapping[str, Server]], prefix: str
) -> dict[str, frozenset[int]]:
    """Return the ports that the free slots of each backend have, without *none*.

    A free slot has the port of its template: it never had a tenant, or got it back.
    """
    found: dict[str, frozenset[int]] = {}
    for backend, servers in tables.items():
        slots = slots_of(servers.values(), prefix)
        ports = frozenset(slot.port for slot in slots if slot.is_free)
        if slots:
            found[backend] = ports - {UNKNOWN_PORT}
    return found


def agreed(ports: Mapping[str, frozenset[int]]) -> dict[str, int]:
    """Return the ports on which all agree."""
    return {name: min(found) for name, found in ports.items() if len(found) == 1}


def plan(
    desired: Desired, observed: Observed, rules: Rules, *, now: float | None = None
) -> Plan:
    """Return what brings ``observed`` to ``desired``.

    Only backends that ``observed`` contains are planned for: what was not read is left
    alone. ``desired.unplaced`` is passed through, joined by the endpoints that find no slot.
    ``now`` is in seconds on the clock of ``observed``; with None no drain time is ever over.
    """
    terms = Terms(
        drain_seconds=rules.drain_seconds, needs_idle=rules.reuse_needs_idle, now=now
    )
    draft = _Draft(rules=rules, terms=terms, residents=desired.residents)
    for backend, servers in sorted(observed.backends.items()):
        slots = slots_of(servers.values(), rules.slot_prefix)
        draft.template_port = observed.template_ports.get(backend, UNKNOWN_PORT)
        draft.is_part = backend in observed.parts
        _plan_backend(draft, backend, slots, desired.endpoints.get(backend, ()))
    return draft.finished(desired.unplaced)


def parts_of(whole: Plan, most: int) -> list[Plan]:
    """Return a plan as plans for at most so many slots each, to be carried out in turn.

    Slots do not depend on each other, so any of them may be left out.
    """
    refs = list(dict.fromkeys(change.ref for change in whole.changes))
    if len(refs) <= most:
        return [whole]
    part_of = {ref: number // most for number, ref in enumerate(refs)}
    count = (len(refs) - 1) // most + 1
    changes: list[list[Change]] = [[] for _ in range(count)]
    for change in whole.changes:
        changes[part_of[change.ref]].append(change)
    phases: list[list[list[Action]]] = [
        [[] for _ in whole.phases] for _ in range(count)
    ]
    for number, phase in enumerate(whole.phases):
        for action in phase:
            phases[part_of[action.ref]][number].append(action)
    return [
        replace(
            whole,
            phases=tuple(map(tuple, phases[number])),
            changes=tuple(changes[number]),
        )
        for number in range(count)
    ]


@dataclass(slots=True, kw_only=True)
class _Draft:
    """The plan while it is being written."""

    rules: Rules
    terms: Terms
    residents: Residents
    template_port: int = UNKNOWN_PORT
    """That of the backend which is planned for."""
    is_part: bool = False
    """Whether only some servers of that backend are known here."""
    released: list[Action] = field(default_factory=list)
    drained: list[Action] = field(default_factory=list)
    placed: list[Action] = field(default_factory=list)
    vacated: list[Action] = field(default_factory=list)
    confirmed: list[Action] = field(default_factory=list)
    admitted: list[Action] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    unplaced: list[Unplaced] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    wants_whole: set[str] = field(default_factory=set)
    wants_connections: set[str] = field(default_factory=set)
    due: dict[str, float] = field(default_factory=dict)

    def finished(self, also_unplaced: Sequence[Unplaced]) -> Plan:
        """Return it as it is now."""
        phases = (
            (*self.released, *self.drained),
            (*self.placed, *self.vacated, *self.confirmed),
            tuple(self.admitted),
        )
        return Plan(
            phases=phases if any(phases) else (),
            changes=tuple(self.changes),
            unplaced=(*self._of_others(also_unplaced), *self.unplaced),
            kept=tuple(self.kept),
            wants_whole=frozenset(self.wants_whole),
            wants_connections=frozenset(self.wants_connections),
            due=self.due,
        )

    def _of_others(self, unplaced: Sequence[Unplaced]) -> Sequence[Unplaced]:
        """Leave out who keeps a slot: it misses none."""
        if not self.kept:
            return unplaced
        kept = {(k.ref.backend, k.endpoint.tenant.container_id) for k in self.kept}
        return [u for u in unplaced if (u.backend, u.tenant.container_id) not in kept]

    def make_room(self, backend: str, displaced: Collection[ServerRef]) -> None:
        """Slots are taken from who leaves: of all of these, from who is out the longest."""
        if displaced and self.is_part:
            self.wants_whole.add(backend)

    def note(
        self, kind: str, slot: Server, endpoint: Endpoint | None, reason: str
    ) -> None:
        """Add the line for people that goes with what was just planned."""
        address = slot.address if endpoint is None else endpoint.address
        port = slot.port if endpoint is None else endpoint.port
        tenant = None if endpoint is None else endpoint.tenant
        self.changes.append(Change(kind, slot.ref, address, port, tenant, reason))


def _plan_backend(
    draft: _Draft,
    backend: str,
    slots: Sequence[Server],
    endpoints: Iterable[Endpoint],
) -> None:
    if draft.terms.needs_idle:
        # A slot would have to be seen idle first, at the cost of a reading.
        endpoints = [e for e in endpoints if e.rotation is not Rotation.START]
    tenancy = _matched(slots, endpoints)
    free = [slot for slot in slots if slot.is_free]
    _settle(draft, backend, tenancy, free)
    kept, strays, waiting = tenancy.kept, tenancy.strays, tenancy.waiting
    newcomers = [e for e in waiting if e.rotation is Rotation.READY]
    leaving = [pair for pair in kept if pair[1].rotation is not Rotation.READY]
    found = openings(free, strays, leaving, draft.terms)
    taken = {slot.ref for slot in found.slots[: len(newcomers)]}
    for slot, endpoint in kept:
        if slot.ref not in taken:
            _keep(draft, slot, endpoint)
    displaced = {slot.ref: endpoint for slot, endpoint in leaving if slot.ref in taken}
    draft.make_room(backend, displaced)
    for slot, endpoint in zip(found.slots, newcomers, strict=False):
        why = tenancy.partings.get(slot.ref, Parting()).why
        _assign(draft, slot, endpoint, displaced.get(slot.ref), why)
    left = [slot for slot in strays if slot.ref not in taken]
    homeless = []
    for endpoint in displaced.values():
        # It may live twice; then the other slot is its home, as after a crash half-way.
        place = (endpoint.address, endpoint.port)
        homes = [slot for slot in left if (slot.address, slot.port) == place]
        if homes:
            home = min(homes, key=keeper_rank)
            left.remove(home)
            _keep(draft, home, endpoint)
        else:
            homeless.append(endpoint)
    taken |= _prepared(draft, _spare(found, taken, left), waiting)
    for slot in left:
        if slot.ref not in taken:
            _release(draft, slot, tenancy.partings.get(slot.ref, Parting()))
    _silence(draft, (slot for slot in free if slot.ref not in taken))
    left_out = newcomers[len(found.slots) :]
    if left_out and found.is_unknown:
        draft.wants_connections.add(backend)
    draft.unplaced += [
        _without_slot(endpoint, len(slots), found, draft.terms) for endpoint in left_out
    ]
    draft.kept += [one for one in tenancy.told if one.ref not in taken]
    # Whoever only kept its slot is told of by its own claim.
    told = {one.endpoint.key for one in tenancy.told}
    homeless = [endpoint for endpoint in homeless if endpoint.key not in told]
    draft.unplaced += [
        _leaving_unplaced(e) for e in (*waiting, *homeless) if not e.rotation.may_come
    ]


def _settle(
    draft: _Draft, backend: str, tenancy: Tenancy, free: Sequence[Server]
) -> None:
    """Let stay whose container runs on, as far as the rules say."""
    settle(
        tenancy,
        free,
        draft.residents,
        draft.terms,
        max_release=draft.rules.max_release,
        is_part=draft.is_part,
    )
    if tenancy.wants_whole:
        draft.wants_whole.add(backend)


def _spare(
    found: Openings, taken: Collection[ServerRef], strays: Collection[Server]
) -> list[Server]:
    """Return the open slots that are left over: free ones, and those that nobody desires."""
    unused = {slot.ref for slot in strays}
    return [
        slot
        for slot in found.slots
        if slot.ref not in taken and (slot.is_free or slot.ref in unused)
    ]


def _matched(slots: Sequence[Server], endpoints: Iterable[Endpoint]) -> Tenancy:
    """Pair endpoints with the slots they live in.

    Strays are the occupied slots that nobody desires (duplicates are among them), in numeric
    order.
    """
    tenants: defaultdict[tuple[str, int], list[Server]] = defaultdict(list)
    for slot in slots:
        if not is_placeholder(slot.address):
            tenants[slot.address, slot.port].append(slot)
    distinct: dict[tuple[str, int], Endpoint] = {}
    for endpoint in sorted(endpoints, key=_seniority):
        distinct.setdefault((endpoint.address, endpoint.port), endpoint)
    kept: dict[ServerRef, tuple[Server, Endpoint]] = {}
    for place, endpoint in distinct.items():
        if place in tenants:
            home = min(tenants[place], key=keeper_rank)
            kept[home.ref] = (home, endpoint)
    pairs = [kept[slot.ref] for slot in slots if slot.ref in kept]
    strays = [s for s in slots if s.ref not in kept and not s.is_free]
    waiting = [e for place, e in distinct.items() if place not in tenants]
    return Tenancy(kept=pairs, strays=strays, waiting=waiting)


def _seniority(endpoint: Endpoint) -> tuple[bool, float, str, str, int]:
    return (
        endpoint.rotation is Rotation.START,
        endpoint.since,
        endpoint.tenant.container_id,
        endpoint.address,
        endpoint.port,
    )


def _keep(draft: _Draft, slot: Server, endpoint: Endpoint) -> None:
    """Bring a slot that already has its endpoint into the right state and weight."""
    if endpoint.rotation is Rotation.START:
        is_drained = slot.admin is AdminState.DRAIN and slot.is_signed
        if slot.admin is AdminState.READY or is_drained:
            # A former life's, at the same address.
            _take_out(draft.released, slot)
            draft.note("prepare", slot, endpoint, _STARTING)
    elif endpoint.rotation is not Rotation.READY:
        _keep_out(draft, slot, endpoint)
    elif slot.admin is not AdminState.READY and slot.is_signed:
        kind = "finish" if slot.admin is AdminState.MAINT else "ready"
        if slot.admin is AdminState.MAINT:
            draft.confirmed.append(
                ConfirmAddress(slot.ref, endpoint.address, endpoint.port)
            )
        is_down = slot.admin is AdminState.DRAIN and not slot.is_up
        _admit(draft, slot, endpoint, is_down=is_down)
        draft.note(kind, slot, endpoint, "it was out of rotation by our own hand")
    elif slot.admin is AdminState.READY:
        _keep_weight(draft, slot, endpoint)


def _keep_weight(draft: _Draft, slot: Server, endpoint: Endpoint) -> None:
    """Give a slot in rotation its weight, or its agent the say about it."""
    is_unfinished = slot.is_signed
    if slot.agent is Agent.NONE and slot.weight == _weight(slot, endpoint):
        return
    if slot.agent is Agent.ACTIVE:
        return  # the weight is the agent's
    if is_unfinished and slot.is_up:
        _start_down(draft, slot, endpoint)
    if slot.agent is Agent.SILENCED:
        draft.admitted.append(SetAgent(slot.ref, is_enabled=True))
        draft.note("ready", slot, endpoint, "its agent was silenced by our own hand")
    else:
        draft.admitted.append(SetWeight(slot.ref, _weight(slot, endpoint)))
        draft.note("weight", slot, endpoint, f"its weight was {slot.weight}")


def _keep_out(draft: _Draft, slot: Server, endpoint: Endpoint) -> None:
    """Let a stopping or unhealthy endpoint's sessions end, in the slot it has.

    A slot that an operator took out (it kept its weight) is out already, by their terms. But
    a drain of theirs lets clients in that stick to it, and nobody may come to one that stops:
    it goes to maint, and stays theirs.
    """
    if slot.admin is AdminState.READY or (
        slot.admin is AdminState.DRAIN and slot.is_signed
    ):
        was_ready = slot.admin is AdminState.READY
        _take_out(draft.drained, slot)
        why = _why_out(endpoint) if was_ready else "clients stick to it in drain"
        draft.note("drain", slot, endpoint, why)
    elif not slot.is_signed:
        if slot.admin is AdminState.DRAIN and endpoint.rotation is Rotation.STOP:
            draft.drained.append(SetState(slot.ref, AdminState.MAINT))
            draft.note("drain", slot, endpoint, _why_out(endpoint))
        return
    if endpoint.drain_shutdown:
        _end_sessions(draft, slot, endpoint)


def _why_out(endpoint: Endpoint) -> str:
    if endpoint.rotation is Rotation.START:
        return "it did not start yet"
    if endpoint.rotation is Rotation.STOP:
        return "its stop signal was sent"
    return "docker calls it unhealthy"


def _end_sessions(draft: _Draft, slot: Server, endpoint: Endpoint) -> None:
    """Shut down what is left when the drain time is over; else say when that will be."""
    since, backend = out_since(slot), slot.ref.backend
    if since is None and slot.admin is AdminState.READY:
        since = draft.terms.now  # it goes out of rotation with this plan
    seconds = endpoint.drain_seconds
    if draft.terms.is_over(slot, seconds):
        if slot.connections is None:
            draft.wants_connections.add(backend)
        elif slot.connections:
            _shut_down(draft, slot, endpoint)
    elif since is not None:
        at = since + (draft.terms.drain_seconds if seconds is None else seconds)
        draft.due[backend] = min(at, draft.due.get(backend, at))


def _shut_down(draft: _Draft, slot: Server, endpoint: Endpoint) -> None:
    draft.drained.append(ShutdownSessions(slot.ref))
    draft.note("shutdown", slot, endpoint, "they outlived its drain time")


def _weight(slot: Server, endpoint: Endpoint) -> int:
    """Return the weight a kept slot should have: the label's, else whatever it has.

    Without a label a weight above 0 is left as it is: an operator may have set it.
    """
    if endpoint.weight is not None:
        return endpoint.weight
    return slot.weight or slot.initial_weight


def _assign(
    draft: _Draft,
    slot: Server,
    endpoint: Endpoint,
    displaced: Endpoint | None,
    why_released: str,
) -> None:
    """Give a free slot, or one whose tenant has gone or is out, to an endpoint.

    A free slot is out of rotation already, so its weight needs no phase of its own.
    """
    if displaced is not None and displaced.drain_shutdown and slot.connections != 0:
        _shut_down(draft, slot, displaced)
    _take_over(draft, slot, endpoint, displaced, why_released)
    _admit(draft, slot, endpoint)
    draft.note("assign", slot, endpoint, "a new endpoint")


def _prepared(
    draft: _Draft, spare: Iterable[Server], waiting: Iterable[Endpoint]
) -> set[ServerRef]:
    """Give slots the addresses of endpoints that are about to start, and no more.

    They look like assignments that are not finished yet, and are finished or undone as such.
    Returns the slots.
    """
    starting = [e for e in waiting if e.rotation is Rotation.START]
    given = set()
    for slot, endpoint in zip(spare, starting, strict=False):
        _take_over(draft, slot, endpoint, None, GONE)
        draft.note("prepare", slot, endpoint, _STARTING)
        given.add(slot.ref)
    return given


def _take_over(
    draft: _Draft,
    slot: Server,
    endpoint: Endpoint,
    displaced: Endpoint | None,
    why_released: str,
) -> None:
    """Out of rotation with whoever had the slot, and the new tenant's address into it."""
    _take_out(draft.placed if slot.is_free else draft.released, slot)
    if displaced is not None:
        draft.note("release", slot, None, f"{_why_out(displaced)}, and another waits")
    elif not slot.is_free:
        draft.note("release", slot, None, why_released)
    draft.placed.append(SetAddress(slot.ref, endpoint.address, endpoint.port))
    draft.confirmed.append(
        ConfirmAddress(slot.ref, endpoint.address, endpoint.port, before=slot.address)
    )


def _release(draft: _Draft, slot: Server, parting: Parting) -> None:
    """Empty a slot whose endpoint is not desired (any more).

    With the placeholder its template's port comes back: so free slots tell what it is.
    """
    _take_out(draft.released, slot)
    if not is_placeholder(slot.address):
        place = (parting.address, draft.template_port)
        draft.vacated.append(SetAddress(slot.ref, *place))
        draft.confirmed.append(ConfirmAddress(slot.ref, *place))
    draft.note("release", slot, None, parting.why)


def _silence(draft: _Draft, free: Iterable[Server]) -> None:
    """Have no agent asked for slots without a tenant: its *ready* would end the maint."""
    draft.released += [
        SetAgent(slot.ref, is_enabled=False)
        for slot in free
        if slot.agent is Agent.ACTIVE and slot.admin is AdminState.MAINT
    ]


def _take_out(actions: list[Action], slot: Server) -> None:
    """Our sign first, then maint: nobody is sent there any more, whoever sticks to it."""
    if slot.agent is Agent.ACTIVE:
        # It would set the weight again, and its *ready* would end the maint.
        actions.append(SetAgent(slot.ref, is_enabled=False))
    elif slot.agent is Agent.NONE and slot.weight != 0:
        actions.append(SetWeight(slot.ref, 0))
    if slot.admin is not AdminState.MAINT:
        actions.append(SetState(slot.ref, AdminState.MAINT))


def _admit(
    draft: _Draft, slot: Server, endpoint: Endpoint, *, is_down: bool = False
) -> None:
    """Ready at weight 0 first, weight last: a crash in between is recognised as ours.

    ``is_down`` says that HAProxy's check has the server down already. Weight 0 may also be
    what the label asks for: then there is no traffic to guard. With an agent it is the agent
    that is heard last, and the weight is the line's until it says another.
    """
    if slot.agent is not Agent.NONE:
        if slot.weight != slot.initial_weight:
            draft.admitted.append(SetWeight(slot.ref, slot.initial_weight))
        draft.admitted.append(SetState(slot.ref, AdminState.READY))
        if not is_down:
            _start_down(draft, slot, endpoint)
        draft.admitted.append(SetAgent(slot.ref, is_enabled=True))
        return
    draft.admitted.append(SetState(slot.ref, AdminState.READY))
    weight = slot.initial_weight if endpoint.weight is None else endpoint.weight
    if weight != 0:
        if not is_down:
            _start_down(draft, slot, endpoint)
        draft.admitted.append(SetWeight(slot.ref, weight))


def _start_down(draft: _Draft, slot: Server, endpoint: Endpoint) -> None:
    """Let HAProxy's check pass before the first request.

    Without this a checked server is up the moment it is ready. ``init-state``
    does the same since 3.1, but no command tells whether the operator wrote it. Docker's
    HEALTHCHECK asks something else, perhaps: it counts as well, and never instead, but
    where an option says so.
    """
    is_trusted = endpoint.is_healthy and draft.rules.trusts_healthcheck
    if slot.has_check and not is_trusted:
        draft.admitted.append(SetHealthDown(slot.ref))


def _without_slot(
    endpoint: Endpoint, slots: int, found: Openings, terms: Terms
) -> Unplaced:
    where = f"backend {endpoint.backend}"
    raise_count = f"raise the count on its server-template line ({slots} now)"
    if found.busy and terms.needs_idle:
        cause = Cause.SLOT_BUSY
        why = (
            f"{found.busy} of the {slots} slots of {where} still have connections of a "
            "former tenant, which this HAProxy version would mix up"
        )
        mend = "it waits until they close"
    elif found.busy:
        cause = Cause.SLOT_BUSY
        why = f"{found.busy} of the {slots} slots of {where} are draining"
        mend = (
            "it gets the first whose sessions end or whose drain time is over; to wait for "
            f"none, {raise_count}"
        )
    else:
        cause = Cause.NO_SLOT
        why = f"all {slots} slots of {where} are taken"
        mend = (
            "raise the count on its server-template line and restart or reload HAProxy"
        )
    return endpoint.unplaced(cause, why, mend=mend)


def _leaving_unplaced(endpoint: Endpoint) -> Unplaced:
    if endpoint.rotation is Rotation.STOP:
        why, mend = _STOPPING
        return endpoint.unplaced(Cause.STOPPING, why, mend=mend)
    why, mend = _UNHEALTHY
    return endpoint.unplaced(Cause.UNHEALTHY, why, mend=mend)
