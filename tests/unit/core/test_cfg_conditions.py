"""Conditions of HAProxy's configuration, with all, some or nothing known of HAProxy."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from reconciler.core.cfg_conditions import (
    Expression,
    Predicate,
    decided,
    expression_of,
    truth_of,
)
from reconciler.core.cfg_facts import Environment, Facts


TOLD = Facts(
    version="3.0.11-1+deb13u4",
    features=frozenset({"OPENSSL", "LUA"}),
    environment={"ONE": "1", "EMPTY": "", "NONE": None},
)


def answer(text: str, facts: Facts = TOLD) -> bool | None:
    """Decide a condition by these facts."""
    environment = Environment(facts=facts)
    return decided(expression_of(text), lambda one: truth_of(one, facts, environment))


@pytest.mark.parametrize(
    ("text", "told", "untold"),
    [
        ("", False, False),
        ("0", False, False),
        ("1", True, True),
        ("!0", True, True),
        ("0x10 && 010", True, True),
        ("defined(ONE)", True, None),
        ("defined(NONE)", False, None),
        ("defined(EMPTY)", True, None),
        ("feature(OPENSSL)", True, None),
        ("feature(QUIC)", False, None),
        ("streq(a,a)", True, True),
        ("strneq(a,a)", False, False),
        ("strstr(abc,b)", True, True),
        ("enabled(SPLICE)", None, None),
        ("openssl_version_atleast(1.1.1)", None, None),
        ("ssllib_name_startswith(OpenSSL)", None, None),
        ("version_atleast(3.0)", True, None),
        ("version_before(3.1)", True, None),
        ("version_atleast(3.1-dev1)", False, None),
        ("version_atleast(2.6) && !feature(OPENSSL)", False, None),
        ("version_atleast(2.6) && !feature(QUIC)", True, None),
        ("0 && feature(OPENSSL)", False, False),
        ("feature(OPENSSL) && 0", False, False),
        ("1 || enabled(SPLICE)", True, True),
        ("enabled(SPLICE) || 1", True, True),
        ("enabled(SPLICE) && 1", None, None),
        ("!(enabled(SPLICE) && 0)", True, True),
        ("0 && 1 || 1", True, True),
        ("no such thing", None, None),
        ("version_atleast(2.6) 1", None, None),
        ("(1", None, None),
        ("streq(a)", None, None),
        ("(" * 500 + "1" + ")" * 500, None, None),
    ],
)
def test_a_condition(text: str, told: bool | None, untold: bool | None) -> None:  # noqa: FBT001
    """It is decided where what HAProxy tells is enough, and only there."""
    assert answer(text) is told
    assert answer(text, Facts()) is untold


@pytest.mark.parametrize(
    ("version", "asked", "expected"),
    [
        ("3.0.11", "3.0.11", True),
        ("3.0.11", "3.0.12", False),
        ("3.0.11", "3", True),
        ("2.8.25-5cf5d0683", "2.8.25", True),
        ("3.5-dev5-50872d-12", "3.5-dev4", True),
        ("3.5-dev5-50872d-12", "3.5-dev6", False),
        ("3.5-dev5-50872d-12", "3.5", False),
        ("3.0.11-1", "3.0.11-2", False),
        ("3.0.11", "3.x", True),
        ("3.0.11", "1.2.3.4.5", True),
        ("odd", "3.0", True),
        ("3.0.11", "9" * 5000, False),
    ],
)
def test_versions_are_compared_as_haproxy_does(
    version: str,
    asked: str,
    expected: bool,  # noqa: FBT001
) -> None:
    """Releases in the making come before the release; what is no version is no bar."""
    assert answer(f"version_atleast({asked})", Facts(version=version)) is expected
    assert answer(f"version_before({asked})", Facts(version=version)) is not expected


KEYS = ("defined(A)", "defined(B)", "defined(C)")
EXPRESSIONS = st.recursive(
    st.sampled_from(["0", "1", *KEYS]),
    lambda one: st.one_of(
        one.map("!({})".format),
        st.tuples(one, st.sampled_from(["&&", "||"]), one)
        .map(" ".join)
        .map("({})".format),
    ),
    max_leaves=8,
)


@given(
    text=EXPRESSIONS,
    known=st.dictionaries(st.sampled_from(KEYS), st.booleans()),
    rest=st.fixed_dictionaries({key: st.booleans() for key in KEYS}),
)
def test_what_is_decided_stays_so(
    text: str, known: dict[str, bool], rest: dict[str, bool]
) -> None:
    """Whatever the unknown comes to, it does not change what was decided without it."""
    expression: Expression = expression_of(text)
    early = decided(expression, lambda one: known.get(str(one)))
    late = decided(expression, lambda one: (rest | known)[str(one)])

    assert late is not None
    assert early in {None, late}


@given(st.text(alphabet="01!&|() ,\"'\\\0versionatl_.defu"))
def test_any_condition_is_read(text: str) -> None:
    """Nothing that stands in one makes reading it fail."""
    assert answer(text) in {True, False, None}
    assert isinstance(expression_of(text), object)


def test_a_question_as_people_read_it() -> None:
    """What nobody can decide is named as it may be written."""
    assert str(Predicate("streq", ("\0${X}\0", "1"))) == "streq(${X},1)"
    assert str(expression_of("no such thing")) == "no such thing"
