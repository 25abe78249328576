"""docs/from-dockercloud-haproxy.md: nothing is left out, and its example is ours."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.unit.docs import pages
from tests.unit.docs.dockercloud import GLOBAL, OF_SERVICES, PAGE, lines
from tests.unit.docs.test_docs import LABELS

from reconciler.core import base_cfg


OF_THE_CONTAINER = [
    "ADDITIONAL_SERVICES",
    "SWARM_MODE_POLLING_INTERVAL",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "HOSTNAME",
    "DOCKERCLOUD_AUTH",
    "DOCKERCLOUD_CONTAINER_API_URI",
    "DOCKERCLOUD_SERVICE_API_URI",
    "HEALTH_CHECK",
    "EXTRA_ROUTE_SETTINGS",
    "RELOAD_TIMEOUT",
    "ADDITIONAL_BACKEND_<NAME>",
    "ADDITIONAL_BACKEND_FILE_<NAME>",
    "ADDITIONAL_BACKENDS",
    "BALANCE",
    "MODE",
    "MAXCONN",
    "NBPROC",
    "OPTION",
    "TIMEOUT",
    "EXTRA_GLOBAL_SETTINGS",
    "EXTRA_GLOBAL_SETTINGS_FILE",
    "EXTRA_DEFAULT_SETTINGS",
    "EXTRA_DEFAULT_SETTINGS_FILE",
    "EXTRA_FRONTEND_SETTINGS_<PORT>",
    "EXTRA_FRONTEND_SETTINGS_FILE_<PORT>",
    "EXTRA_BIND_SETTINGS",
    "FORCE_DEFAULT_BACKEND",
    "CA_CERT",
    "CA_CERT_FILE",
    "CERT_FOLDER",
    "DEFAULT_SSL_CERT",
    "SSL_CERT",
    "EXTRA_SSL_CERTS",
    "SSL_BIND_CIPHERS",
    "SSL_BIND_OPTIONS",
    "HTTP_BASIC_AUTH",
    "HTTP_BASIC_AUTH_SECURE",
    "MONITOR_URI",
    "MONITOR_PORT",
    "STATS_AUTH",
    "STATS_PORT",
    "RSYSLOG_DESTINATION",
    "SKIP_FORWARDED_PROTO",
    "HAPROXY_USER",
    "HAPROXY_GROUP",
    "DEBUG",
]
OF_THE_SERVICES = [
    "SERVICE_PORTS",
    "com.docker.dockercloud.haproxy.deactivate",
    "EXCLUDE_PORTS",
    "FAILOVER",
    "HEALTH_CHECK",
    "HTTP_CHECK",
    "COOKIE",
    "APPSESSION",
    "EXTRA_ROUTE_SETTINGS",
    "TCP_PORTS",
    "VIRTUAL_HOST",
    "VIRTUAL_HOST_WEIGHT",
    "BALANCE",
    "OPTION",
    "EXTRA_SETTINGS",
    "FORCE_SSL",
    "GZIP_COMPRESSION_TYPE",
    "HSTS_MAX_AGE",
    "EXCLUDE_BASIC_AUTH",
    "SSL_CERT",
    "DEFAULT_SSL_CERT",
    "links",
]
SECTIONS = {"global", "defaults", "frontend", "backend", "userlist"}

BEFORE, AFTER = (yaml.safe_load(block) for block in pages.blocks(PAGE, "yaml"))
TEMPLATES = base_cfg.templates(pages.block(PAGE, "haproxy"))
OF_ADOPT: dict[str, Any] = yaml.safe_load(
    pages.block(pages.text_of("docs/adopt.md"), "yaml")
)


def test_every_setting_of_the_container_has_a_row() -> None:
    """The first table has each variable of dockercloud/haproxy once, in this order."""
    assert pages.first_codes(GLOBAL) == OF_THE_CONTAINER


def test_every_setting_of_the_services_has_a_row() -> None:
    """The second table has each variable and label once, in this order."""
    assert pages.first_codes(OF_SERVICES) == OF_THE_SERVICES


@pytest.mark.parametrize(
    "row",
    [
        *(pytest.param(row, id=f"container-{row[0]}") for row in GLOBAL),
        *(pytest.param(row, id=f"service-{row[0]}") for row in OF_SERVICES),
    ],
)
def test_a_row_has_an_answer(row: list[str]) -> None:
    """Each row says what to do, and its lines say which section they belong in."""
    _, answer, configuration = row

    assert answer
    assert {line.section for line in lines(row)} <= SECTIONS
    assert [line.text for line in lines(row)] == pages.codes(configuration)


def test_the_example_keeps_every_service_and_port() -> None:
    """After the move the same services are published on the same ports."""
    old, new = BEFORE["services"], AFTER["services"]
    published = [port.rsplit(":", 1)[0] for port in old["lb"]["ports"]]

    assert set(old) - {"lb"} == set(new) - {"haproxy"} == set(old["lb"]["links"])
    assert [one.rsplit(":", 1)[0] for one in new["haproxy"]["ports"]] == published


def test_the_example_fits_what_it_is_added_to() -> None:
    """Every service has slots by its name, and HAProxy is that of docs/adopt.md."""
    services = AFTER["services"]
    ours, theirs = services["haproxy"], OF_ADOPT["services"]["haproxy"]

    assert {one.backend for one in TEMPLATES} == set(services) - {"haproxy"}
    assert {**ours, "ports": None} == {**theirs, "ports": None}
    for one in services.values():
        assert set(one.get("labels", {})) <= LABELS
        assert set(one["networks"]) <= set(OF_ADOPT["services"]["haproxy"]["networks"])
