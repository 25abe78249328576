"""HAProxy's configuration as sections: inheritance, negations, conditions."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from reconciler.core.base_cfg import templates_in
from reconciler.core.cfg_sections import Release, Section, sections


def backend(text: str, release: Release | None = None) -> Section:
    """Return the last section of a configuration."""
    return sections(text, release)[-1]


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


@pytest.mark.parametrize(
    ("condition", "release", "expected"),
    [
        ("version_atleast(3.1)", (3, 1, 0), ["a", "d"]),
        ("version_atleast(3.1)", (3, 0, 11), ["c", "d"]),
        ("version_before(3.1)", (3, 0, 11), ["a", "d"]),
        ("!version_atleast(3.1)", (3, 0, 11), ["a", "d"]),
        ("version_atleast(3.1)", None, ["a", "b", "c", "d"]),
        ("defined(X)", (3, 1, 0), ["a", "b", "c", "d"]),
    ],
)
def test_conditions_on_the_version(
    condition: str, release: Release | None, expected: list[str]
) -> None:
    """A branch that is not taken does not count; where nobody can tell, all do."""
    text = f"global\n.if {condition}\na\n.elif defined(Y)\nb\n.else\nc\n.endif\nd\n"

    found = [line.words[0] for line in backend(text, release).lines]

    assert [name for name in found if name != "b" or release is None] == [
        name for name in expected if name != "b" or release is None
    ]


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
    for section in sections(f"defaults a from a\n{text}\n.endif", (3, 0, 0)):
        section.has_option("redispatch")
        templates_in(section)
