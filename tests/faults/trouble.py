"""What goes wrong: each fault is put in force by one call.

Faults that would last for ever (``LASTING``) are ended by ``Rig.lift``; the others pass by
themselves, and whoever asks for the truth meanwhile gets it a little later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from tests.faults.rig import Rig


Trouble = Callable[["Rig"], Awaitable[None]]

HOUR_SECONDS = 3600.0
SOME_EVENTS = 5
LATE_SECONDS = 0.05
SETTER = "set server "
GARBAGE = (b"\xff\x00\xfe", b"\n> ", b"[3]: No such server.\n\n> ", b"\n\n")


def _now(act: Callable[[Rig], object]) -> Trouble:
    """Return trouble that is made without waiting."""

    async def trouble(rig: Rig) -> None:
        act(rig)

    return trouble


def _garbled(garbage: bytes, after: str) -> Trouble:
    return _now(lambda rig: rig.relay.garble(garbage, after=after))


async def _refuse_connections(rig: Rig) -> None:
    await rig.relay.refuse_connections()
    rig.relay.hang_up()


async def _engine_restart(rig: Rig) -> None:
    await rig.engine.restart_engine()


async def _engine_away(rig: Rig) -> None:
    await rig.engine.refuse()


SOCKET: dict[str, Trouble] = {
    "the socket stalls": _now(lambda rig: rig.relay.stall()),
    "the socket refuses connections": _refuse_connections,
    "the socket hangs up": _now(lambda rig: rig.relay.hang_up()),
    "a reply is cut": _now(lambda rig: rig.relay.cut()),
    "a setter's reply is cut": _now(lambda rig: rig.relay.cut(after=SETTER)),
    "replies are late": _now(lambda rig: rig.relay.delay(LATE_SECONDS, count=8)),
    "a reply is too late": _now(
        lambda rig: rig.relay.delay(2 * rig.timeout_seconds, after=SETTER)
    ),
    "an address is refused": _now(lambda rig: rig.relay.refuse(f"{SETTER}* addr *")),
    "a ready is refused": _now(lambda rig: rig.relay.refuse(f"{SETTER}* state ready")),
    "a command is refused": _now(lambda rig: rig.relay.refuse(f"{SETTER}*")),
    "many commands are refused": _now(
        lambda rig: rig.relay.refuse(f"{SETTER}*", count=7)
    ),
    **{
        f"garbage {number} comes after {after or 'anything'!r}": _garbled(text, after)
        for number, text in enumerate(GARBAGE)
        for after in ("", SETTER)
    },
}
EVENTS: dict[str, Trouble] = {
    "the stream stalls": _now(lambda rig: rig.engine.events.stall()),
    "the stream ends": _now(lambda rig: rig.engine.events.end()),
    "the stream breaks": _now(lambda rig: rig.engine.events.end(is_clean=False)),
    "the next stream breaks": _now(lambda rig: rig.engine.faults.cut("/events")),
    "events are doubled": _now(lambda rig: rig.engine.events.double(SOME_EVENTS)),
    "events come again": _now(lambda rig: rig.engine.events.repeat(2 * SOME_EVENTS)),
    "events are reordered": _now(lambda rig: rig.engine.events.hold()),
    "events are lost": _now(lambda rig: rig.engine.events.drop(SOME_EVENTS)),
}
ENGINE: dict[str, Trouble] = {
    "the engine answers 500": _now(lambda rig: rig.engine.faults.fail(count=3)),
    "inspects are answered 500": _now(
        lambda rig: rig.engine.faults.fail("/containers/*/json", count=None)
    ),
    "the engine is slow": _now(
        lambda rig: rig.engine.faults.delay(seconds=LATE_SECONDS, count=8)
    ),
    "answers are stale": _now(
        lambda rig: rig.engine.faults.stale(
            "/containers/*", seconds=LATE_SECONDS, count=8
        )
    ),
    "the engine stalls": _now(lambda rig: rig.engine.faults.stall(count=None)),
    "an answer is cut": _now(lambda rig: rig.engine.faults.cut("/containers/*")),
    "the engine restarts": _engine_restart,
    "the engine is away": _engine_away,
}
CLOCK: dict[str, Trouble] = {
    "the clock jumps ahead": _now(lambda rig: rig.engine.jump_clock(HOUR_SECONDS)),
    "the clock jumps back": _now(lambda rig: rig.engine.jump_clock(-HOUR_SECONDS)),
    "the clock slips": _now(lambda rig: rig.engine.jump_clock(-1.5)),
}
TROUBLE: dict[str, Trouble] = {**SOCKET, **EVENTS, **ENGINE, **CLOCK}
"""By the words that a failing sequence prints."""

LASTING = frozenset(
    {
        "the socket stalls",
        "the socket refuses connections",
        "many commands are refused",
        "the stream stalls",
        "events are reordered",
        "inspects are answered 500",
        "the engine stalls",
        "the engine is away",
    }
)
