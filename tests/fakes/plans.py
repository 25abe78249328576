"""Plans for a few containers and the slots of one backend, for tests of the planner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.fakes.containers import observed

from reconciler.core.desired import claims_of, desired_from
from reconciler.core.model import Container, Plan, Server
from reconciler.core.placement import Context
from reconciler.core.plan import Rules, plan


NOW = 1000.0


def planned(
    *containers: Container,
    slots: Sequence[Server],
    rules: Rules | None = None,
    now: float | None = NOW,
    is_part: bool = False,
) -> Plan:
    """Return the plan for these containers and exactly these slots.

    ``is_part`` says that the backend may have more of them.
    """
    table = {"web": {one.ref.server: one for one in slots}}
    claims = [claim for one in containers for claim in claims_of(one, Context())]
    desired = desired_from(claims, {"web"})
    seen = replace(observed(table), parts=frozenset({"web"} if is_part else ()))
    return plan(desired, seen, rules or Rules(), now=now)


def kinds(found: Plan) -> list[str]:
    """Return the kinds of a plan's changes."""
    return [change.kind for change in found.changes]
