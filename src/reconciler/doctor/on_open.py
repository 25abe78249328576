"""base.cfg: what depends on things that HAProxy does not tell, and so was not judged."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.base_cfg import PROXIES, templates_in
from reconciler.core.cfg_sections import Cfg, Section, Spot
from reconciler.doctor.evidence import Evidence
from reconciler.doctor.finding import Code, Finding, Pitfall
from reconciler.doctor.on_templates import at


_PLACES = range(1, 4)
"""Where in a ``server-template`` line its prefix, its numbers and its address stand."""


def of_open(evidence: Evidence) -> Iterator[Finding]:
    """Name each condition that nobody can decide, and each name or port nobody knows."""
    asked = {one.text: one.spot for way in evidence.ways for one in way.open}
    for text, spot in asked.items():
        yield at(
            spot,
            Pitfall(
                Code.BASE_CFG_CONDITION,
                f"`{text}` cannot be decided by what HAProxy tells: what depends on it is "
                "not judged, and no port is taken from there",
                "nothing, mostly; give a port that depends on it by `--backend-port`",
            ),
        )
    seen: set[Spot] = set()
    for way in evidence.ways:
        for spot, pitfall in _variables(way):
            if spot not in seen:
                seen.add(spot)
                yield at(spot, pitfall)


def _variables(way: Cfg) -> Iterator[tuple[Spot, Pitfall]]:
    for section in way.sections:
        if section.kind not in PROXIES:
            continue
        if section.is_assumed:
            yield section.spot, _name(section)
        for line in section.own("server-template"):
            words = [line.words[n] for n in _PLACES if n in line.assumed]
            if words:
                yield line.spot, _place(section, words)
        lines = templates_in(section)
        if any(one.has_unknown_options for one in lines):
            yield lines[0].spot, _anything(section)
        for line in section.open_lines if lines else ():
            yield line.spot, _anything(section)


def _name(section: Section) -> Pitfall:
    return Pitfall(
        Code.BASE_CFG_VARIABLE,
        "the name of this backend is a variable of HAProxy's environment, which HAProxy "
        f"does not tell: it is taken for {section.name}",
        f"give its port by `--backend-port {section.name}=PORT` if it has another name",
    )


def _place(section: Section, words: list[str]) -> Pitfall:
    return Pitfall(
        Code.BASE_CFG_VARIABLE,
        f"`{' '.join(words)}` is of HAProxy's environment, which HAProxy does not tell: "
        "nothing is taken from it",
        f"give the port by `--backend-port {section.name}=PORT`",
    )


def _anything(section: Section) -> Pitfall:
    return Pitfall(
        Code.BASE_CFG_VARIABLE,
        "what a variable of HAProxy's environment adds here HAProxy does not tell: of "
        f"backend {section.name} only names, addresses and ports are judged",
        "nothing, mostly: a socket of level operator or admin tells it",
    )
