"""The planner: (desired, observed) in, the ordered actions that close the gap out.

It is pure, total and deterministic, and keeps these promises:

*Stable.* An endpoint that has a slot keeps it, whatever the input order.
*Never ready at a wrong address.* A slot's address changes only in maint with weight 0, and
nothing is made ready before HAProxy has reported the new address back.
*Every prefix is safe.* Stop after any action, plan again, and the rest comes out. Weight 0
is what makes that possible with no state of our own: whatever *we* take out of rotation has
weight 0, what an operator took out keeps its weight. So the weight goes to 0 before anything
else happens to a slot, and is the last thing to come back.
*Nobody is evicted.* Too few slots leaves the youngest endpoints unplaced; no more.
*Whoever is about to start takes nothing from anybody.* It gets a free slot that is left over,
and gives it back to one that runs.

Phases, each answered before the next is sent::

    out       weight 0, then maint (releases, take-overs) or drain (stopping, unhealthy);
              sessions that outlived their drain time
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

from reconciler.core.model import (
    RELEASED_ADDRESS,
    Action,
    AdminState,
    Cause,
    Change,
    ConfirmAddress,
    Desired,
    Endpoint,
    Observed,
    Plan,
    Rotation,
    Server,
    ServerRef,
    SetAddress,
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
    draft = _Draft(terms=terms)
    for backend, servers in sorted(observed.backends.items()):
        slots = slots_of(servers.values(), rules.slot_prefix)
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

    terms: Terms
    released: list[Action] = field(default_factory=list)
    drained: list[Action] = field(default_factory=list)
    placed: list[Action] = field(default_factory=list)
    vacated: list[Action] = field(default_factory=list)
    confirmed: list[Action] = field(default_factory=list)
    admitted: list[Action] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    unplaced: list[Unplaced] = field(default_factory=list)
    wants_connections: set[str] = field(default_factory=set)
    due: dict[str, float] = field(default_factory=dict)

    def finished(self, also_unplaced: Sequence[Unplaced]) -> Plan:
        phases = (
            (*self.released, *self.drained),
            (*self.placed, *self.vacated, *self.confirmed),
            tuple(self.admitted),
        )
        return Plan(
            phases=phases if any(phases) else (),
            changes=tuple(self.changes),
            unplaced=(*also_unplaced, *self.unplaced),
            wants_connections=frozenset(self.wants_connections),
            due=self.due,
        )

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
    kept, strays, waiting = _matched(slots, endpoints)
    newcomers = [e for e in waiting if e.rotation is Rotation.READY]
    leaving = [pair for pair in kept if pair[1].rotation is not Rotation.READY]
    free = [slot for slot in slots if slot.is_free]
    found = openings(free, strays, leaving, draft.terms)
    taken = {slot.ref for slot in found.slots[: len(newcomers)]}
    for slot, endpoint in kept:
        if slot.ref not in taken:
            _keep(draft, slot, endpoint)
    displaced = {slot.ref: endpoint for slot, endpoint in leaving if slot.ref in taken}
    for slot, endpoint in zip(found.slots, newcomers, strict=False):
        _assign(draft, slot, endpoint, displaced.get(slot.ref))
    left = [slot for slot in strays if slot.ref not in taken]
    homeless = []
    for endpoint in displaced.values():
        # It may live twice; then the other slot is its home, as after a crash half-way.
        place = (endpoint.address, endpoint.port)
        homes = [slot for slot in left if (slot.address, slot.port) == place]
        if homes:
            home = min(homes, key=_keeper_rank)
            left.remove(home)
            _keep(draft, home, endpoint)
        else:
            homeless.append(endpoint)
    taken |= _prepared(draft, _spare(found, taken, left), waiting)
    for slot in left:
        if slot.ref not in taken:
            _release(draft, slot)
    left_out = newcomers[len(found.slots) :]
    if left_out and found.is_unknown:
        draft.wants_connections.add(backend)
    draft.unplaced += [
        _without_slot(endpoint, len(slots), found, draft.terms) for endpoint in left_out
    ]
    draft.unplaced += [
        _leaving_unplaced(e) for e in (*waiting, *homeless) if not e.rotation.may_come
    ]


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


def _matched(
    slots: Sequence[Server], endpoints: Iterable[Endpoint]
) -> tuple[list[tuple[Server, Endpoint]], list[Server], list[Endpoint]]:
    """Pair endpoints with the slots they live in.

    Returns the pairs, the occupied slots that nobody desires (strays; duplicates are
    among them) in numeric order, and the endpoints without a slot, longest waiting first.
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
            home = min(tenants[place], key=_keeper_rank)
            kept[home.ref] = (home, endpoint)
    pairs = [kept[slot.ref] for slot in slots if slot.ref in kept]
    strays = [s for s in slots if s.ref not in kept and not s.is_free]
    waiting = [e for place, e in distinct.items() if place not in tenants]
    return pairs, strays, waiting


def _seniority(endpoint: Endpoint) -> tuple[bool, float, str, str, int]:
    return (
        endpoint.rotation is Rotation.START,
        endpoint.since,
        endpoint.tenant.container_id,
        endpoint.address,
        endpoint.port,
    )


_STATE_RANK = {AdminState.READY: 0, AdminState.DRAIN: 1, AdminState.MAINT: 2}


def _keeper_rank(slot: Server) -> tuple[int, bool, int]:
    """Order the slots of one endpoint: sessions first, then in rotation, then the lowest.

    The sort is stable over slots in numeric order, which settles what is left.
    """
    return (-(slot.connections or 0), slot.weight == 0, _STATE_RANK[slot.admin])


def _keep(draft: _Draft, slot: Server, endpoint: Endpoint) -> None:
    """Bring a slot that already has its endpoint into the right state and weight."""
    is_ours = slot.weight == 0
    if endpoint.rotation is Rotation.START:
        is_drained = slot.admin is AdminState.DRAIN and is_ours
        if slot.admin is AdminState.READY or is_drained:
            # A former life's, at the same address.
            _take_out(draft.released, slot, AdminState.MAINT)
            draft.note("prepare", slot, endpoint, _STARTING)
    elif endpoint.rotation is not Rotation.READY:
        _keep_out(draft, slot, endpoint)
    elif slot.admin is not AdminState.READY and is_ours:
        kind = "finish" if slot.admin is AdminState.MAINT else "ready"
        if slot.admin is AdminState.MAINT:
            draft.confirmed.append(
                ConfirmAddress(slot.ref, endpoint.address, endpoint.port)
            )
        is_down = slot.admin is AdminState.DRAIN and not slot.is_up
        _admit(draft, slot, endpoint, is_down=is_down)
        draft.note(kind, slot, endpoint, "it was out of rotation by our own hand")
    elif slot.admin is AdminState.READY and slot.weight != _weight(slot, endpoint):
        if is_ours and slot.is_up:
            _start_down(draft, slot, endpoint)
        draft.admitted.append(SetWeight(slot.ref, _weight(slot, endpoint)))
        draft.note("weight", slot, endpoint, f"its weight was {slot.weight}")


def _keep_out(draft: _Draft, slot: Server, endpoint: Endpoint) -> None:
    """Let a stopping or unhealthy endpoint's sessions end, in the slot it has.

    A slot that an operator took out (it kept its weight) is out already, by their terms.
    """
    if slot.admin is AdminState.READY:
        _take_out(draft.drained, slot, AdminState.DRAIN)
        draft.note("drain", slot, endpoint, _why_out(endpoint))
    elif slot.weight > 0:
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
    draft: _Draft, slot: Server, endpoint: Endpoint, displaced: Endpoint | None
) -> None:
    """Give a free slot, or one whose tenant has gone or is out, to an endpoint.

    A free slot is out of rotation already, so its weight needs no phase of its own.
    """
    if displaced is not None and displaced.drain_shutdown and slot.connections != 0:
        _shut_down(draft, slot, displaced)
    _take_over(draft, slot, endpoint, displaced)
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
        _take_over(draft, slot, endpoint)
        draft.note("prepare", slot, endpoint, _STARTING)
        given.add(slot.ref)
    return given


def _take_over(
    draft: _Draft, slot: Server, endpoint: Endpoint, displaced: Endpoint | None = None
) -> None:
    """Out of rotation with whoever had the slot, and the new tenant's address into it."""
    _take_out(draft.placed if slot.is_free else draft.released, slot, AdminState.MAINT)
    if displaced is not None:
        draft.note("release", slot, None, f"{_why_out(displaced)}, and another waits")
    elif not slot.is_free:
        draft.note("release", slot, None, "its endpoint has gone")
    draft.placed.append(SetAddress(slot.ref, endpoint.address, endpoint.port))
    draft.confirmed.append(
        ConfirmAddress(slot.ref, endpoint.address, endpoint.port, before=slot.address)
    )


def _release(draft: _Draft, slot: Server) -> None:
    """Empty a slot whose endpoint is not desired (any more)."""
    _take_out(draft.released, slot, AdminState.MAINT)
    if not is_placeholder(slot.address):
        draft.vacated.append(SetAddress(slot.ref, RELEASED_ADDRESS, None))
        draft.confirmed.append(ConfirmAddress(slot.ref, RELEASED_ADDRESS, None))
    draft.note("release", slot, None, "its endpoint has gone")


def _take_out(actions: list[Action], slot: Server, state: AdminState) -> None:
    if slot.weight != 0:
        actions.append(SetWeight(slot.ref, 0))
    if slot.admin is not state:
        actions.append(SetState(slot.ref, state))


def _admit(
    draft: _Draft, slot: Server, endpoint: Endpoint, *, is_down: bool = False
) -> None:
    """Ready at weight 0 first, weight last: a crash in between is recognised as ours.

    ``is_down`` says that HAProxy's check has the server down already. Weight 0 may also be
    what the label asks for: then there is no traffic to guard.
    """
    draft.admitted.append(SetState(slot.ref, AdminState.READY))
    weight = slot.initial_weight if endpoint.weight is None else endpoint.weight
    if weight != 0:
        if not is_down:
            _start_down(draft, slot, endpoint)
        draft.admitted.append(SetWeight(slot.ref, weight))


def _start_down(draft: _Draft, slot: Server, endpoint: Endpoint) -> None:
    """Let HAProxy's check pass before the first request.

    Without this a checked server is up the moment it is ready. ``init-state``
    does the same since 3.1, but no command tells whether the operator wrote it.
    """
    if slot.has_check and not endpoint.is_healthy:
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
