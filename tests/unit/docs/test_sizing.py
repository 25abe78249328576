"""Limits and time-outs as docs/sizing.md has them, in base.cfg and in the code."""

from __future__ import annotations

import re

import pytest
from tests.unit.docs import pages


SIZING = pages.text_of("docs/sizing.md")
BASE_CFG = pages.text_of("haproxy/base.cfg")
TIMEOUTS = pages.rows(SIZING, "time-out")
OF_BASE_CFG = [
    (setting, value)
    for row in TIMEOUTS
    for setting in pages.codes(row[0])
    for value in pages.codes(row[1])
    if setting.startswith(("timeout ", "hard-stop-after"))
]
OPTIONS = {
    pages.codes(row[0])[0].split()[0]: pages.codes(row[3])
    for row in pages.table(
        pages.section(pages.text_of("docs/configuration.md"), "Options"), "option"
    )
}
OF_THE_DAEMON = [
    (option, row[1])
    for row in TIMEOUTS
    for option in pages.codes(row[0])
    if option.startswith("--")
]


@pytest.mark.parametrize(("setting", "value"), OF_BASE_CFG)
def test_a_timeout_is_that_of_base_cfg(setting: str, value: str) -> None:
    """Each time-out of HAProxy has the value that stands in base.cfg."""
    assert re.search(rf"^ +{setting} {value}$", BASE_CFG, re.MULTILINE)


@pytest.mark.parametrize(("option", "shown"), OF_THE_DAEMON)
def test_a_timeout_is_the_default_of_its_option(option: str, shown: str) -> None:
    """Each time-out of the daemon has the default of docs/configuration.md."""
    assert f"{float(OPTIONS[option][0]):g} s" == shown


def test_the_limits_are_those_of_base_cfg() -> None:
    """The page advises the `stats` lines of base.cfg, and reckons with its `maxconn`."""
    rows = {row[0]: row[1] for row in pages.table(SIZING, "what")}

    assert f"stats maxconn {rows['`stats maxconn`']}" in BASE_CFG
    assert f"stats timeout {pages.codes(rows['`stats timeout`'])[0]}" in BASE_CFG
    assert "maxconn 8000\n" in BASE_CFG
    assert "base.cfg, with `maxconn 8000` and 96 slots" in SIZING
    assert sum(map(int, re.findall(r"server-template slot 1-(\d+)", BASE_CFG))) == 96


def test_the_reconcilers_own_figures_have_their_place() -> None:
    """The table of the daemon's memory and time is where its marks are."""
    place = SIZING.partition("<!-- figures: reconciler -->")[2]

    assert "<!-- end of figures: reconciler -->" in place
    assert pages.table(place, "containers")
