"""HAProxy's configuration as sections: inheritance, negations, conditions, several files."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from reconciler.core.base_cfg import templates_in
from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import (
    NO_FACTS,
    CfgFile,
    Section,
    Spot,
    sections,
    variables_in,
    ways_to_read,
)


def backend(text: str, facts: Facts = NO_FACTS) -> Section:
    """Return the last section of a configuration."""
    return sections(text, facts)[-1]


def ways(text: str, facts: Facts = NO_FACTS) -> list[set[str]]:
    """Return the names of the sections in each way to read a file."""
    read = ways_to_read([CfgFile("h.cfg", text)], facts)
    return [{section.name for section in way.sections} for way in read]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("defaults\n option redispatch\nbackend b", True),
        ("backend b\n option redispatch 1", True),
        ("defaults\n option redispatch\ndefaults\nbackend b", False),
        ("defaults x\n option redispatch\ndefaults y\nbackend b from x", True),
        ("defaults x\n option redispatch\ndefaults y from x\nbackend b from y", True),
        ("defaults\n option redispatch\nbackend b\n no option redispatch", False),
        (
            "defaults\n no option redispatch\n option redispatch\nfrontend f\nbackend b",
            True,
        ),
    ],
)
def test_an_option_comes_from_the_nearest_section(text: str, expected: bool) -> None:  # noqa: FBT001
    """The defaults named by `from`, else the last before; their own `from` as well."""
    assert backend(text).has_option("redispatch") is expected


TOLD = Facts(
    version="3.0.11-1", features=frozenset({"LUA"}), environment={"TLS": "yes"}
)
BRANCHES = """
.if {}
backend a
.elif {}
backend b
.else
backend c
.endif
backend d
"""


@pytest.mark.parametrize(
    ("first", "second", "told", "untold"),
    [
        ("0", "0", [{"c", "d"}], [{"c", "d"}]),
        ("", "1", [{"b", "d"}], [{"b", "d"}]),
        ("1", "defined(X)", [{"a", "d"}], [{"a", "d"}]),
        (
            "version_before(3.1)",
            "1",
            [{"a", "d"}],
            [{"a", "d"}, {"b", "d"}],
        ),
        (
            "defined(TLS)",
            "0",
            [{"a", "d"}],
            [{"a", "d"}, {"c", "d"}],
        ),
        (
            "version_atleast(2.6) && !feature(LUA)",
            "0",
            [{"c", "d"}],
            [{"a", "d"}, {"c", "d"}, {"c", "d"}],
        ),
        (
            "enabled(SPLICE)",
            "!enabled(SPLICE)",
            [{"a", "d"}, {"b", "d"}],
            [{"a", "d"}, {"b", "d"}],
        ),
        (
            "version_atleast(3.1)",
            "version_before(3.1)",
            [{"b", "d"}],
            [{"a", "d"}, {"b", "d"}],
        ),
        (
            'streq("$TLS",yes)',
            'strneq("$TLS",no)',
            [{"a", "d"}],
            [{"a", "d"}, {"b", "d"}, {"c", "d"}],
        ),
    ],
)
def test_branches(
    first: str, second: str, told: list[set[str]], untold: list[set[str]]
) -> None:
    """Each is read that HAProxy may take, by what it tells; and one question has one answer."""
    text = BRANCHES.format(first, second)

    assert ways(text, TOLD) == told
    assert sorted(map(sorted, ways(text))) == sorted(map(sorted, untold))


def test_a_question_in_two_places_has_one_answer() -> None:
    """A backend in one branch here, and in the other there, is there once."""
    text = """
.if defined(TLS)
backend web
.endif
backend mid
.if !defined(TLS)
backend web
.endif
"""
    read = ways_to_read([CfgFile("h.cfg", text)])

    assert [[one.name for one in way.sections] for way in read] == [
        ["web", "mid"],
        ["mid", "web"],
    ]
    assert [way.open for way in read] == [(("defined(TLS)", Spot("h.cfg", 2)),)] * 2


def test_nested_branches() -> None:
    """What stands in a branch that is not taken asks nothing."""
    text = """
.if 0
.if defined(X)
backend a
.else
backend b
.endif
.endif
.if 1
.elif defined(Y)
backend c
.endif
"""
    assert ways(text) == [set()]


def test_the_environment_of_conditions_changes_with_the_lines() -> None:
    """A variable that the file sets is known from there on."""
    text = """
global
.if defined(X)
    daemon
.endif
    setenv X 1
.if streq("$X",1)
backend yes
.else
backend no
.endif
"""
    assert ways(text, TOLD) == [{"", "yes"}, {"", "yes"}]


@pytest.mark.parametrize("count", [6, 7, 20])
def test_many_open_questions(count: int) -> None:
    """All answers are tried together, or, of very many, every three of them are."""
    lines = [f".if defined(X{n})\nbackend b{n}\n.endif" for n in range(count)]

    found = ways("\n".join(lines))

    assert len(found) == (2**count if count <= 6 else 2 * count + 2)
    for names in ({"b0"}, {"b0", "b1"}, {"b0", "b1", "b2"}):
        three = {"b0", "b1", "b2"}
        assert any(way & three == names for way in found)
        assert any(three - way == names for way in found)


def test_a_name_from_the_environment() -> None:
    """It is HAProxy's to tell; else what stands for it where it is not set is assumed."""
    text = 'backend "${B-web}"\nbackend "$C"\n'
    told = Facts(environment={"B": "shop", "C": "c"})

    known = sections(text, told)
    unknown = sections(text)

    assert [(one.name, one.is_assumed) for one in known] == [
        ("shop", False),
        ("c", False),
    ]
    assert [(one.name, one.is_assumed) for one in unknown] == [
        ("web", True),
        ("${C}", True),
    ]


@pytest.mark.parametrize(
    "mark", ["\u2028", "\u2029", "\x85", "\f", "\v", "\x1c", "\x1e"]
)
def test_only_a_line_feed_ends_a_line(mark: str) -> None:
    """What Python takes for the end of a line may stand in one."""
    text = f"global # a {mark} b\r\nbackend web # c {mark} backend x\n"

    assert [(one.name, one.spot.number) for one in sections(text)] == [
        ("", 1),
        ("web", 2),
    ]


def test_several_files() -> None:
    """Sections end with their file, conditions too; named and last defaults go on."""
    files = [
        CfgFile("1.cfg", "defaults a\n mode http\ndefaults b\n retries 3\n.if 0\n"),
        CfgFile("2.cfg", " stray\nbackend x from a\nbackend y\nglobal\n maxconn 9"),
        CfgFile("3.cfg", "global\n maxconn 10"),
    ]
    (way,) = ways_to_read(files)
    *_, x, y, first, second = way.sections

    assert x.nearest("mode") is not None
    assert y.nearest("retries") is not None
    assert str(y.spot) == "2.cfg:3"
    assert [str(line.spot) for line in (*first.lines, *second.lines)] == [
        "2.cfg:5",
        "3.cfg:2",
    ]


def test_the_variables_that_files_ask_for() -> None:
    """Those in words and in conditions, but for HAProxy's own pseudo-variables."""
    text = """
.if defined(A) && !streq("$B",1)
backend "${C-web}"
    server s "${.LINE}" # $D
    # "$E"
"""
    assert variables_in([CfgFile("h.cfg", text)]) == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("before", "line", "expected"),
    [
        ("default-server check disabled", "", {"check": "", "disabled": ""}),
        ("default-server check disabled", "enabled no-check", {}),
        ("default-server cookie check", "", {"cookie": "check"}),
        ("default-server inter 1s", "inter 2s", {"inter": "2s"}),
        ("", "init-addr last,127.255.255.1", {"init-addr": "last,127.255.255.1"}),
    ],
)
def test_what_is_in_force_on_a_template(
    before: str, line: str, expected: dict[str, str]
) -> None:
    """default-server lines above it and in the defaults count, those below do not."""
    text = (
        f"defaults\n{before}\nbackend web\n"
        f"server-template slot 2-5 127.255.255.1:80 {line}\ndefault-server weight 7"
    )
    (template,) = templates_in(backend(text))

    assert template.options == expected
    assert (template.address, template.numbers) == ("127.255.255.1", (2, 5))


@pytest.mark.parametrize(
    ("place", "address", "is_unknown"),
    [
        ("127.0.0.1:80", "127.0.0.1", False),
        ("ipv4@127.255.255.1:8080", "127.255.255.1", False),
        ("ipv6@[::1]:8080", "::1", False),
        ("stream+ipv4@127.255.255.1:80", "127.255.255.1", False),
        ("tcp4@127.255.255.1:80", "127.255.255.1", False),
        ("quic4@127.255.255.1:80", "127.255.255.1", False),
        ("mptcp@127.255.255.1:80", "127.255.255.1", False),
        ("fe80::1:80", "fe80::1", False),
        ("unix@/run/x:1", "unix@/run/x:1", False),
        ("/run/x", "/run/x", False),
        ("abns@x", "abns@x", False),
        ("fd@5", "fd@5", False),
        ('"[::1]:${PORT-80}"', "::1", True),
        ("[::1]:80", "::1", False),
        ("::1", "::1", False),
        ("name", "name", False),
        ('"127.0.0.1:${PORT}"', "127.0.0.1", True),
        ('"${PLACE-127.0.0.1:80}"', "${PLACE-127.0.0.1", True),
    ],
)
def test_the_address_of_a_template(
    place: str,
    address: str,
    is_unknown: bool,  # noqa: FBT001
) -> None:
    """Without port and brackets; a port from the environment is not known."""
    (template,) = templates_in(backend(f"backend b\nserver-template s 3 {place}"))

    assert (template.address, template.has_unknown_port) == (address, is_unknown)


@given(st.text(alphabet="abc defaults.if.elif.else.endif from\nbackend()3.1!\"'"))
def test_any_text_is_read(text: str) -> None:
    """Nothing that stands in a file makes reading it fail."""
    for section in sections(
        f"defaults a from a\n{text}\n.endif", Facts(version="3.0.0")
    ):
        section.has_option("redispatch")
        templates_in(section)
