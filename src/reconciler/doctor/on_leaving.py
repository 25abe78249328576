"""base.cfg: what meddles with slots that the daemon takes out, and with their weights."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.base_cfg import Template
from reconciler.core.cfg_sections import Section, Spot
from reconciler.doctor.finding import Code, Pitfall


def of_leaving(
    section: Section, lines: list[Template]
) -> Iterator[tuple[Spot, Pitfall]]:
    """Yield what is wrong with a section that has slots, with the line."""
    yield from _persistence(section)
    for one in lines:
        for pitfall in (*_cut(one), *_agent(one), *_slow_start(one)):
            yield one.spot, pitfall


def _persistence(section: Section) -> Iterator[tuple[Spot, Pitfall]]:
    option = section.option("persist")
    forced = [line for line in section.own("force-persist") if line.words[1:]]
    for line in (*([option] if option else []), *forced):
        yield (
            line.spot,
            Pitfall(
                Code.PERSIST,
                f"`{' '.join(line.words)}`: a client that sticks to a slot of backend "
                f"{section.name} is sent there although it is down or in maint, so a "
                "container that stops goes on getting new requests",
                "remove the line: `option redispatch 1` sends such a client to another",
            ),
        )


def _cut(template: Template) -> Iterator[Pitfall]:
    value = template.options.get("on-marked-down")
    if value == "shutdown-sessions":
        yield Pitfall(
            Code.MARKED_DOWN_SHUTDOWN,
            "`on-marked-down shutdown-sessions`: the open sessions of a container of "
            f"backend {template.backend} are cut as soon as it is told to stop",
            "remove it: a container that ends closes them itself; label "
            "`haproxy.drain-shutdown` closes what is left of them when its time is over",
        )


def _agent(template: Template) -> Iterator[Pitfall]:
    if "agent-check" in template.options:
        # Without one each slot's agent is asked at the slot's own address.
        fixed = template.options.get("agent-addr")
        free = (
            f"; the agent at {fixed} also answers for free slots, and while no daemon "
            "silences them its `ready` brings those in, where requests get 503"
            if fixed
            else ""
        )
        yield Pitfall(
            Code.AGENT_CHECK,
            f"`agent-check`: in backend {template.backend} the agent owns the weight, so "
            "label haproxy.weight has no effect; and what it calls drain, maint or down is "
            "its own, and its `ready` also ends a hold that was made by hand"
            f"{free}",
            "nothing, if it is meant so; else remove `agent-check`",
        )


def _slow_start(template: Template) -> Iterator[Pitfall]:
    if "slowstart" in template.options:
        value = template.options["slowstart"]
        yield Pitfall(
            Code.SLOW_START,
            f"`slowstart {value}`: a container of backend {template.backend} that comes, or "
            "comes back, has its whole share only after that time; until then HAProxy's "
            "statistics show a smaller weight than the one that is set",
            "nothing, if it is meant so; else remove `slowstart`",
        )
