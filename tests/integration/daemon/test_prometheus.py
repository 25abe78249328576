"""Prometheus itself reads the real daemon: format, alert rules, every panel's question."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from tests.integration.daemon.conftest import WEB, until_placed
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import HaproxyProcess
from tests.support.prometheus import DEPLOY, Prometheus, promtool


pytestmark = pytest.mark.integration

DASHBOARD = json.loads((DEPLOY / "grafana" / "reconciler.json").read_text())
EXPRESSIONS = {
    target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}
CHOSEN = {
    "$haproxy": ".*",
    "$backend": ".*",
    "$__rate_interval": "20s",
    "$__interval": "20s",
}
"""What Grafana puts in for its variables."""

MAY_BE_EMPTY = {one["expr"] for one in DASHBOARD["annotations"]["list"]}
"""HAProxy is not replaced here."""


def asked(expression: str) -> str:
    """Return an expression as Grafana would send it."""
    for name, value in CHOSEN.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


async def has_data(prometheus: Prometheus, expression: str) -> bool:
    """Whether a question is answered by a number."""
    found = await prometheus.query(asked(expression))
    return any(not math.isnan(float(series["value"][1])) for series in found)


async def test_the_daemons_metrics_are_as_prometheus_wants_them(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """promtool's linter has nothing to say about names, units, types or help."""
    engine.run_many(2, labels=WEB)
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await until_placed(haproxy3, engine, daemon)
        metrics = await daemon.get("/metrics")

    done = promtool("check", "metrics", text=metrics.body)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_every_panel_has_data(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, tmp_path: Path
) -> None:
    """A few seconds of life fill all panels; the rules load, and none of them fires."""
    engine.run_many(3, labels=WEB)
    async with (
        Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon,
        Prometheus(tmp_path, f"127.0.0.1:{daemon.port}") as prometheus,
    ):
        await until_placed(haproxy3, engine, daemon)
        await prometheus.until(
            lambda: has_data(prometheus, "reconciler_slots == 3"), "a scrape"
        )
        one, other = (engine.run(name, labels=WEB) for name in ("web-4", "web-5"))
        await until_placed(haproxy3, engine, daemon)
        engine.stop(one)
        engine.kill(other)
        await until_placed(haproxy3, engine, daemon)
        engine.run("bad", labels={**WEB, "haproxy.port": "x"})
        engine.connect("web-1", "mon")
        await prometheus.until(
            lambda: has_data(
                prometheus, "rate(reconciler_event_to_applied_seconds_count[20s]) > 0"
            ),
            "an event",
        )
        await prometheus.until(
            lambda: has_data(prometheus, 'reconciler_unplaced{cause="bad_label"} > 0'),
            "who has no slot",
        )
        await prometheus.until(
            lambda: has_data(
                prometheus, 'reconciler_tenants_kept{cause="unclear"} > 0'
            ),
            "who keeps one",
        )
        # Measured once a second.
        await prometheus.until(
            lambda: has_data(
                prometheus, "rate(reconciler_event_loop_lag_seconds_count[20s]) > 0"
            ),
            "the loop's lag",
        )
        empty = [one for one in EXPRESSIONS if not await has_data(prometheus, one)]
        for expression in MAY_BE_EMPTY:
            await prometheus.query(asked(expression))
        chosen = await _choices(prometheus)
        rules = await _rules(prometheus)
        firing = await prometheus.query('ALERTS{alertstate="firing"}')

    assert empty == []
    assert chosen == {"haproxy": [haproxy3.url], "backend": ["echo", "web"]}
    assert {rule["health"] for rule in rules} == {"ok"}, rules
    assert firing == []


async def _choices(prometheus: Prometheus) -> dict[str, list[str]]:
    """Return what each variable of the dashboard can be."""
    found = {}
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            definition = asked(variable["definition"])
            parts = re.fullmatch(r"label_values\((.+), (\w+)\)", definition)
            assert parts is not None
            query = {"match[]": parts[1]}
            found[variable["name"]] = await prometheus.get(
                f"label/{parts[2]}/values", **query
            )
    return found


async def _rules(prometheus: Prometheus) -> list[dict[str, Any]]:
    """Return all rules once each was evaluated."""
    found: list[dict[str, Any]] = []

    async def are_evaluated() -> bool:
        groups = (await prometheus.get("rules"))["groups"]
        found[:] = [rule for group in groups for rule in group["rules"]]
        return bool(found) and all(rule["health"] != "unknown" for rule in found)

    await prometheus.until(are_evaluated, "an evaluation of every rule")
    return found


async def test_alerts_fire_for_a_daemon_that_is_gone(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, tmp_path: Path
) -> None:
    """The real `up` of a killed daemon makes the alert pending at once."""
    async with (
        Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon,
        Prometheus(tmp_path, f"127.0.0.1:{daemon.port}") as prometheus,
    ):
        await daemon.wait_ready()
        await prometheus.until(lambda: has_data(prometheus, "up == 1"), "a scrape")
        await daemon.kill()
        await prometheus.until(
            lambda: has_data(prometheus, 'ALERTS{alertname="ReconcilerDown"}'),
            "the alert",
        )
