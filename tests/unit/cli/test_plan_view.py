"""The diff of ``plan``: what it shows of every kind of change, and how it sums up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
from tests.fakes.containers import container, free_slot, observed
from tests.support.snapshots import require_snapshot

from reconciler.cli.plan import change_json, print_plan
from reconciler.cli.render import console
from reconciler.config import Settings
from reconciler.core.claims import ClaimTable
from reconciler.core.model import AdminState, Container, Health, Server
from reconciler.core.placement import Context
from reconciler.core.plan import Rules, plan
from reconciler.errors import ConnectError
from reconciler.inquiry import ProxyWorld, World


A, B = "unix:///run/a.sock", "unix:///run/b.sock"


def home(
    number: int,
    address: str,
    weight: int = 1,
    *,
    admin: AdminState = AdminState.READY,
) -> Server:
    """Return an occupied slot, ready if nothing else is said."""
    return dataclasses.replace(
        free_slot(number), address=address, admin=admin, weight=weight
    )


def world(proxies: Mapping[str, list[Server] | None], *containers: Container) -> World:
    """Return what was read of these HAProxies (None: nothing), and what a pass would do."""
    claims = ClaimTable(Context())
    claims.update({one.id: one for one in containers})
    found = []
    for name, servers in proxies.items():
        if servers is None:
            error = ConnectError(f"cannot open {name}", address=name)
            found.append(ProxyWorld(name=name, error=error))
            continue
        seen = observed({"web": {one.ref.server: one for one in servers}})
        desired = claims.desired({"web"})
        planned = plan(desired, seen, Rules(), now=1000.0)
        found.append(
            ProxyWorld(name=name, observed=seen, desired=desired, plan=planned)
        )
    settings = Settings(haproxy=tuple(proxies))
    return World(settings=settings, claims=claims, proxies=tuple(found), now=1000.0)


CHANGES = world(
    {
        A: [
            home(1, "10.0.0.99"),
            home(2, "10.0.0.2"),
            home(3, "10.0.0.3", 5),
            home(4, "10.0.0.4", 0, admin=AdminState.MAINT),
            home(5, "10.0.0.5", 0, admin=AdminState.DRAIN),
            home(6, "10.0.0.6"),
            free_slot(7),
        ]
    },
    container(2, health=Health.UNHEALTHY),
    container(3, labels={"haproxy.weight": "20"}),
    container(4),
    container(5),
    container(6, is_paused=True),
    container(7),
    container(8, labels={"haproxy.port": "http"}),
)

TWO = world(
    {A: [home(1, "10.0.0.1"), free_slot(2)], B: [home(1, "10.0.0.1")]},
    container(1),
    container(2),
)


@pytest.mark.parametrize(
    ("name", "shown", "with_commands"),
    [
        ("plan-of-every-kind", CHANGES, False),
        ("plan-with-commands", TWO, True),
        ("plan-of-two-haproxies", TWO, False),
        (
            "plan-with-nothing-to-do",
            world({A: [home(1, "10.0.0.1")]}, container()),
            False,
        ),
        (
            "plan-with-somebody-left",
            world({A: [home(1, "10.0.0.1")]}, container(), container(2)),
            False,
        ),
        (
            "plan-of-one-haproxy-of-two",
            world({A: [home(1, "10.0.0.1"), free_slot(2)], B: None}, container(2)),
            False,
        ),
    ],
)
def test_the_diff(
    capsys: pytest.CaptureFixture[str], name: str, shown: World, *, with_commands: bool
) -> None:
    """As agreed to, letter by letter."""
    print_plan(console(), shown, with_commands=with_commands)

    require_snapshot(name, capsys.readouterr().out)


def test_the_json_of_a_change_has_the_weights_before_and_after() -> None:
    """From what was read to the last weight that is sent."""
    [proxy] = CHANGES.proxies
    assert proxy.observed is not None
    shown = {
        (change.kind, change.ref.server): change_json(
            A,
            change,
            proxy.plan.actions,
            proxy.observed.backends["web"][change.ref.server],
        )
        for change in proxy.plan.changes
    }

    weights = {
        key: (one["weight_from"], one["weight_to"]) for key, one in shown.items()
    }
    assert weights["weight", "slot3"] == (5, 20)
    assert weights["drain", "slot2"] == (1, 0)
    assert weights["ready", "slot5"] == (0, 1)


def test_hostile_names_stay_on_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A container's name may say anything, and moves no cursor."""
    hostile = dataclasses.replace(container(1), name="\x1b[2Jweb\n+ web/slot9 ← evil")
    print_plan(console(), world({A: [free_slot(1)]}, hostile))

    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 2
    assert "\x1b" not in shown
