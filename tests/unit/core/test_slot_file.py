"""What a HAProxy's own version decides in the configuration that the daemon is given."""

from __future__ import annotations

import pytest

from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import CfgFile
from reconciler.core.slot_file import SlotFile


TEXT = """
backend web
.if version_before(3.1)
    server-template slot 1-4 127.255.255.1:8080 check disabled
.else
    server-template slot 1-4 127.255.255.1:9090 check port 81 disabled
.endif
backend tls
.if defined(APP_TLS)
    server-template slot 1-4 127.255.255.1:8443 check ssl verify none disabled
.else
    server-template slot 1-4 127.255.255.1:8080 check disabled
.endif
"""


@pytest.mark.parametrize(
    ("version", "port", "is_plain"),
    [("3.0.11-1", 8080, True), ("3.2.26", 9090, False)],
)
def test_each_haproxy_reads_the_file_for_itself(
    version: str,
    port: int,
    is_plain: bool,  # noqa: FBT001
) -> None:
    """By its version; what asks for an environment that it does not tell stays unknown."""
    told = SlotFile([CfgFile("base.cfg", TEXT)]).told(Facts(version=version))

    assert (told.ports, told.plain_checks) == ({"web": port}, {"web": is_plain})


def test_a_name_that_nobody_can_ask_for_stays_unknown() -> None:
    """It is longer than what a question to HAProxy may have."""
    name = "A" * 256
    line = "server-template slot 1-4 127.255.255.1:{} check"
    text = f"backend web\n.if defined({name})\n{line.format(1)}\n.else\n{line.format(2)}\n.endif\n"
    file = SlotFile([CfgFile("base.cfg", text)])

    assert (file.asks, file.variables, file.untold.ports) == (True, (), {})
