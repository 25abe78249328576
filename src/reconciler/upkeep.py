"""What a pass does: read what has to be read, plan for what changed, carry it out.

Where all was in order after the last plan, an event can only concern the slots at its own
places, and the free slots that newcomers get. So only these are planned for, out of any
number. Whatever does not fit (too few slots, a refusal, something that another hand wrote) is
planned for with the whole backend; and every so often everything is.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from itertools import islice

from reconciler.alarms import Alarms
from reconciler.core.caution import sure_claims, sure_tables
from reconciler.core.check_kind import is_plain, is_plain_result
from reconciler.core.claims import ClaimTable
from reconciler.core.desired import Claim, desired_from
from reconciler.core.keeping import GONE
from reconciler.core.model import (
    ANY_PORT,
    Action,
    AdminState,
    Cause,
    Change,
    ConfirmAddress,
    Container,
    Endpoint,
    KeptFor,
    Observed,
    Place,
    Plan,
    Process,
    Rotation,
    Server,
    ServerRef,
    SetAddress,
    SetHealthDown,
    SetHealthUp,
    Unplaced,
)
from reconciler.core.plan import (
    Rules,
    agreed,
    backends_with_slots,
    parts_of,
    plan,
    slot_number,
)
from reconciler.core.slot_file import SlotFile
from reconciler.core.touched import Touched
from reconciler.mirror import Mirror
from reconciler.ports import Proxy
from reconciler.reconcile import Outcome, carry_out
from reconciler.status import Reporter, WorkerStatus


MOST_SLOTS = 4096
"""So many slots are written in one go. More of them wait for the next go of the pass, and
events get their turn in between."""

MOST_TOUCHED = 16384
"""Where more claims changed than this since the last pass, whole backends are planned for."""

LARGE = 1500
"""Slots and claims that are planned for on the loop: about 5 ms. More go to a thread, where
Python lets the loop in between."""

SMALL_BACKEND = 256
"""A backend of so many servers is read in whole once it was written to: that costs less than
half a millisecond, and shows what another reconciler did elsewhere in it."""

LOOKED_AT_OF, LOOKED_AT_LEAST = 16, 96
"""One in so many slots may be looked at by itself, but up to six of any number: looking at
more costs more than reading all connections of their backend."""

FEW = 4
"""So many slots are looked at before the plan says that it needs them read."""

LOOKED_FOR = 256
"""Among so many servers of a backend one is looked for whose check passes, after a change; with
a whole reading among all."""

MORE_FREE = 2
"""So many more free slots are looked at where the first of them might be busy. Those behind
them have been free for a shorter time yet."""

_TAKES_OUT = frozenset({"drain", "ready", "release", "shutdown"})
"""Kinds of changes that need a reading of this very moment: an operator, or another
reconciler, may have changed these slots since ours."""

_WAITS = frozenset({Cause.NO_SLOT, Cause.SLOT_BUSY})


@dataclass(slots=True, kw_only=True)
class Scope:
    """What one pass plans for."""

    is_everything: bool = False
    backends: set[str | None] = field(default_factory=set)
    """In whole (None: claims without one)."""
    touched: Touched = field(default_factory=Touched)
    """Only what these changes concern."""
    more_free: dict[str, int] = field(default_factory=dict)
    """How many more free slots a backend's newcomers may choose from."""

    def widen(self, backend: str | None) -> None:
        """Plan for a whole backend after all."""
        self.touched.by_backend.pop(backend, None)
        self.backends.add(backend)

    def widen_to_everything(self) -> None:
        """Plan for everything after all."""
        self.is_everything = True
        self.touched, self.backends = Touched(), set()


class Upkeep:
    """One HAProxy's map: what is known of it, and the passes that keep it as desired."""

    def __init__(
        self,
        proxy: Proxy,
        claims: ClaimTable,
        status: WorkerStatus,
        *,
        rules_for: Callable[[Process], Rules],
        reporter: Reporter,
        is_current: Callable[[], bool] = lambda: True,
        slot_file: SlotFile | None = None,
        learned: Callable[[], None] = lambda: None,
    ) -> None:
        """``is_current`` tells whether Docker answers, so that absence means something.

        ``slot_file`` is HAProxy's configuration: it tells the slots' ports where the table
        does not, and whether their checks are a plain connect. ``learned`` is called when the
        ports of free slots are others.
        """
        self._is_current = is_current
        self._slot_file = slot_file or SlotFile()
        self._by_file = self._slot_file.untold
        self._plain_by_result: dict[str, bool] = {}
        """Whether a backend's check is a plain connect, by the results of checks."""
        self._called_up: dict[ServerRef, Place] = {}
        """Slots that we called up, since the last whole reading."""
        self._doubtful: dict[ServerRef, Place] = {}
        """Slots that we called up, and that HAProxy called down by the last one."""
        self._to_look_at: list[tuple[ServerRef, Place]] = []
        self._contradicted: dict[ServerRef, Place] = {}
        """Those of them whose ports were open to us all the same."""
        self.opened: dict[ServerRef, Place] = {}
        """Slots whose ports were found open, to be called up with the next pass."""
        self._learned = learned
        self._heard: dict[str | None, set[Place]] = {}
        """Places that events were about since Docker answered last."""
        self._is_refill = False
        """Whether HAProxy came up empty since the last pass that was whole."""
        self._proxy = proxy
        self._claims = claims
        self._rules_for = rules_for
        self._reporter = reporter
        self._mirror = Mirror(status.slot_prefix)
        self._with_slots: frozenset[str] = frozenset()
        self._settled: set[str] = set()
        """Backends where nothing was left to do, and nobody waits for a slot."""
        self._unfinished: set[str] = set()
        """Backends of which a part of the last plan was left to the next pass."""
        self._concerns_slots = False
        """Whether some claim that changed is on a place that has a slot."""
        self._prepared: set[ServerRef] = set()
        """Slots that were given the address of somebody who did not run yet."""
        self._drained: set[ServerRef] = set()
        """Slots that were taken out of rotation, and whose tenants kept them."""
        self._counted: set[str] = set()
        self._looked: list[Server] = []
        self.status = status
        self.must_observe = "start"
        """Why everything has to be read before anything else; empty where it has not."""
        self.touched = Touched()
        """Whose claims changed since the last pass."""
        self.dirty: set[str | None] = set()
        """Backends to plan for in whole."""
        self.to_prove: set[ServerRef] = set()
        """Slots to read once more: another hand may have written at the same moment."""
        self.alarms = Alarms()

    def touch(self, touched: Touched) -> None:
        """Claims changed. However many wait, they take no more memory than so many do."""
        self.touched.join(touched)
        if not self._is_current():
            for backend in touched.backends:
                heard = self._heard.setdefault(backend, set())
                heard |= touched.places(backend)
        self._concerns_slots = self._concerns_slots or any(
            self._mirror.has_slot_at(backend, place)
            for backend in touched.backends
            if backend is not None
            for place in touched.places(backend)
        )
        if len(self.touched) > MOST_TOUCHED:
            self.dirty |= self.touched.backends
            self.touched = Touched()

    @property
    def is_unfinished(self) -> bool:
        """Whether a part of the last plan is still to be carried out."""
        return bool(self._unfinished)

    @property
    def has_work(self) -> bool:
        """Whether something is left for the next pass."""
        waits = self.touched or self.dirty or self._unfinished or self.opened
        return bool(waits or self.must_observe)

    @property
    def has_only_newcomers(self) -> bool:
        """Whether the next pass is for endpoints alone that have no slot yet."""
        has_more = self.dirty or self._unfinished or self.must_observe or self.to_prove
        return not (has_more or self._concerns_slots)

    async def run_pass(self) -> AsyncGenerator[Outcome]:
        """Reconcile once; yield what came of it, in several parts where it is much.

        Whoever asks for no more parts leaves the rest to the next pass. Raises
        RuntimeSocketError where the conversation with HAProxy broke.
        """
        await self._forget_connections()
        scope = await self._fresh_scope()
        if scope.is_everything:
            await self._learn_checks(self._with_slots, among=None)
            self._doubt()
        planned, generation = await self._read_and_planned(scope)
        self._note_unplaced(planned, scope)
        self._note_kept(planned, scope)
        backends = self._planned_for(scope)
        self._settled -= backends
        parts = parts_of(planned, MOST_SLOTS)
        self._unfinished = backends if len(parts) > 1 else set()
        now = asyncio.get_running_loop().time
        for number, part in enumerate(parts, 1):
            outcome = await carry_out(part, self._proxy, self._mirror, now)
            outcome = self._in_words(outcome)
            await self._call_up(part, parts[number:])
            if outcome.refusals:
                self.must_observe = "haproxy refused a command"
            if number == len(parts):
                self._unfinished = set()
                self._is_refill = False
                self._settle(backends)
                self.status.generation = generation
            self._note_alarms(outcome, scope, now())
            yield outcome

    async def _fresh_scope(self) -> Scope:
        """Read what has to be read before anything is planned; return what to plan for."""
        touched, self.touched = self.touched, Touched()
        self._concerns_slots = False
        scope = Scope(touched=touched, backends={*self.dirty, *self._unfinished})
        self.dirty, self._unfinished = set(), set()
        to_prove, self.to_prove = self.to_prove, set()
        if to_prove and not self.must_observe:
            await self._prove(to_prove, scope)
        if self.must_observe or self.status.process is None:
            await self._observe(None)
            await asyncio.sleep(0)  # the loop turns between two things that take long
            return Scope(is_everything=True)
        for backend in touched.backends:
            has_slots = backend is not None and backend in self._with_slots
            if backend in scope.backends or (
                has_slots and backend not in self._settled
            ):
                scope.widen(backend)
        return scope

    def _has_limited(self, backend: str) -> bool:
        """Whether somebody is kept there by the limit: whoever comes or goes moves that."""
        return any(
            ref.backend == backend and one.cause is KeptFor.LIMIT
            for ref, one in self.status.kept.items()
        )

    async def _prove(self, refs: Collection[ServerRef], scope: Scope) -> None:
        """Read once more what was written a moment ago, and plan for what has changed."""
        whole, single = self._by_size(refs)
        if single:
            whole |= await self._look(map(self._mirror.get, single))
        if whole and not self.must_observe:
            differing = await self._observe(whole)
            scope.backends |= differing | (whole - self._settled)
        if not self.must_observe and self.status.process is not None:
            await self._learn_checks({ref.backend for ref in refs})

    def _by_size(self, refs: Collection[ServerRef]) -> tuple[set[str], list[ServerRef]]:
        """Tell backends that are read in whole from servers that are read by themselves."""
        tables = self.status.tables
        known = [ref for ref in refs if ref.server in tables.get(ref.backend, {})]
        small = {
            ref.backend for ref in known if len(tables[ref.backend]) <= SMALL_BACKEND
        }
        return small, [ref for ref in known if ref.backend not in small]

    async def _read_and_planned(self, scope: Scope) -> tuple[Plan, int]:
        """Plan, and read what the plan needs to have been read, until it needs no more.

        Returns the generation of the claims that it was made for as well.
        """
        read: set[str | ServerRef] = set()
        counted: set[str] = set()
        if scope.is_everything:
            read |= self.status.tables.keys()
        planned, generation = await self._planned_while_looking(scope, read)
        while self.must_observe or await self._read_more(planned, scope, read, counted):
            if self.must_observe:
                await self._observe(None)
                scope.widen_to_everything()
                read |= self.status.tables.keys()
            planned, generation = await self._planned(scope)
        return self._as_looked_at(planned, read), generation

    def _as_looked_at(self, planned: Plan, read: Collection[str | ServerRef]) -> Plan:
        """Leave out to ask once more for the address of a prepared slot that was looked at.

        HAProxy reported it in this very pass, while the plan was made.
        """
        shown = self._prepared.intersection(read)
        if not (shown and planned.phases):
            return planned
        # Where its address is set in this pass, it has to be reported after that.
        shown -= {a.ref for a in planned.actions if isinstance(a, SetAddress)}
        out, addresses, admitted = planned.phases
        left = [a for a in addresses if not (a.ref in shown and self._is_proven(a))]
        return dataclasses.replace(planned, phases=(out, tuple(left), admitted))

    def _is_proven(self, action: Action) -> bool:
        """Whether an action asks for an address that is known to be there."""
        if not isinstance(action, ConfirmAddress):
            return False
        server = self._mirror.get(action.ref)
        return (server.address, server.port) == (action.address, action.port)

    async def _read_more(
        self,
        planned: Plan,
        scope: Scope,
        read: set[str | ServerRef],
        counted: set[str],
    ) -> bool:
        """Read what a plan needs to have been read; return whether to plan anew with it."""
        uncounted = set(planned.wants_connections - counted)
        if short := self._short(planned, scope):
            await self._look_for_free(short, scope)
            return True
        if uncounted:
            for backend in uncounted & scope.touched.backends:
                scope.widen(backend)
            await self._observe(uncounted, with_connections=True)
            counted |= uncounted
            read |= uncounted
            return True
        if planned.wants_whole:
            for backend in planned.wants_whole:
                scope.widen(backend)
            return True
        if unread := self._unread(planned, read):
            read |= unread
            # Where all is as it was known, so is the plan.
            differing = await self._look(map(self._mirror.get, unread))
            return bool(differing or self.must_observe)
        return False

    async def _planned_while_looking(
        self, scope: Scope, read: set[str | ServerRef]
    ) -> tuple[Plan, int]:
        """Plan a first time; what is sure to be asked for is read meanwhile, and in ``read``."""
        going = self._going(scope)
        if not 0 < len(going) <= FEW:
            return await self._planned(scope)
        read |= {slot.ref for slot in going}
        looking = asyncio.create_task(self._look(going, verify=False))
        try:
            await asyncio.sleep(0)  # it asks, and HAProxy answers while we plan
            planned = await self._planned(scope)
            if not await looking:
                return planned
        finally:
            looking.cancel()
        return await self._planned(scope)

    def _going(self, scope: Scope) -> list[Server]:
        """Return the slots of which a plan asks how they are now.

        Those whose tenants go; and those that were prepared for somebody who may run by now.
        """
        if scope.is_everything or scope.backends:
            return []
        touched = scope.touched
        slots = [
            slot
            for backend in touched.by_backend
            if backend is not None
            for slot in self._mirror.slots_at(backend, touched.places(backend))
        ]
        if not slots:
            return []  # newcomers alone
        staying = {
            one.key
            for claim in self._claims.at(touched)
            if isinstance(one := claim.outcome, Endpoint)
            and one.rotation is Rotation.READY
        }
        return [
            slot
            for slot in slots
            if (slot.ref.backend, slot.address, slot.port) not in staying
            or slot.ref in self._prepared
        ]

    def _short(self, planned: Plan, scope: Scope) -> dict[str, int]:
        """Return, by backend, how many newcomers the free slots looked at are too few for.

        Only of backends that are not planned for in whole.
        """
        if scope.is_everything:
            return {}
        short: dict[str, int] = {}
        for one in planned.unplaced:
            backend = one.backend
            if one.cause in _WAITS and backend in scope.touched.by_backend:
                assert backend is not None  # noqa: S101 - who waits, waits in one
                short[backend] = short.get(backend, 0) + 1
        return short

    async def _look_for_free(self, short: dict[str, int], scope: Scope) -> None:
        """Look whether some more free slots are idle; else plan for whole backends."""
        looks: list[Server] = []
        for backend, count in short.items():
            if backend in scope.more_free:
                scope.widen(backend)
                continue
            places = scope.touched.places(backend)
            wanted = sum(port != ANY_PORT for _, port in places) + MORE_FREE
            found = self._mirror.longest_free(backend, wanted)
            size = len(self.status.tables[backend])
            if len(found) < count or wanted * LOOKED_AT_OF > max(size, LOOKED_AT_LEAST):
                scope.widen(backend)
                continue
            scope.more_free[backend] = MORE_FREE
            looks += found
        if looks:
            self._looked += looks
            await self._look(looks)

    async def _planned(self, scope: Scope) -> tuple[Plan, int]:
        """Plan with the claims and the table of this moment, and return their generation."""
        process = self.status.process
        assert process is not None  # noqa: S101 - observed before
        claims = self._claims.of(None if scope.is_everything else scope.backends)
        claims += self._claims.at(scope.touched)
        observed = Observed(
            process=process,
            backends=self._part(claims, scope),
            parts=frozenset(b for b in scope.touched.by_backend if b is not None),
            template_ports=self._template_ports(),
        )
        rules, generation = self._rules_for(process), self._claims.generation
        if self._is_current():
            self._heard.clear()
        else:
            claims, observed = self._sure(claims, observed)
        now, with_slots = asyncio.get_running_loop().time(), self._with_slots
        residents = self._claims.residents

        def make() -> Plan:
            desired = desired_from(claims, with_slots, residents=residents)
            return plan(desired, observed, rules, now=now)

        if len(claims) + sum(map(len, observed.backends.values())) > LARGE:
            return await asyncio.to_thread(make), generation
        return make(), generation

    def _sure(
        self, claims: list[Claim], observed: Observed
    ) -> tuple[list[Claim], Observed]:
        """Return what may be planned for while Docker does not answer."""
        backends = sure_tables(observed.backends, claims, self._heard)
        if not self._is_refill:
            claims = sure_claims(observed.backends, claims, self._heard)
        return claims, dataclasses.replace(observed, backends=backends)

    def _part(
        self, claims: Iterable[Claim], scope: Scope
    ) -> dict[str, dict[str, Server]]:
        """Return the part of the table that a pass plans for."""
        tables = self.status.tables
        if scope.is_everything:
            return tables
        part = {b: tables[b] for b in scope.backends if b is not None and b in tables}
        newcomers: dict[str, set[tuple[str, int]]] = {}
        for claim in claims:
            one = claim.outcome
            if isinstance(one, Endpoint) and one.rotation.may_come:
                place = (one.address, one.port)
                if not self._mirror.has_slot_at(one.backend, place):
                    newcomers.setdefault(one.backend, set()).add(place)
        for backend in scope.touched.by_backend:
            if backend is None or backend not in tables:
                continue
            count = len(newcomers.get(backend, ()))
            count += scope.more_free.get(backend, 0) if count else 0
            slots = self._mirror.slots_at(backend, scope.touched.places(backend))
            slots += self._mirror.longest_free(backend, count) if count else []
            part[backend] = {slot.ref.server: slot for slot in slots}
        return part

    async def _look(
        self, servers: Iterable[Server], *, verify: bool = True
    ) -> set[str]:
        """Read a few servers anew, and nothing else of their backends.

        Returns the backends in which another hand has written.
        """
        process, seen = await self._proxy.look(list(servers), verify=verify)
        if not process.is_same(self.status.process):
            self.must_observe = "the haproxy process was replaced"
            return set()
        now = asyncio.get_running_loop().time()
        self._looked += seen
        differing = await self._mirror.take_looks(seen, now=now)
        # It is known now, so no later reading will tell of it: plan for all of it next.
        self.dirty |= differing
        return differing

    async def _observe(
        self, backends: set[str] | None, *, with_connections: bool = False
    ) -> set[str]:
        """Read the table (or some of its backends); return where another hand has written."""
        why, status = self.must_observe, self.status
        observed = await self._proxy.observe(
            backends, with_connections=True if with_connections else None
        )
        is_replaced = not observed.process.is_same(status.process)
        if is_replaced:
            await self._read_file()
            self._forget_checks()
        if is_replaced and backends is not None:
            # The other backends of the table are of a process that is gone.
            self.must_observe = "the haproxy process was replaced"
            return set()
        differing = await self._mirror.take_in(
            observed.backends,
            now=asyncio.get_running_loop().time(),
            anew=is_replaced,
        )
        self._counted |= {
            name
            for name, servers in observed.backends.items()
            if any(one.connections is not None for one in servers.values())
        }
        self._is_refill = self._is_refill or is_replaced
        status.tables = self._mirror.tables
        if backends is None:
            self.must_observe = ""
            self._mirror.keep_only(observed.backends)
            if is_replaced:
                self._reporter.reconnected(status, why)
            self._with_slots = backends_with_slots(status.tables, status.slot_prefix)
        status.process = observed.process
        if backends is None:
            self._learn_ports()
        return differing

    def to_knock(self, outcome: Outcome) -> list[tuple[ServerRef, Place]]:
        """Return the slots that a pass let in, and that wait for no more than an open port."""
        refs = {a.ref for a in outcome.plan.actions if isinstance(a, SetHealthDown)}
        refs -= {action.ref for action, _ in outcome.refusals}
        found = []
        for ref in refs:
            server = self._mirror.get(ref)
            is_in = server.admin is AdminState.READY and not server.is_checked_elsewhere
            if is_in and self._is_plain(ref.backend):
                found.append((ref, (server.address, server.port)))
            # Whatever was held against the slot's former life is over.
            self._doubtful.pop(ref, None)
            self._contradicted.pop(ref, None)
            self._called_up.pop(ref, None)
        return found

    def to_look_at(self) -> list[tuple[ServerRef, Place]]:
        """Return the slots whose ports are to be tried once: does HAProxy reach what we do?"""
        doubtful, self._to_look_at = self._to_look_at, []
        return doubtful

    def _is_plain(self, backend: str) -> bool:
        if backend in self.status.unreached:
            return False
        by_result = self._plain_by_result.get(backend)
        return is_plain(by_result, self._by_file.plain_checks.get(backend))

    async def _call_up(self, done: Plan, ahead: Sequence[Plan]) -> None:
        """Say of slots whose ports are open that their checks would pass.

        Of those only that have the same tenant still, in rotation; that were not let in anew
        by what was just ``done``, since their ports may have been a former life's; and that
        nothing which is still ``ahead`` is about, since they may be about to go.
        """
        if not self.opened:
            return
        opened, self.opened = self.opened, {}
        others = {action.ref for part in ahead for action in part.actions}
        others |= {a.ref for a in done.actions if isinstance(a, SetHealthDown)}
        actions: list[Action] = []
        for ref, place in opened.items():
            server = self._at(ref, place)
            if server is None or ref in others:
                continue
            if self._doubtful.get(ref) == place:
                self._contradicted[ref] = place
            elif ref.backend not in self.status.unreached:
                actions.append(SetHealthUp(ref))
                self._called_up[ref] = place
        if actions:
            await self._proxy.apply(actions)

    def _at(self, ref: ServerRef, place: Place) -> Server | None:
        """Return a slot if it is in rotation, with this tenant."""
        server = self.status.tables.get(ref.backend, {}).get(ref.server)
        if server is None or server.admin is not AdminState.READY:
            return None
        return server if (server.address, server.port) == place else None

    async def _learn_checks(
        self, backends: Collection[str], *, among: int | None = LOOKED_FOR
    ) -> None:
        """Ask for one result in each of these backends whose kind of check is not known.

        It is that of one of the first ``among`` servers (None: of any).
        """
        for backend in sorted(set(backends) - self._plain_by_result.keys()):
            servers = self.status.tables.get(backend, {}).values()
            passing = (
                one
                for one in islice(servers, among)
                if one.has_check
                and one.is_up
                and one.admin is AdminState.READY
                and slot_number(one.ref.server, self.status.slot_prefix) is not None
            )
            one = next(passing, None)
            if one is not None:
                kind = is_plain_result(await self._proxy.check_result(one))
                if kind is not None:
                    self._plain_by_result[backend] = kind

    def _doubt(self) -> None:
        """Find whom we called up, and whose checks fail by HAProxy's own word.

        It is no contradiction yet: its application may have ended meanwhile. But where the
        port is open to us at that moment, and one whole reading later HAProxy calls it down
        still, HAProxy is where it cannot be reached, or asks what we do not know of.
        """
        contradicted = self._still_down(self._contradicted)
        self.status.unreached |= {ref.backend for ref in contradicted}
        self._doubtful = self._still_down(self._called_up)
        self._to_look_at = list(self._doubtful.items())
        self._called_up, self._contradicted = {}, {}

    def _still_down(self, slots: Mapping[ServerRef, Place]) -> dict[ServerRef, Place]:
        """Return those of some slots that are in rotation, and down."""
        return {
            ref: place
            for ref, place in slots.items()
            if (server := self._at(ref, place)) is not None and not server.is_up
        }

    async def _read_file(self) -> None:
        """Read the configuration as the process does that answers now."""
        if self._slot_file.asks:
            facts = await self._proxy.facts(self._slot_file.variables)
            self._by_file = await asyncio.to_thread(self._slot_file.told, facts)

    def _forget_checks(self) -> None:
        """Another process may have another configuration, and is elsewhere perhaps."""
        self._plain_by_result, self.opened = {}, {}
        self._called_up, self._doubtful, self._contradicted = {}, {}, {}
        self.status.unreached = set()

    def _learn_ports(self) -> None:
        """Tell what ports the free slots have, where that has changed."""
        found = {name: self._mirror.free_ports(name) for name in self._with_slots}
        on_file = self._by_file.ports
        if (found, on_file) != (self.status.free_ports, self.status.file_ports):
            self.status.free_ports, self.status.file_ports = found, on_file
            self._learned()

    def _template_ports(self) -> dict[str, int]:
        """Return the port that each backend's slots began with, as far as it is known."""
        known = {name: self._mirror.free_ports(name) for name in self._with_slots}
        return self.status.file_ports | agreed(known)

    def _in_words(self, outcome: Outcome) -> Outcome:
        """Say of changes what the planner cannot know: it knows this moment alone."""
        changes = tuple(map(self._with_tenant, outcome.changes))
        if self._prepared or self._drained:
            changes = tuple(map(self._as_it_began, changes))
        self._prepared |= {one.ref for one in changes if one.is_preparing}
        self._drained |= {one.ref for one in changes if one.kind == "drain"}
        return dataclasses.replace(outcome, changes=changes)

    def _with_tenant(self, change: Change) -> Change:
        """Name whoever was released: the planner only knows who is desired."""
        if change.tenant is not None or change.port is None:
            return change
        backend = change.ref.backend
        tenant = self._claims.last_tenant(backend, change.address, change.port)
        living = self._claims.containers.get(tenant.container_id) if tenant else None
        if living is not None and change.reason == GONE:
            change = change._replace(reason=_why_it_left(living, change.address))
        return change._replace(tenant=tenant)

    def _as_it_began(self, change: Change) -> Change:
        """Whoever comes into a slot that was prepared is assigned to it only now.

        And whoever comes back into one that it kept is made ready again.
        """
        if change.ref in self._prepared and not change.is_preparing:
            self._prepared.discard(change.ref)
            if change.kind == "finish":
                return change._replace(kind="assign", reason="a new endpoint")
        if change.ref in self._drained and change.kind not in {"drain", "shutdown"}:
            self._drained.discard(change.ref)
            if change.kind == "finish":
                return change._replace(kind="ready")
        return change

    async def _forget_connections(self) -> None:
        """Connections were read for the last pass: by now they are others."""
        looked, self._looked = self._looked, []
        counted, self._counted = self._counted, set()
        self._mirror.forget_connections_of(looked)
        await self._mirror.forget_connections(counted)

    def _planned_for(self, scope: Scope) -> set[str]:
        if scope.is_everything:
            return set(self._with_slots)
        return {b for b in scope.backends | scope.touched.backends if b is not None}

    def _settle(self, backends: set[str]) -> None:
        """These backends are as they should be, but for those where somebody waits."""
        unplaced = self.status.unplaced
        self._settled |= {
            backend
            for backend in backends & self._with_slots
            if not any(one.cause in _WAITS for one in unplaced.get(backend, ()))
            and not self._has_limited(backend)
        }

    def _unread(
        self, planned: Plan, read: Collection[str | ServerRef]
    ) -> set[ServerRef]:
        """Return the slots that may not be acted upon as they were read long ago.

        ``read`` has what was read in this pass: backends, and single slots. Of a slot that was
        prepared a moment ago it is known how it is.
        """
        return {
            change.ref
            for change in planned.changes
            if (
                change.kind in _TAKES_OUT
                or (change.kind == "finish" and change.ref not in self._prepared)
            )
            and change.ref not in read
            and change.ref.backend not in read
        }

    def _note_unplaced(self, planned: Plan, scope: Scope) -> None:
        """Keep who has no slot. Of what was not planned for, that is as it was."""
        if not (planned.unplaced or self.status.unplaced):
            return
        by_backend: dict[str, list[Unplaced]] = {}
        for one in planned.unplaced:
            by_backend.setdefault(one.backend or "", []).append(one)
        unplaced = self.status.unplaced
        if scope.is_everything:
            unplaced.clear()
        for name in scope.backends:
            unplaced.pop(name or "", None)
        for name in scope.touched.by_backend:
            concerned = {*scope.touched.by_backend[name]} | {
                claim.outcome.tenant.container_id
                for claim in self._claims.at(scope.touched)
                if claim.backend == name
            }
            left = [
                one
                for one in unplaced.pop(name or "", ())
                if one.tenant.container_id not in concerned
            ]
            if left:
                by_backend[name or ""] = left + by_backend.get(name or "", [])
        self.status.unplaced |= {name: tuple(some) for name, some in by_backend.items()}

    def _note_kept(self, planned: Plan, scope: Scope) -> None:
        """Note who keeps a slot that nobody asks for. Of what was not planned for: as it was."""
        kept = self.status.kept
        if not (planned.kept or kept):
            return
        over = {
            ref for ref in kept if scope.is_everything or ref.backend in scope.backends
        }
        over |= {
            slot.ref
            for backend in scope.touched.by_backend
            if backend is not None
            for slot in self._mirror.slots_at(backend, scope.touched.places(backend))
        }
        left = {ref: one for ref, one in kept.items() if ref not in over}
        now = left | {one.ref: one for one in planned.kept}
        self.status.kept = now
        # Whoever lost its slot and runs on has something to tell again: why it has none.
        self.dirty |= {
            ref.backend
            for ref, one in kept.items()
            if ref not in now
            and one.endpoint.tenant.container_id in self._claims.containers
            and not (scope.is_everything or ref.backend in scope.backends)
        }

    def _note_alarms(self, outcome: Outcome, scope: Scope, now: float) -> None:
        """Set what this worker wakes up for by itself."""
        whole = None if scope.is_everything else scope.backends
        self.alarms.due_at(outcome.plan.due, whole)
        # Whoever comes into a slot that was prepared has its address confirmed first.
        lasting = {one.ref for one in outcome.changes if not one.is_preparing}
        self.alarms.changed(lasting, now)
        waiting = {
            one.backend
            for one in self.status.all_unplaced()
            if one.cause is Cause.SLOT_BUSY and one.backend is not None
        }
        self.alarms.wait_for(waiting, now)


def _why_it_left(container: Container, address: str) -> str:
    """Return why somebody is released who still runs."""
    if container.is_paused:
        return "it is paused"
    has_it = any(address in {one.ipv4, one.ipv6} for one in container.networks)
    return GONE if has_it else "it has that address no more"
