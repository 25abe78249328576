"""What happens to containers: one verb, one container, chosen by a number.

A verb takes the rig and a number, and picks among the containers that it can be done to;
where there is none, one more is run instead, so that every verb does something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.faults.agent import WORDS
from tests.scripted_engine import ScriptedContainer


if TYPE_CHECKING:
    from tests.faults.rig import Rig


MOST_CONTAINERS = 12
NETWORK, SECOND = "demo_default", "mon"
SIGHUP = 1
WEB = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}

Churn = Callable[["Rig", int], None]
Claim = Callable[[ScriptedContainer], bool]


def _is_running(one: ScriptedContainer) -> bool:
    return one.state == "running"


def _is_paused(one: ScriptedContainer) -> bool:
    return one.state == "paused"


def _is_over(one: ScriptedContainer) -> bool:
    return one.state == "exited"


def _is_checked(one: ScriptedContainer) -> bool:
    return _is_running(one) and one.health is not None


def _is_attached(one: ScriptedContainer) -> bool:
    return _is_running(one) and NETWORK in one.networks


def _is_detached(one: ScriptedContainer) -> bool:
    return _is_running(one) and NETWORK not in one.networks


def _has_one_network(one: ScriptedContainer) -> bool:
    return _is_running(one) and SECOND not in one.networks


def _has_second(one: ScriptedContainer) -> bool:
    return _is_running(one) and SECOND in one.networks


def run(rig: Rig, pick: int) -> None:
    """Run one more container, every third with a HEALTHCHECK; remove one where many are."""
    _make_room(rig, pick)
    health = "starting" if pick % 3 == 2 else None
    rig.run(health=health)


def run_one_off(rig: Rig, pick: int) -> None:
    """Run a one-off of the service, which never gets a slot."""
    _make_room(rig, pick)
    rig.run(labels={**WEB, "com.docker.compose.oneoff": "True"})


def move_reconciler(rig: Rig, pick: int) -> None:
    """Connect the reconciler's own container to a network of the others, or disconnect it."""
    network = (NETWORK, SECOND)[pick % 2]
    if network in rig.own.networks:
        rig.engine.disconnect(rig.own, network)
    else:
        rig.engine.connect(rig.own, network)


def change_weights(rig: Rig, pick: int) -> None:
    """Have the agent say something else, where there is one."""
    if rig.agent is None:
        return run(rig, pick)
    rig.agent.word = WORDS[pick % len(WORDS)]
    return None


def replace(rig: Rig, pick: int) -> None:
    """Remove a container and run another at its address, as Docker gives them anew."""
    one = _picked(rig, pick, _is_attached)
    if one is None:
        return run(rig, pick)
    address = one.address
    rig.engine.remove(one)
    rig.run(address=address)
    return None


def rename(rig: Rig, pick: int) -> None:
    """Give a container another name, which changes nothing of its slot."""
    one = _picked(rig, pick, lambda _: True)
    if one is None:
        return run(rig, pick)
    rig.engine.rename(one, rig.new_name())
    return None


def _make_room(rig: Rig, pick: int) -> None:
    if len(rig.restless()) >= MOST_CONTAINERS:
        rig.engine.remove(rig.restless()[pick % MOST_CONTAINERS])


def _picked(rig: Rig, pick: int, claim: Claim) -> ScriptedContainer | None:
    fit = [one for one in rig.restless() if claim(one)]
    return fit[pick % len(fit)] if fit else None


def _verb(
    claim: Claim,
    act: Callable[[Rig, ScriptedContainer], object],
    *,
    keeps_slot: bool = False,
) -> Churn:
    """Return a verb for the containers that fit a claim."""

    def churn(rig: Rig, pick: int) -> None:
        one = _picked(rig, pick, claim)
        if one is None:
            return run(rig, pick)
        if not keeps_slot:
            rig.unsettle(one)
        act(rig, one)
        return None

    return churn


CHURN: dict[str, Churn] = {
    "run": run,
    "replace": replace,
    "rename": rename,
    "begin": _verb(_is_over, lambda rig, one: rig.engine.begin(one)),
    "stop": _verb(_is_running, lambda rig, one: rig.engine.stop(one)),
    "kill": _verb(_is_running, lambda rig, one: rig.engine.kill(one)),
    "die": _verb(_is_running, lambda rig, one: rig.engine.die(one, 1)),
    "remove": _verb(lambda _: True, lambda rig, one: rig.engine.remove(one)),
    "restart": _verb(_is_running, lambda rig, one: rig.engine.restart(one)),
    "pause": _verb(_is_running, lambda rig, one: rig.engine.pause(one)),
    "unpause": _verb(_is_paused, lambda rig, one: rig.engine.unpause(one)),
    "disconnect": _verb(
        _is_attached, lambda rig, one: rig.engine.disconnect(one, NETWORK)
    ),
    "connect": _verb(_is_detached, lambda rig, one: rig.engine.connect(one, NETWORK)),
    "connect a second network": _verb(
        _has_one_network,
        lambda rig, one: rig.engine.connect(one, SECOND),
        keeps_slot=True,
    ),
    "disconnect the second network": _verb(
        _has_second, lambda rig, one: rig.engine.disconnect(one, SECOND)
    ),
    "run a one-off": run_one_off,
    "connect the reconciler": move_reconciler,
    "the agent's weights change": change_weights,
    "hang up": _verb(
        _is_running, lambda rig, one: rig.engine.signal(one, SIGHUP), keeps_slot=True
    ),
    "told to stop": _verb(
        _is_running, lambda rig, one: rig.tell_to_stop(one), keeps_slot=True
    ),
    "healthy": _verb(
        _is_checked, lambda rig, one: rig.engine.health(one, "healthy"), keeps_slot=True
    ),
    "unhealthy": _verb(
        _is_checked,
        lambda rig, one: rig.engine.health(one, "unhealthy"),
        keeps_slot=True,
    ),
}
"""By the word that a failing sequence prints."""
