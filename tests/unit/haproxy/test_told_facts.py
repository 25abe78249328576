"""What HAProxy tells of itself: features, variables, and where its lines send checks."""

from __future__ import annotations

import pytest

from reconciler.core.model import ServerRef
from reconciler.errors import RemoteProtocolError
from reconciler.haproxy import replies
from reconciler.haproxy.replies import Reply


HEADER = "1\n# be_name srv_name srv_check_port srv_check_addr\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HAProxy version 3.0.11\nFeatures\n  -A +B +OPENSSL\n", {"B", "OPENSSL"}),
        ("HAProxy version 3.4.7\nFeatures:\n  -A +B +OPENSSL\nBuild", {"B", "OPENSSL"}),
        ("Features", set()),
        ("Unknown command: 'show', but maybe one of the following ones", None),
        ("Permission denied", None),
        ("", None),
    ],
)
def test_features(text: str, expected: set[str] | None) -> None:
    """Those with a plus; where the command is not known nothing is told."""
    assert replies.features(Reply("show dev", text)) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, {}),
        ({"A": "A=1", "B": "Variable not found"}, {"A": "1", "B": None}),
        ({"A": "A=", "B": "B=x=y\nA=2"}, {"A": "", "B": "x=y\nA=2"}),
        ({"A": "A=1", "B": "Permission denied"}, None),
        ({"A": "B=1"}, None),
    ],
)
def test_environment(
    told: dict[str, str], expected: dict[str, str | None] | None
) -> None:
    """Values as they are, of several lines too; nothing where one is refused."""
    asked = {name: Reply(f"show env {name}", text) for name, text in told.items()}

    assert replies.environment(asked) == expected


def test_where_lines_send_checks() -> None:
    """Only servers whose line names an address or a port for its check."""
    text = HEADER + "web slot1 8080 -\nweb slot2 0 -\nweb slot3 0 127.0.0.2"

    assert replies.check_places(Reply("show servers state", text)) == {
        ServerRef("web", "slot1"): ("", 8080),
        ServerRef("web", "slot3"): ("127.0.0.2", 0),
    }


@pytest.mark.parametrize(
    "text", [HEADER + "web slot1 x -", "1\n# be_name srv_name\nweb slot1", "2\n# a\n"]
)
def test_what_tells_nothing_of_checks_is_an_error(text: str) -> None:
    """Columns that are not there, and ports that are none."""
    with pytest.raises(RemoteProtocolError):
        replies.check_places(Reply("show servers state", text))
