"""What the static configuration says of its slots."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from tests.support.haproxy_process import BASE_CFG

from reconciler.core.base_cfg import default_ports, templates
from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import NO_FACTS, CfgFile


def ports(text: str, facts: Facts = NO_FACTS) -> dict[str, int]:
    """Return the default ports of one file."""
    return default_ports([CfgFile("h.cfg", text)], "slot", facts)


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
    assert ports(text) == ({} if expected is None else {"web": expected})


TLS = """
backend web
.if defined(APP_TLS)
    server-template slot 1-4 127.255.255.1:8443 ssl disabled
.else
    server-template slot 1-4 127.255.255.1:8080 disabled
.endif
"""
OLD = """
backend web
.if version_before(3.1)
    server-template slot 1-4 127.255.255.1:8080 disabled
.else
    server-template slot 1-4 127.255.255.1:9090 disabled
.endif
"""
TWO = """
backend web
.if {}
    server-template slot 1-4 127.255.255.1:8080 disabled
.endif
.if feature(LUA)
    server-template slot 5-8 127.255.255.1:{} disabled
.endif
"""
LINE = "    server-template slot 1-4 127.255.255.1:{} disabled\n"


@pytest.mark.parametrize(
    ("text", "facts", "expected"),
    [
        pytest.param(TLS, Facts(), {}, id="nobody-tells"),
        pytest.param(
            TLS, Facts(environment={"APP_TLS": None}), {"web": 8080}, id="not-set"
        ),
        pytest.param(
            TLS, Facts(environment={"APP_TLS": ""}), {"web": 8443}, id="set-to-nothing"
        ),
        pytest.param(OLD, Facts(), {}, id="no-release"),
        pytest.param(OLD, Facts(version="3.0.11"), {"web": 8080}, id="older"),
        pytest.param(OLD, Facts(version="3.1.0"), {"web": 9090}, id="newer"),
        pytest.param(
            TLS.replace("8443", "8080"), Facts(), {"web": 8080}, id="the-same-both-ways"
        ),
        pytest.param(
            TLS.replace(":8443", ""), Facts(), {}, id="none-in-one-of-two-ways"
        ),
        pytest.param(
            TLS.replace("backend web\n", "").replace("    s", "backend web\n    s", 1),
            Facts(),
            {"web": 8443},
            id="no-backend-in-the-other-way",
        ),
        pytest.param(
            "backend web\n.if 0\n" + LINE.format(1) + ".endif\n" + LINE.format(2),
            Facts(),
            {"web": 2},
            id="if-0",
        ),
        pytest.param(TWO.format("1", 8080), Facts(), {"web": 8080}, id="two-alike"),
        pytest.param(TWO.format("1", 9090), Facts(), {}, id="two-that-differ"),
        pytest.param(
            TWO.format("1", 9090),
            Facts(features=frozenset()),
            {"web": 8080},
            id="one-of-two-that-differ",
        ),
        pytest.param(
            TWO.format("version_atleast(2.6) && !feature(OPENSSL)", 9090),
            Facts(version="3.0.1", features=frozenset({"OPENSSL", "LUA"})),
            {"web": 9090},
            id="two-terms",
        ),
    ],
)
def test_ports_under_conditions(
    text: str, facts: Facts, expected: dict[str, int]
) -> None:
    """A port counts where all ways in which HAProxy may read the file agree on it."""
    assert ports(text, facts) == expected


@pytest.mark.parametrize(
    ("text", "unknown", "known"),
    [
        pytest.param(
            'backend "${B-web}"\n' + LINE.format(80),
            {"web": 80},
            {"shop": 80},
            id="name",
        ),
        pytest.param(
            'backend "$B"\n' + LINE.format(80),
            {"${B}": 80},
            {"shop": 80},
            id="no-default",
        ),
        pytest.param(
            'backend "${B-web}"\n'
            + LINE.format(80)
            + "backend web\n"
            + LINE.format(81),
            {"web": 81},
            {"shop": 80, "web": 81},
            id="taken",
        ),
        pytest.param(
            'backend "${B-web}"\n'
            + LINE.format(80)
            + "backend web\n server a 127.0.0.1",
            {},
            {"shop": 80},
            id="taken-by-one-without-slots",
        ),
        pytest.param(
            'backend "${B-web}"\n'
            + LINE.format(80)
            + 'backend "${C-web}"\n'
            + LINE.format(81),
            {},
            {"shop": 80, "web": 81},
            id="two-of-one-default",
        ),
        pytest.param(
            "backend web\n"
            '    server-template slot 1-4 "127.255.255.1:${PORT-8000}" disabled',
            {},
            {"web": 8000},
            id="port",
        ),
    ],
)
def test_ports_of_variables(
    text: str, unknown: dict[str, int], known: dict[str, int]
) -> None:
    """A name may be assumed, as it is looked up among those HAProxy has; a port may not."""
    assert ports(text) == unknown
    assert (
        ports(text, Facts(environment={"B": "shop", "C": None, "PORT": None})) == known
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
    assert ports(text) == {"web": 4, "both": 5, "": 7}
    found = [t for t in templates(text) if t.backend == "web" and t.prefix == "slot"]
    assert [(t.spot.number, t.words) for t in found] == [(8, ("check", "disabled"))]


def test_the_shipped_configuration() -> None:
    """The ports that base.cfg promises."""
    assert ports(BASE_CFG.read_text()) == {"web": 8000, "echo": 9000}


@given(st.text() | st.text(alphabet="backend server-template slot 1-4:80\n'\"\\#$"))
def test_any_text_is_read(text: str) -> None:
    """Nothing that stands in a file makes reading it fail."""
    for found in templates(f"backend web\n{text}\nserver-template slot 1-2 {text}"):
        assert found.port is None or 1 <= found.port <= 65535
