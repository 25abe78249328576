"""A HAProxy at an address of its own, with its runtime socket on TCP, as in a container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.haproxy_process import HaproxyProcess, haproxy_process


PORT = 9999

CONFIG = """
global
    stats socket ${HAPROXY_SOCKET} mode 600 level admin
    stats socket ipv4@{ADDRESS}:{PORT} level admin
    stats timeout 1h
    maxconn 256
    nbthread 1

defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s

backend web
    server-template slot 1-{SLOTS} 127.255.255.1:8000 disabled
"""
"""The unix socket is for the test's own eyes."""


@contextmanager
def haproxy_at(
    address: str, *, slots: int, version: str = "3.0", port: int = PORT
) -> Iterator[HaproxyProcess]:
    """Run a HAProxy for the length of a block, with slots in backend web, without checks."""
    text = CONFIG
    for word, value in (("ADDRESS", address), ("PORT", port), ("SLOTS", slots)):
        text = text.replace(f"{{{word}}}", str(value))
    with haproxy_process(version, config=text) as process:
        yield process
