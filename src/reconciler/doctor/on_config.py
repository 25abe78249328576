"""base.cfg: the sections around the slots, and whether it is the file that HAProxy runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reconciler.core.base_cfg import PROXIES, Template, templates_in
from reconciler.core.cfg_sections import Cfg, Line, Section, Spot
from reconciler.core.plan import slot_number
from reconciler.doctor.evidence import Evidence, ProxyReading
from reconciler.doctor.finding import Code, Finding, Pitfall, found
from reconciler.doctor.on_balance import of_balancing
from reconciler.doctor.on_cfg_checks import of_checks
from reconciler.doctor.on_global import of_global
from reconciler.doctor.on_leaving import of_leaving
from reconciler.doctor.on_open import of_open
from reconciler.doctor.on_templates import BASE_CFG, at, of_template


_MOST_SLOTS = 1_000_000


def of_base_cfg(evidence: Evidence) -> Iterator[Finding]:
    """Say what is wrong with ``--base-cfg``; that none was given is no fault.

    Where HAProxy may read it in several ways, only what is wrong in each of them is said.
    """
    if not evidence.base_cfg:
        if not evidence.base_cfg_error:
            said = "not given: its pitfalls are not looked for (`--base-cfg FILE`)"
            yield found(Code.BASE_CFG, BASE_CFG, said, section=BASE_CFG)
        return
    first, *others = [list(_of_way(evidence, way)) for way in evidence.ways]
    yield from (one for one in first if all(one in other for other in others))
    yield from of_open(evidence)


def _of_way(evidence: Evidence, way: Cfg) -> Iterator[Finding]:
    yield from _of_globals(evidence, way)
    yield from _twice(way)
    filled = 0
    for section in way.sections:
        lines = _slot_lines(evidence, section)
        filled += bool(lines)
        for template in lines:
            yield from of_template(evidence, template)
        for spot, pitfall in _names(evidence, section):
            yield at(spot, pitfall)
        if lines and not section.open_lines and not _has_open_options(lines):
            for spot, pitfall in _of_section(evidence, way, section, lines):
                yield at(spot, pitfall)
    if not filled and not _has_open_prefix(way):
        yield _no_slots(evidence)
    yield from _differs(evidence, way)


def _slot_lines(evidence: Evidence, section: Section) -> list[Template]:
    prefix = evidence.settings.slot_prefix
    return [one for one in templates_in(section) if one.prefix == prefix]


def _has_open_options(lines: list[Template]) -> bool:
    return any(one.has_unknown_options for one in lines)


def _has_open_prefix(way: Cfg) -> bool:
    lines = (line for s in way.sections for line in s.own("server-template"))
    return any(1 in line.assumed for line in lines)


def _of_globals(evidence: Evidence, way: Cfg) -> Iterator[Finding]:
    """Judge all ``global`` sections as the one that they are together."""
    lines = [
        line
        for section in way.sections
        if section.kind == "global"
        for line in section.lines
    ]
    pitfalls = list(of_global(lines, _top(evidence), is_admin=evidence.is_admin))
    for spot, pitfall in pitfalls:
        yield at(spot, pitfall)
    if not pitfalls:
        said = "global: a runtime socket of level admin, for its group alone"
        if not any(line.starts("stats", "socket") for line in lines):
            said = (
                "global: no runtime socket, and one was reached that is of level admin"
            )
        yield found(Code.BASE_CFG, _name(evidence), said, section=BASE_CFG)


def _name(evidence: Evidence) -> str:
    """Return what the configuration as a whole is called."""
    return " ".join(map(str, evidence.settings.base_cfg)) or BASE_CFG


def _top(evidence: Evidence) -> Spot:
    return Spot(evidence.base_cfg[0].name, 1)


def _twice(way: Cfg) -> Iterator[Finding]:
    named = [s for s in way.sections if s.kind in PROXIES and not s.is_assumed]
    counts = Counter(section.name for section in named)
    last = {section.name: section for section in named}
    for name, section in last.items():
        if counts[name] > 1:
            pitfall = Pitfall(
                Code.BACKEND_TWICE,
                f"backend {name} is there {counts[name]} times: HAProxy does not start "
                "with this file",
                f"give it another name, or join the two into one `backend {name}`",
            )
            yield at(section.spot, pitfall)


def _no_slots(evidence: Evidence) -> Finding:
    prefix = evidence.settings.slot_prefix
    return found(
        Code.BASE_CFG_NO_SLOTS,
        _name(evidence),
        f"has no server-template line with prefix {prefix}",
        f"add `server-template {prefix} 1-32 127.255.255.1:PORT check disabled` to each "
        "backend that is to be filled, or correct --slot-prefix",
        section=BASE_CFG,
    )


def _of_section(
    evidence: Evidence, way: Cfg, section: Section, lines: list[Template]
) -> Iterator[tuple[Spot, Pitfall]]:
    if not section.has_option("redispatch"):
        yield (
            section.spot,
            Pitfall(
                Code.REDISPATCH,
                f"backend {section.name} has no `option redispatch`: a request that meets a "
                "container which has just ended is tried at the same one again, and lost",
                f"write `option redispatch 1` in `backend {section.name}` or in its `defaults`",
            ),
        )
    retries = section.nearest("retries")
    if retries is not None and retries.words[1:] == ("0",):
        yield (
            retries.spot,
            Pitfall(
                Code.RETRIES,
                f"`retries 0`: in backend {section.name} a request that meets a container "
                "which has just ended is lost",
                "write `retries 10`, and `retry-on conn-failure` in HTTP mode",
            ),
        )
    yield from _state_file(section, lines)
    release = next(iter(evidence.releases), None)
    yield from of_balancing(way, section, lines, release)
    yield from of_checks(section, lines)
    yield from of_leaving(section, lines)


def _state_file(
    section: Section, lines: list[Template]
) -> Iterator[tuple[Spot, Pitfall]]:
    line = section.nearest("load-server-state-from-file")
    if line is None or line.words[1:] == ("none",):
        return
    literal = [one for one in lines if "init-addr" not in one.options]
    if literal:
        yield (
            line.spot,
            Pitfall(
                Code.STATE_FILE,
                f"`{' '.join(line.words)}`: HAProxy restores state and port of the slots of "
                f"backend {section.name}, but not the address of line "
                f"{literal[0].spot.number}: they start ready at the placeholder",
                "write `load-server-state-from-file none`, or the line that docs/reloads.md "
                "gives: `slot.invalid:PORT init-addr last,127.255.255.1`",
            ),
        )


def _names(evidence: Evidence, section: Section) -> Iterator[tuple[Spot, Pitfall]]:
    """Find servers that are slots by their names, and were not meant to be."""
    prefix = evidence.settings.slot_prefix
    if section.kind not in PROXIES:
        return
    for line in section.own("server"):
        if slot_number(line.words[1] if line.words[1:] else "", prefix) is not None:
            yield line.spot, _by_hand(section, line, prefix)
    for template in templates_in(section):
        if slot_number(template.prefix, prefix) is not None:
            yield (
                template.spot,
                Pitfall(
                    Code.SLOT_PREFIX_CLASH,
                    f"`server-template {template.prefix}` makes servers named "
                    f"{template.prefix}1, which are slots too: they begin with {prefix} and "
                    "end in a number",
                    f"name it otherwise, such as `server-template own-{template.prefix}-`, or "
                    "choose another --slot-prefix",
                ),
            )


def _by_hand(section: Section, line: Line, prefix: str) -> Pitfall:
    name = line.words[1]
    return Pitfall(
        Code.SLOT_BY_HAND,
        f"server {name} of backend {section.name} is named as a slot: the daemon takes "
        "its address away",
        f"rename it, such as `server own-{name}`: what does not begin with {prefix} is "
        "never touched",
    )


def _differs(evidence: Evidence, way: Cfg) -> Iterator[Finding]:
    """Compare the slots of the file with those that each HAProxy reports."""
    written: dict[str, set[str]] = {}
    prefix = evidence.settings.slot_prefix
    for section in way.sections:
        names = {line.words[1] for line in section.own("server") if line.words[1:]}
        for template in templates_in(section):
            if template.numbers is None or template.has_unknown_name:
                return  # it comes from the environment
            first, last = template.numbers
            if last - first > _MOST_SLOTS:
                return  # no HAProxy runs that
            names |= {f"{template.prefix}{n}" for n in range(first, last + 1)}
        slots = {name for name in names if slot_number(name, prefix) is not None}
        if slots:
            written.setdefault(section.name, set()).update(slots)
    for proxy in evidence.proxies:
        if proxy.world.observed is not None:
            yield from _compared(evidence, proxy, written)


def _compared(
    evidence: Evidence, proxy: ProxyReading, written: dict[str, set[str]]
) -> Iterator[Finding]:
    slots = proxy.slots(evidence.settings.slot_prefix)
    for backend in sorted(written.keys() | slots.keys()):
        here, there = written.get(backend, set()), slots.get(backend, [])
        if here != {slot.ref.server for slot in there}:
            yield found(
                Code.BASE_CFG_DIFFERS,
                _name(evidence),
                f"it gives backend {backend} {len(here)} slots, and {proxy.name} has "
                f"{len(there)}: HAProxy runs another file, or an older one",
                "reload or restart HAProxy once, or let --base-cfg be the file that it runs",
                section=BASE_CFG,
            )
