"""What an operator may write for a runtime socket."""

from __future__ import annotations

import pytest

from reconciler.errors import ConfigError
from reconciler.haproxy.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/h.sock", Address("unix:///run/h.sock", path="/run/h.sock")),
        ("tcp://h:9999", Address("tcp://h:9999", host="h", port=9999)),
        ("tcp://[::1]:99", Address("tcp://[::1]:99", host="::1", port=99)),
        (
            "master+unix:///m.sock",
            Address("master+unix:///m.sock", path="/m.sock", via_master=True),
        ),
    ],
)
def test_known_forms(text: str, address: Address) -> None:
    """Each form gives its parts and keeps its text."""
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "/run/h.sock", "unix://run/h.sock", "unix://", "unix:///", "http://h:1"),
        *("tcp://h", "tcp://:1", "tcp://h:x", "tcp://h:70000", "tcp://h:1/x"),
        *("unix:///a?b", "unix:///a#b", "unix:///a\0b", "tcp://[::1"),
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    """The message names the value and the forms that are accepted."""
    with pytest.raises(ConfigError, match=r"unix:///path, tcp://host:port"):
        Address.parse(text)
