"""Reading the tables of docs/from-dockercloud-haproxy.md."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.unit.docs import pages


PAGE = pages.text_of("docs/from-dockercloud-haproxy.md")
GLOBAL = pages.table(
    pages.section(PAGE, "Settings of the HAProxy container"), "variable"
)
OF_SERVICES = pages.table(
    pages.section(PAGE, "Settings of the application services"), "variable or label"
)
_LINE = re.compile(r"(\w+): `([^`]+)`")
_TIMEOUTS = "    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\n"
_TO_NAME = "backend web\nbackend spare\n"


class Line(NamedTuple):
    """A line of HAProxy's configuration, and the kind of section it belongs in."""

    section: str
    text: str


def lines(row: list[str]) -> list[Line]:
    """Return the configuration lines that a row of a table gives."""
    return [Line(*found) for found in _LINE.findall(row[2])]


def configuration(rows: list[list[str]]) -> str:
    """Return one configuration with each row's lines in sections of their own."""
    every = [lines(row) for row in rows]
    parts = ["global\n", *(_indented(some, "global") for some in every)]
    parts += [f"defaults\n    mode http\n{_TIMEOUTS}"]
    parts += ["userlist staff\n", *(_indented(some, "userlist") for some in every)]
    for number, some in enumerate(every):
        for section in ("backend", "frontend"):
            if body := _indented(some, section):
                parts += [f"{section} row-{number}\n{_bind(section, number)}{body}"]
    parts += [_TO_NAME]
    for number, some in enumerate(every):
        if body := _indented(some, "defaults"):
            parts += [f"defaults row-{number}\n{_TIMEOUTS}{body}"]
    return "".join(parts)


def _bind(section: str, number: int) -> str:
    return f"    bind 127.0.0.1:{20000 + number}\n" if section == "frontend" else ""


def _indented(some: list[Line], section: str) -> str:
    return "".join(f"    {line.text}\n" for line in some if line.section == section)
