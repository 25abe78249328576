"""Whether a check is a plain connect: by its results, and by the configuration."""

from __future__ import annotations

import pytest
from tests.support.haproxy_process import BASE_CFG

from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import CfgFile, sections
from reconciler.core.check_kind import is_plain, is_plain_result, plain_checks
from reconciler.core.slot_file import SlotFile


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ("L4OK", True),
        ("* L4OK", True),
        ("L4OK (tcp-check)", None),
        ("* L4OK (tcp-check)", None),
        ("L7OK (tcp-check)", False),
        ("L4CON Connection refused", None),
        ("L7OK", False),
        ("L7STS", False),
        ("L6OK", False),
        ("PROCERR", False),
        ("L4CON", None),
        ("L4TOUT", None),
        ("INI", None),
        ("", None),
        (None, None),
    ],
)
def test_a_result_tells_the_kind(result: str | None, kind: bool | None) -> None:  # noqa: FBT001
    """A failure to connect is the same for every kind, and rules may connect elsewhere."""
    assert is_plain_result(result) is kind


@pytest.mark.parametrize(
    ("by_result", "by_file", "plain"),
    [
        (True, None, True),
        (None, True, True),
        (True, True, True),
        (None, None, False),
        (False, True, False),
        (True, False, False),
    ],
)
def test_both_have_to_agree(
    by_result: bool | None,  # noqa: FBT001
    by_file: bool | None,  # noqa: FBT001
    plain: bool,  # noqa: FBT001
) -> None:
    """Where nothing is known, or either says more, HAProxy decides alone."""
    assert is_plain(by_result, by_file) is plain


@pytest.mark.parametrize(
    ("above", "words", "plain"),
    [
        ("", "check", True),
        ("", "check inter 1s rise 2 disabled", True),
        ("option tcp-check", "check", True),
        ("option tcp-check\n tcp-check connect", "check", True),
        ("option tcp-check\n tcp-check connect port 81", "check", False),
        ("option tcp-check\n tcp-check send PING", "check", False),
        ("option httpchk GET /", "check", False),
        ("option pgsql-check user x", "check", False),
        ("default-server check-ssl", "check", False),
        ("", "check ssl verify none", False),
        ("", "check port 8081", False),
        ("", "check addr 10.0.0.1", False),
        ("", "check check-send-proxy", False),
        ("", "check send-proxy-v2-ssl-cn", False),
    ],
)
def test_the_lines_tell_the_kind(above: str, words: str, plain: bool) -> None:  # noqa: FBT001
    """One that asks more than a connect, or asks elsewhere, is not plain."""
    text = (
        f"backend web\n {above}\n server-template slot 1-4 127.255.255.1:80 {words}\n"
    )

    assert plain_checks([sections(text)], "slot") == {"web": plain}


def test_the_shipped_configuration_is_plain() -> None:
    """So its newcomers need not wait for HAProxy's first check."""
    found = sections(BASE_CFG.read_text())

    assert plain_checks([found], "slot") == {"web": True, "echo": True}


def test_slots_without_a_check_have_no_kind() -> None:
    """There is nothing to wait for."""
    text = "backend web\n server-template slot 1-4 127.255.255.1:80\n"

    assert plain_checks([sections(text)], "slot") == {}


@pytest.mark.parametrize(
    ("above", "words"),
    [
        (".if defined(HTTP)\n option httpchk\n .endif", "check"),
        ('"$CHECK"', "check"),
        ('option "$CHECK"', "check"),
        ("", 'check "$MORE"'),
        (".if feature(QUIC)\n default-server check-ssl\n .endif", "check"),
    ],
)
def test_what_haproxy_does_not_tell_leaves_the_kind_open(
    above: str, words: str
) -> None:
    """Then its own check is waited for, as long as no result tells more."""
    text = f"backend web\n {above}\n server-template slot 1-4 0.0.0.0:80 {words}\n"

    assert SlotFile([CfgFile("", text)]).told().plain_checks == {}


def test_what_haproxy_tells_decides_the_kind() -> None:
    """Its environment, here; and without conditions nothing needs to be asked."""
    condition = ".if defined(HTTP)\n option httpchk\n .endif\n"
    line = "server-template slot 1-4 0.0.0.0:80 check\n"
    file = SlotFile([CfgFile("", f"backend web\n {condition} {line}")])

    unset, given = (Facts(environment={"HTTP": value}) for value in (None, "1"))

    assert (file.asks, file.variables) == (True, ("HTTP",))
    assert file.told(unset) == ({"web": 80}, {"web": True})
    assert file.told(given) == ({"web": 80}, {"web": False})
    assert not SlotFile([CfgFile("", f"backend web\n {line}")]).asks


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("check", "check inter 1s", {"web": True}),
        ("check", "check port 81", {"web": False}),
        ('check "$MORE"', "check port 81", {"web": False}),
        ("check", "", {}),
        ("check", 'check "$MORE"', {}),
    ],
)
def test_two_lines_of_slots(first: str, second: str, expected: dict[str, bool]) -> None:
    """The one of which less is to be expected tells the kind of all."""
    line = " server-template slot {} 127.255.255.1:80 {}\n"
    text = f"backend web\n{line.format('1-4', first)}{line.format('5-8', second)}"

    assert SlotFile([CfgFile("", text)]).told().plain_checks == expected
