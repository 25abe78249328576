"""A HAProxy of each version, with the configuration that is shipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.haproxy_process import VERSIONS, HaproxyProcess, haproxy_process


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each version that the tests run against."""
    value: str = request.param
    return value


@pytest.fixture
def haproxy(version: str) -> Iterator[HaproxyProcess]:
    """A running HAProxy with the shipped configuration."""
    with haproxy_process(version) as process:
        yield process
