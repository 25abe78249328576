"""What the static configuration says of its slots."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from tests.support.haproxy_process import BASE_CFG

from reconciler.core.base_cfg import default_ports, templates


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "server-template slot 1-4 127.255.255.1:80 disabled", 80, id="port"
        ),
        pytest.param(
            "server-template slot 1-4 127.255.255.1 disabled", None, id="none"
        ),
        pytest.param("server-template slot 4 [::1]:8080 check", 8080, id="ipv6"),
        pytest.param(
            'server-template slot 1-4 "127.255.255.1:90" disabled', 90, id="quoted"
        ),
        pytest.param(
            'server-template slot 1-4 "127.0.0.1:${PORT}" disabled',
            None,
            id="environment",
        ),
        pytest.param("server-template slot 1-4 127.0.0.1:0", None, id="port-0"),
        pytest.param("server-template slot 1-4 127.0.0.1:70000", None, id="port-70000"),
        pytest.param("server-template slot 1-4 127.0.0.1:+80", None, id="port-map"),
        pytest.param("server-template slot 1-4 127.0.0.1:٣", None, id="arabic-digit"),
        pytest.param("server-template slot 1-4 127.0.0.1:80 # :90", 80, id="comment"),
    ],
)
def test_default_port(line: str, expected: int | None) -> None:
    """The port of a line counts only where it is written as one."""
    text = f"backend web\n    {line}\n"

    assert [t.port for t in templates(text)] == [expected]
    assert default_ports(text, "slot") == (
        {} if expected is None else {"web": expected}
    )


def test_only_lines_of_backends_count() -> None:
    """Comments, other sections, other prefixes and broken lines are no slots."""
    text = """
defaults
    server-template slot 1-4 127.0.0.1:1
backend web from http   # of the shop
    # server-template slot 1-4 127.0.0.1:2
    server-template other 1-4 127.0.0.1:3
    server-template slot 1-4
    server-template slot 1-4 127.0.0.1:4 check disabled
listen both
    server-template slot 1-4 127.0.0.1:5
frontend f
    server-template slot 1-4 127.0.0.1:6
backend
    server-template slot 1-4 it's:7
"""
    assert default_ports(text, "slot") == {"web": 4, "both": 5, "": 7}
    found = [t for t in templates(text) if t.backend == "web" and t.prefix == "slot"]
    assert [(t.line_number, t.words) for t in found] == [(8, ("check", "disabled"))]


def test_the_shipped_configuration() -> None:
    """The ports that base.cfg promises."""
    assert default_ports(BASE_CFG.read_text(), "slot") == {"web": 8000, "echo": 9000}


@given(st.text() | st.text(alphabet="backend server-template slot 1-4:80\n'\"\\#$"))
def test_any_text_is_read(text: str) -> None:
    """Nothing that stands in a file makes reading it fail."""
    for found in templates(f"backend web\n{text}\nserver-template slot 1-2 {text}"):
        assert found.port is None or 1 <= found.port <= 65535
