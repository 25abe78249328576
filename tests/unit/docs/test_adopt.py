"""docs/adopt.md: its Compose file, its two configurations and its table fit together."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from tests.unit.docs import pages
from tests.unit.docs.test_docs import LABELS

from reconciler.core import base_cfg


PAGE = pages.text_of("docs/adopt.md")
OPERATIONS = pages.text_of("docs/operations.md")
COMPOSE: dict[str, Any] = yaml.safe_load(pages.block(PAGE, "yaml"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HAPROXY, DOCKER_PROXY = pages.blocks(PAGE, "haproxy")
TEMPLATES = {one.backend: one for one in base_cfg.templates(HAPROXY)}
THE_DEMO_STACK: dict[str, Any] = yaml.safe_load(pages.text_of("compose/compose.yaml"))
ROWS = pages.table(PAGE, "service")


def _labels(service: str) -> dict[str, str]:
    labels: dict[str, str] = SERVICES[service].get("labels", {})
    return labels


def _backend(service: str) -> str:
    return _labels(service).get("haproxy.backend", service)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_service_is_in_the_backend_of_its_row(row: list[str]) -> None:
    """The table says of each service the backend and the port that the files give it."""
    (service,) = pages.codes(row[0])
    template = TEMPLATES.get(_backend(service))
    if template is None:
        assert row[1:] == ["none", row[2], ""]
        return
    port = _labels(service).get("haproxy.port", str(template.port))

    assert [_backend(service)] == pages.codes(row[1])
    assert row[3].partition(",")[0] == port
    assert ("its label" in row[2]) == ("haproxy.backend" in _labels(service))


def test_every_backend_with_slots_is_in_the_table() -> None:
    """Nobody's slots are left without a service, and every service of the file is told."""
    told = {service for row in ROWS for service in pages.codes(row[0])}

    assert {_backend(service) for service in told} >= set(TEMPLATES)
    assert set(SERVICES) - told == {"haproxy", "reconciler", "docker-proxy"}


def test_the_labels_exist() -> None:
    """Each label of the Compose file is one that the rules read."""
    used = {label for service in SERVICES for label in _labels(service)}

    assert used <= LABELS


def test_the_slots_are_as_operations_asks() -> None:
    """Each template has a placeholder that means free, a port, and starts disabled."""
    for line in re.findall(r"^ +server-template .*$", HAPROXY, re.MULTILINE):
        assert re.search(r"127\.255\.255\.\d+:\d+ .*\bdisabled$", line), line


def test_what_is_named_is_declared() -> None:
    """Networks and volumes that services use are declared, and none besides."""
    networks = {name for one in SERVICES.values() for name in one["networks"]}
    mounts = [v for one in SERVICES.values() for v in one.get("volumes", [])]
    named = {v.partition(":")[0] for v in mounts if v[0] not in "./"}

    assert networks == set(COMPOSE["networks"])
    assert named == set(COMPOSE["volumes"])


@pytest.mark.parametrize("service", ["haproxy", "reconciler"])
def test_users_and_volume_are_those_of_the_demo_stack(service: str) -> None:
    """What lets the two open the socket is what the demo stack is tested with."""
    theirs = THE_DEMO_STACK["services"][service]

    assert SERVICES[service].get("user") == theirs.get("user")
    assert SERVICES[service].get("stop_signal") == theirs.get("stop_signal")
    assert COMPOSE["volumes"] == THE_DEMO_STACK["volumes"]


def test_haproxy_and_the_reconciler_meet() -> None:
    """They share a network with all who get traffic, and the same configuration."""
    reconciler, haproxy = SERVICES["reconciler"], SERVICES["haproxy"]
    environment = reconciler["environment"]
    mounted = {v.split(":")[0]: v.split(":")[1] for v in reconciler["volumes"]}

    assert set(haproxy["networks"]) <= set(reconciler["networks"])
    for service in map(pages.codes, (row[0] for row in ROWS[:-1])):
        shared = set(SERVICES[service[0]]["networks"]) & set(reconciler["networks"])
        assert shared == {"front"}
    assert mounted["./haproxy.cfg"] == environment["RECONCILER_BASE_CFG"]
    assert environment["RECONCILER_HAPROXY"] == "unix:///run/haproxy/admin.sock"
    assert (
        set(haproxy["volumes"])
        >= {"runtime:/run/haproxy"}
        <= set(reconciler["volumes"])
    )


def test_the_reconciler_reaches_docker_through_the_proxy_alone() -> None:
    """Only the proxy has Docker's socket, and only the reconciler is on its network."""
    assert [s for s in SERVICES if "/var/run" in str(SERVICES[s].get("volumes"))] == [
        "docker-proxy"
    ]
    assert [s for s in SERVICES if "docker" in SERVICES[s]["networks"]] == [
        "reconciler",
        "docker-proxy",
    ]
    assert COMPOSE["networks"]["docker"] == {"internal": True}
    assert SERVICES["docker-proxy"]["networks"] == ["docker"]


def test_the_proxy_has_the_documented_allow_list() -> None:
    """The proxy's expression is the one of docs/operations.md."""
    allowed = pages.block(pages.section(OPERATIONS, "Docker"), "text").strip()

    assert f"{{ path -m reg {allowed} }}" in DOCKER_PROXY
