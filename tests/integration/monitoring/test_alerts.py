"""Every alert, by Prometheus' own tool: it fires in its trouble, and in no other.

A scenario is a healthy hour with some series different from minute 30 on. The whole set of
alerts that fire is compared, so an alert that fires in somebody else's trouble is a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.support.prometheus import ALERTS, DEPLOY, promtool


pytestmark = pytest.mark.integration

STEPS = 60
"""Samples before and after the beginning of the trouble: minutes, half of them each."""

LABELS = 'job="reconciler",instance="a"'
HAPROXY = f'{LABELS},haproxy="unix:///h"'
BACKEND = f'{HAPROXY},backend="web"'
"""Curly braces are added where a series is written."""


def steady(value: float) -> str:
    """Return a series that never changes."""
    return f"{value}+0x{2 * STEPS}"


def rising(step: float) -> str:
    """Return a series that rises evenly from 0."""
    return f"0+{step}x{2 * STEPS}"


def then(before: str, after: str) -> str:
    """Return a series that is something else from minute 30 on."""
    return f"{before} {after}"


def level(before: float, after: float) -> str:
    """Return a gauge that jumps at minute 30 and stays there."""
    return then(f"{before}+0x{STEPS - 1}", f"{after}+0x{STEPS}")


def counter(step: float) -> str:
    """Return a counter that begins to rise at minute 30, by so much each half minute."""
    return then(f"0+0x{STEPS - 1}", f"{step}+{step}x{STEPS}")


def gone() -> str:
    """Return a gauge that was 1 and is not there from minute 30 on."""
    return then(f"1+0x{STEPS - 1}", f"_x{STEPS}")


def stopped() -> str:
    """Return a clock that stands from minute 30 on."""
    return then(f"0+30x{STEPS - 1}", f"{30 * STEPS}+0x{STEPS}")


def _histogram(name: str, labels: str, quick: str, slow: str) -> dict[str, str]:
    """Return two buckets: below 10 ms, and up to ten seconds."""
    return {
        f'{name}_bucket{{{labels},le="0.01"}}': quick,
        f'{name}_bucket{{{labels},le="10"}}': slow,
        f'{name}_bucket{{{labels},le="+Inf"}}': slow,
    }


EVENTS = "reconciler_event_to_applied_seconds"
LAG = "reconciler_event_loop_lag_seconds"
HEALTHY: dict[str, str] = {
    f"up{{{LABELS}}}": steady(1),
    f"process_start_time_seconds{{{LABELS}}}": steady(5),
    f"reconciler_docker_up{{{LABELS}}}": steady(1),
    f"reconciler_haproxies_missing{{{LABELS}}}": steady(0),
    f"reconciler_docker_losses_total{{{LABELS}}}": steady(1),
    f"reconciler_docker_list_timestamp_seconds{{{LABELS}}}": rising(30),
    f"reconciler_resync_corrections_total{{{LABELS}}}": steady(2),
    f"reconciler_desired_generation{{{LABELS}}}": rising(1),
    f"reconciler_observed_generation{{{HAPROXY}}}": rising(1),
    f"reconciler_haproxy_up{{{HAPROXY}}}": steady(1),
    f"reconciler_converged{{{HAPROXY}}}": steady(1),
    f"reconciler_last_converged_timestamp_seconds{{{HAPROXY}}}": rising(30),
    f"reconciler_resync_interval_seconds{{{HAPROXY}}}": steady(30),
    f"reconciler_haproxy_connects_total{{{HAPROXY}}}": steady(1),
    f"reconciler_haproxy_process_changes_total{{{HAPROXY}}}": steady(0),
    f'reconciler_commands_total{{{HAPROXY},result="done"}}': rising(5),
    f'reconciler_commands_total{{{HAPROXY},result="refused"}}': steady(1),
    f'reconciler_slots{{{BACKEND},state="free"}}': steady(6),
    f'reconciler_slots{{{BACKEND},state="ready"}}': steady(4),
    f'reconciler_slots{{{BACKEND},state="down"}}': steady(0),
    f"reconciler_slots_capacity{{{BACKEND}}}": steady(10),
    f"reconciler_slots_held{{{BACKEND}}}": steady(0),
    f'reconciler_unplaced{{{BACKEND},cause="no_slot"}}': steady(0),
    f'reconciler_unplaced{{{BACKEND},cause="slot_busy"}}': steady(0),
    f'reconciler_unplaced{{{BACKEND},cause="starting"}}': steady(0),
    f'reconciler_unplaced{{{BACKEND},cause="stopping"}}': steady(0),
    f'reconciler_unplaced{{{BACKEND},cause="bad_label"}}': steady(0),
    **_histogram(EVENTS, HAPROXY, rising(1), rising(1)),
    **_histogram(LAG, LABELS, rising(30), rising(30)),
}


def changed(**series: str) -> dict[str, str]:
    """Return series by the short names that scenarios use, in full."""
    return {_full(name): values for name, values in series.items()}


def _full(name: str) -> str:
    word, _, label = name.partition("__")
    found = [
        series
        for series in HEALTHY
        if series.partition("{")[0].removeprefix("reconciler_") == word
        and (not label or f'="{label}"' in series)
    ]
    assert len(found) == 1, (name, found)
    return found[0]


class Scenario(NamedTuple):
    """A trouble from minute 30 on."""

    trouble: Mapping[str, str]
    quiet_until: str
    """No alert fires at this moment: the trouble may pass by itself."""
    fires_by: str
    fires: frozenset[str]
    """All that fire then."""


def _only(
    trouble: Mapping[str, str], quiet_until: str, fires_by: str, *fires: str
) -> Scenario:
    return Scenario(trouble, quiet_until, fires_by, frozenset(fires))


SCENARIOS: dict[str, Scenario] = {
    "the daemon does not answer": _only(
        changed(up=level(1, 0)), "30m30s", "32m", "ReconcilerDown"
    ),
    "the daemon is scraped no more": _only(
        changed(up=gone()), "30m30s", "37m", "ReconcilerDown"
    ),
    "haproxy is dead, so nothing converges": _only(
        changed(
            haproxy_up=level(1, 0),
            converged=level(1, 0),
            last_converged_timestamp_seconds=stopped(),
            observed_generation=then(f"0+1x{STEPS - 1}", f"{STEPS}+0x{STEPS}"),
        ),
        *("30m30s", "45m", "ReconcilerHaproxyUnreachable"),
    ),
    "no haproxy is found": _only(
        changed(haproxies_missing=level(0, 1)),
        *("34m", "45m", "ReconcilerHaproxyNotFound"),
    ),
    "docker is dead": _only(
        changed(docker_up=level(1, 0), docker_list_timestamp_seconds=stopped()),
        *("30m30s", "45m", "ReconcilerDockerUnreachable"),
    ),
    "haproxy's session is cut each minute": _only(
        changed(haproxy_connects_total=counter(0.5)),
        *("34m", "40m", "ReconcilerHaproxyFlaps"),
    ),
    "haproxy is reloaded each minute": _only(
        changed(
            haproxy_connects_total=counter(0.5),
            haproxy_process_changes_total=counter(0.5),
        ),
        *("32m", "40m", "ReconcilerHaproxyReplaced"),
    ),
    "docker's stream is cut each minute": _only(
        changed(docker_losses_total=then(f"1+0x{STEPS - 1}", f"1+0.5x{STEPS}")),
        *("32m", "40m", "ReconcilerDockerFlaps"),
    ),
    "haproxy refuses": _only(
        changed(converged=level(1, 0), last_converged_timestamp_seconds=stopped()),
        *("30m30s", "45m", "ReconcilerNotConverged"),
    ),
    "a worker takes no events": _only(
        changed(observed_generation=then(f"0+1x{STEPS - 1}", f"{STEPS}+0x{STEPS}")),
        *("31m", "34m", "ReconcilerMapBehind"),
    ),
    "a worker hangs": _only(
        changed(last_converged_timestamp_seconds=stopped()),
        *("32m30s", "36m", "ReconcilerPassesStopped"),
    ),
    "docker is not listed any more": _only(
        changed(docker_list_timestamp_seconds=stopped()),
        *("32m30s", "36m", "ReconcilerDockerListOld"),
    ),
    "events get lost": _only(
        changed(resync_corrections_total=then(f"2+0x{STEPS - 1}", f"3+1x{STEPS}")),
        *("30m30s", "32m", "ReconcilerEventsMissed"),
    ),
    "changes take seconds": _only(
        _histogram(
            EVENTS, HAPROXY, then(f"0+1x{STEPS - 1}", f"60+0x{STEPS}"), rising(1)
        ),
        *("33m", "45m", "ReconcilerLate"),
    ),
    "the loop is held up": _only(
        _histogram(
            LAG, LABELS, then(f"0+30x{STEPS - 1}", f"1800+0x{STEPS}"), rising(30)
        ),
        *("38m", "50m", "ReconcilerLoopSlow"),
    ),
    "all that live are draining": _only(
        changed(slots__ready=level(4, 0)), "31m30s", "33m", "ReconcilerNobodyReady"
    ),
    "the first containers of a backend never start": _only(
        changed(
            slots__free=level(6, 10),
            slots__ready=level(4, 0),
            unplaced__starting=level(0, 2),
        ),
        *("31m30s", "33m", "ReconcilerNobodyReady"),
    ),
    "more containers than slots": _only(
        changed(
            slots__free=level(6, 0),
            slots__ready=level(4, 10),
            unplaced__no_slot=level(0, 2),
        ),
        *("30m30s", "33m", "ReconcilerNoSlot"),
    ),
    "nearly full": _only(
        changed(slots__free=level(6, 0), slots__ready=level(4, 10)),
        *("39m", "41m", "ReconcilerFewFreeSlots"),
    ),
    "all free slots drain": _only(
        changed(unplaced__slot_busy=level(0, 2)), "34m", "36m", "ReconcilerSlotsBusy"
    ),
    "a label is wrong": _only(
        changed(unplaced__bad_label=level(0, 1)), "34m", "36m", "ReconcilerLeftOut"
    ),
    "a healthcheck never passes": _only(
        changed(unplaced__starting=level(0, 1)), "44m", "46m", "ReconcilerNotHealthy"
    ),
    "haproxy's checks fail": _only(
        changed(slots__down=level(0, 1)), "34m", "36m", "ReconcilerSlotsDown"
    ),
    "a hold is forgotten": _only(
        changed(up="1+0x3100", slots_held=then(f"0+0x{STEPS - 1}", "2+0x3000")),
        *("24h29m", "24h31m", "ReconcilerHeldForLong"),
    ),
    "commands are refused, not always": _only(
        changed(commands_total__refused=then(f"1+0x{STEPS - 1}", f"1+0.5x{STEPS}")),
        *("44m", "50m", "ReconcilerCommandsRefused"),
    ),
    "the daemon dies each minute": _only(
        changed(
            process_start_time_seconds=then(f"5+0x{STEPS - 1}", f"1800+30x{STEPS}")
        ),
        *("30m30s", "32m", "ReconcilerRestarts"),
    ),
    # What looks like trouble, and is none.
    "one haproxy restart": _only(
        changed(
            haproxy_process_changes_total=level(0, 1),
            haproxy_connects_total=level(1, 2),
        ),
        *("31m", "45m"),
    ),
    "an engine restart that changed all": _only(
        changed(docker_losses_total=level(1, 2), resync_corrections_total=level(2, 60)),
        *("31m", "45m"),
    ),
    "one refused command": _only(
        changed(commands_total__refused=level(1, 2)), "31m", "55m"
    ),
    "scaled to zero": _only(
        changed(slots__free=level(6, 10), slots__ready=level(4, 0)), "31m", "55m"
    ),
    "somebody without a slot is stopped": _only(
        changed(unplaced__stopping=level(0, 1)), "31m", "55m"
    ),
    "one restart of the daemon": _only(
        changed(process_start_time_seconds=level(5, 1800)), "31m", "45m"
    ),
}

FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


def _test(name: str, scenario: Scenario) -> dict[str, Any]:
    series = {**HEALTHY, **scenario.trouble}
    moments = [
        ("29m30s", frozenset[str]()),
        (scenario.quiet_until, frozenset[str]()),
        (scenario.fires_by, scenario.fires),
    ]
    return {
        "name": name,
        "interval": "30s",
        "input_series": [
            {"series": one, "values": values} for one, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": FIRING,
                "eval_time": moment,
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1}
                    for alert in sorted(fires)
                ],
            }
            for moment, fires in moments
        ],
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_alerts_of_a_trouble(name: str, tmp_path: Path) -> None:
    """Nothing fires before it or at its beginning; then exactly what it is about does."""
    path = tmp_path / "tests.yml"
    document = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "30s",
        "tests": [_test(name, SCENARIOS[name])],
    }
    path.write_text(yaml.safe_dump(document))

    done = promtool("test", "rules", str(path))

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_scenario() -> None:
    """No alert is without a trouble in which it fires."""
    rules = yaml.safe_load(ALERTS.read_text())["groups"]
    alerts = {rule["alert"] for group in rules for rule in group["rules"]}

    assert alerts == {alert for one in SCENARIOS.values() for alert in one.fires}


@pytest.mark.parametrize("name", ["prometheus.yml", "compose.yml"])
def test_prometheus_takes_the_configuration_with_the_rules(name: str) -> None:
    """promtool finds nothing wrong, in what loads the rules nor in the rules."""
    done = promtool("check", "config", str(DEPLOY / "prometheus" / name))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout
