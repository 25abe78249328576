"""Dashboard, alerts and runbook against the code's metrics, and against one another."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.unit.docs import pages
from tests.unit.docs.test_operations import exposed_metrics


DASHBOARD = json.loads(pages.text_of("deploy/grafana/reconciler.json"))
RULES = [
    rule
    for group in yaml.safe_load(pages.text_of("deploy/prometheus/alerts.yml"))["groups"]
    for rule in group["rules"]
]
RUNBOOK = pages.text_of("docs/runbook.md")
LEFT_OUT = {
    "process_virtual_memory_bytes": "address space that is not used costs nothing",
}
"""Metrics that are not on the dashboard, with the reason."""

_METRIC = re.compile(r"\b(?:reconciler|process)_\w+")
_OF_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")
_WIDTH = 24


def _panels() -> list[dict[str, Any]]:
    return [one for one in DASHBOARD["panels"] if one["type"] != "row"]


def _expressions() -> Iterator[str]:
    for panel in _panels():
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["expr"] for one in DASHBOARD["annotations"]["list"])
    for variable in DASHBOARD["templating"]["list"]:
        yield str(variable.get("definition", ""))


def _metrics(expression: str) -> set[str]:
    found: list[str] = _METRIC.findall(expression)
    return {_OF_HISTOGRAM.sub("", name) for name in found}


def test_every_metric_of_the_dashboard_is_told() -> None:
    """No panel, annotation or variable asks for what the daemon does not have."""
    used = set().union(*map(_metrics, _expressions()))

    assert used - exposed_metrics().keys() == set()


def test_every_metric_is_on_the_dashboard() -> None:
    """What is not shown is left out for a reason, and only that."""
    used = set().union(*map(_metrics, _expressions()))

    assert exposed_metrics().keys() - used == LEFT_OUT.keys()


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    """Grafana would move them about, differently on every load."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)

    for one, other in itertools.combinations(DASHBOARD["panels"], 2):
        a, b = one["gridPos"], other["gridPos"]
        is_beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        is_below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert is_beside or is_below, (one["title"], other["title"])
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= _WIDTH for p in _panels())


@pytest.mark.parametrize("panel", _panels(), ids=lambda panel: str(panel["title"]))
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """It has a title, a unit, the chosen datasource, and differently named targets."""
    targets = panel["targets"]
    names = [target["refId"] for target in targets]

    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    for place in (panel, *targets):
        assert place["datasource"]["uid"] == "${datasource}"
    assert len(set(names)) == len(names) > 0


def test_the_dashboard_has_an_address_of_its_own_and_its_variables() -> None:
    """A stable uid, so that a new version replaces the old; three variables to choose by."""
    names = [one["name"] for one in DASHBOARD["templating"]["list"]]

    assert DASHBOARD["uid"] == "slot-reconciler"
    assert names == ["datasource", "haproxy", "backend"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_it_is_about(rule: dict[str, Any]) -> None:
    """Severity, summary, description, its section; of metrics and labels that exist."""
    metrics = exposed_metrics()
    used = _metrics(rule["expr"])
    texts = rule["annotations"]
    shown = set(re.findall(r"\$labels\.(\w+)", " ".join(texts.values())))
    labels = set().union(*(metrics[name] for name in used)) | {"instance"}

    assert rule["labels"]["severity"] in ("critical", "warning")
    assert list(texts) == ["summary", "description", "runbook_url"]
    assert texts["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert used <= metrics.keys()
    assert shown <= labels


def test_every_alert_has_its_section_in_the_runbook() -> None:
    """And every section its alert, in the same order."""
    sections = re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE)

    assert [rule["alert"] for rule in RULES] == sections


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_section_of_the_runbook_is_whole(rule: dict[str, Any]) -> None:
    """What it means, how to see it, what to do, and when it is over."""
    part = pages.section(RUNBOOK, rule["alert"])

    assert re.findall(r"^\*\*(.+?):\*\*", part, re.MULTILINE) == [
        "Means",
        "See",
        "Do",
        "Over when",
    ]
    assert set(_METRIC.findall(part)) <= exposed_metrics().keys()


def test_what_compose_mounts_is_there() -> None:
    """Every file and folder of the monitoring stack, by its path from compose/."""
    text = pages.text_of("deploy/compose.monitoring.yaml")
    services = yaml.safe_load(text)["services"]
    mounted = [
        mount.partition(":")[0]
        for service in services.values()
        for mount in service.get("volumes", ())
        if mount.startswith("..")
    ]
    missing = [one for one in mounted if not (pages.ROOT / "compose" / one).exists()]

    assert mounted
    assert missing == []


def test_what_is_open_is_open_to_this_machine_alone() -> None:
    """Nothing of the monitoring stack is published on other addresses than 127.0.0.1."""
    text = pages.text_of("deploy/compose.monitoring.yaml")
    ports = [
        port
        for service in yaml.safe_load(text)["services"].values()
        for port in service.get("ports", ())
    ]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
