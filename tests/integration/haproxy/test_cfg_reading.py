"""What we read in a configuration, compared with what HAProxy itself reads in it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.support.haproxy_process import BASE_CFG, binary, haproxy_process

from reconciler.config import read_base_cfg
from reconciler.core.base_cfg import default_ports
from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import CfgFile, variables_in, ways_to_read
from reconciler.core.cfg_words import words_of
from reconciler.haproxy.client import RuntimeClient


pytestmark = pytest.mark.integration

SECONDS = 10.0
ENVIRONMENT = {"HB_ONE": "1", "HB_EMPTY": "", "HB_LIST": "one  two"}
UNSET = ("HB_NONE", "HB_LATE")
# HAProxy 3.2.26 reads a file's very first line twice, and a variable's default in it not
# the second time.
LONG = "# " + "x" * 200 + "\n" + ".notice " + "x" * 900 + "\n"
FEATURES = re.compile(r"^Feature list : (.*)$", re.MULTILINE)
SAID = re.compile(r"parsing \[[^]]*:\d+\] ?: '(m\d+)'")


def run(version: str, *paths: Path, verbose: bool = False) -> str:
    """Have HAProxy read files, and return all it says."""
    files = [word for path in paths for word in ("-f", str(path))]
    done = subprocess.run(
        [binary(version), *(["-vv"] if verbose else ["-c", *files])],
        env={"PATH": os.environ["PATH"], **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def facts(version: str) -> Facts:
    """What this HAProxy would tell of itself, from its command line."""
    said = run(version, verbose=True)
    found = FEATURES.search(said)
    assert found is not None
    release = re.match(r"HAProxy version (\S+)", said)
    assert release is not None
    return Facts(
        version=release[1],
        features=frozenset(w[1:] for w in found[1].split() if w.startswith("+")),
        environment={**ENVIRONMENT, **dict.fromkeys(UNSET)},
    )


def mentioned(version: str, path: Path, text: str) -> set[str]:
    """Return which `.notice` lines HAProxy reaches."""
    path.write_bytes((LONG + text + "global\n").encode())
    return set(SAID.findall(run(version, path)))


def reached(text: str, facts: Facts) -> set[str]:
    """Return which lines of ours count, in the only way there is."""
    as_lines = text.replace(".notice ", "backend ")
    (way,) = ways_to_read([CfgFile("h.cfg", as_lines)], facts)
    return {one.name for one in way.sections}


CONDITIONS = [
    "",
    "0",
    "1",
    "! ! 1",
    "-1",
    "010",
    "0x0",
    "1 && 0",
    "0||1&&0",
    "(0||1)&&1",
    "version_atleast(2.6)",
    "version_atleast(2.6) && !feature(OPENSSL)",
    "version_before(3.1)",
    "version_atleast(3)",
    "version_atleast(3.0.11)",
    "version_atleast(2.8.25-1)",
    "version_before(3.0.11-2)",
    "version_atleast(3.1-dev5)",
    "version_atleast( 2.8)",
    "version_atleast(2.8 )",
    "version_atleast('2.8')",
    "version_atleast(abc)",
    "version_atleast()",
    "version_atleast",
    "feature(OPENSSL)",
    "feature(PCRE2)",
    "feature(openssl)",
    "feature(NO_SUCH)",
    "defined(HB_ONE)",
    "defined(HB_EMPTY)",
    "defined(HB_NONE)",
    "defined( HB_ONE )",
    "defined",
    'streq("$HB_ONE",1)',
    'streq("$HB_ONE", 1)',
    'streq("$HB_NONE",)',
    'streq("${HB_NONE-1}",1)',
    'streq("${HB_EMPTY-1}",1)',
    "streq('a b',a b)",
    "streq('\"a,b\"','\"a,b\"')",
    "strneq(a,b)",
    '"defined(HB_ONE)"',
    '"${HB_NONE-1}"',
]


def test_conditions(version: str, facts: Facts, tmp_path: Path) -> None:
    """Whatever can be decided is decided as HAProxy decides it."""
    for at, condition in enumerate(CONDITIONS):
        text = f".if {condition}\n.notice m1\n.else\n.notice m2\n.endif\n"
        said = mentioned(version, tmp_path / f"{at}.cfg", text)
        assert len(said) == 1, condition
        assert reached(text, facts) == said, condition


TERM = st.sampled_from(
    [
        "0",
        "1",
        "defined(HB_ONE)",
        "defined(HB_NONE)",
        'streq("$HB_ONE",1)',
        'streq("${HB_NONE-2}",1)',
        "version_atleast(2.8)",
        "version_before(3.0)",
        "feature(OPENSSL)",
        "feature(NO_SUCH)",
    ]
)
EXPRESSION = st.recursive(
    TERM,
    lambda one: st.one_of(
        one.map("!{}".format),
        one.map("( {} )".format),
        st.tuples(one, st.sampled_from(["&&", " && ", "||", " || "]), one).map("".join),
    ),
    max_leaves=6,
)
BLOCK: st.SearchStrategy[str] = st.deferred(
    lambda: st.lists(NOTICE | BRANCHES, max_size=3).map("".join)
)
NOTICE: st.SearchStrategy[str] = st.integers(0, 999).map(".notice m{}\n".format)
BRANCHES: st.SearchStrategy[str] = st.builds(
    "{}{}{}{}.endif\n".format,
    st.builds(".if {}\n{}".format, EXPRESSION, BLOCK),
    st.just("") | st.builds(".elif {}\n{}".format, EXPRESSION, BLOCK),
    st.just("") | st.builds(".elif {}\n{}".format, EXPRESSION, BLOCK),
    st.just("") | st.builds(".else\n{}".format, BLOCK),
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=BLOCK)
def test_branches(version: str, facts: Facts, tmp_path: Path, text: str) -> None:
    """Of nested branches those lines count that HAProxy reaches."""
    said = mentioned(version, tmp_path / "h.cfg", text)

    assert reached(text, facts) == said


WORDS = [
    r'a"b c"d',
    r"'a\nb'",
    r"a\ b",
    r"a\x41b",
    r'"a\$B"',
    r"a#b",
    r'"a#b"',
    r"a\#b",
    r'"\"x\""',
    r"it\'s",
    r"a\qb",
    "$HB_ONE",
    "'$HB_ONE'",
    '"$HB_ONE"',
    '"x${HB_ONE}y"',
    '"${HB_NONE-x y}"',
    '"${HB_NONE-$HB_ONE}"',
    '"${HB_LIST}"',
    "a\u2028b",
    "a\u0085b",
    "a\u00a0b",
    "a\u001cb",
    "a\rb",
]


def test_words(version: str, facts: Facts, tmp_path: Path) -> None:
    """Quotes, escapes, comments, variables and odd white space make the same words."""
    for at, written in enumerate(WORDS):
        path = tmp_path / f"{at}.cfg"
        path.write_bytes(f"{LONG}.notice m{written}\nglobal\n".encode())
        said = re.search(r": '(m.*)'\.$", run(version, path), re.MULTILINE)
        text = f"backend m{written}\n"
        (way,) = ways_to_read([CfgFile("h.cfg", text)], facts)
        assert said is not None, written
        assert [one.name for one in way.sections] == [said[1]], written
        # What HAProxy takes for one word is one.
        assert len(words_of(text.rstrip("\n"))) == 2, written


@pytest.mark.parametrize("space", ["\f", "\v", "\t"])
def test_white_space_that_parts_words(
    version: str, facts: Facts, tmp_path: Path, space: str
) -> None:
    """A form feed ends a word and no line."""
    path = tmp_path / "h.cfg"
    path.write_bytes(f"{LONG}.notice m1{space}m2\nglobal\n".encode())
    text = f"global{space}daemon{space}.if 0\nbackend{space}b\n"
    (way,) = ways_to_read([CfgFile("h.cfg", text)], facts)

    assert "Unexpected argument 'm2'" in run(version, path)
    assert [(one.kind, one.name) for one in way.sections] == [
        ("global", "daemon"),
        ("backend", "b"),
    ]


def test_several_files(version: str, tmp_path: Path) -> None:
    """A folder gives the files that HAProxy reads of it, and in its order."""
    folder = tmp_path / "conf.d"
    (folder / "dir.cfg").mkdir(parents=True)
    names = ["b.cfg", "B.cfg", "10.cfg", "9.cfg", ".hidden.cfg", "x.conf", "x.cfg.cfg"]
    for at, name in enumerate(names):
        (folder / name).write_text(f".notice m{at}\nglobal\n")
    last = tmp_path / "z.cfg"
    last.write_text(".notice m99\nglobal\n")
    said = SAID.findall(run(version, last, folder))

    found = read_base_cfg([last, folder])

    assert [re.findall(r"m\d+", one.text)[0] for one in found] == said
    assert len(said) == 5


def test_sections_over_several_files(version: str, tmp_path: Path) -> None:
    """A section ends with its file; the defaults of one hold in the next."""
    one, other = tmp_path / "1.cfg", tmp_path / "2.cfg"
    one.write_text("defaults\n mode http\n timeout connect 1s\n timeout client 1s\n")
    with_line = "timeout server 1s\nbackend b\n http-request deny\n"
    other.write_text(with_line)
    said = run(version, one, other)
    first, *rest = ways_to_read(read_base_cfg([one, other]))
    sections = first.sections

    assert "out of section" in said
    assert "requires HTTP mode" not in said
    assert rest == []
    assert [len(section.lines) for section in sections] == [3, 1]
    assert sections[1].nearest("mode") is not None
    assert str(sections[1].spot) == f"{other}:2"


async def test_what_a_running_haproxy_tells(version: str, facts: Facts) -> None:
    """Its version, those variables that were asked for, and since 3.0 its features."""
    asked = [*variables_in([CfgFile("h", BASE_CFG.read_text())]), *UNSET]
    with haproxy_process(version) as haproxy:
        client = RuntimeClient(haproxy.url)
        told = await client.facts(asked)
        environment = haproxy.environment
        await client.aclose()

    assert told.version == facts.version
    if version in {"2.6", "2.8"}:
        assert told.features is None
    else:
        # 3.4 finds one only once it runs.
        found = set(told.features or ()) - {"HAVE_WORKING_TCP_MD5SIG"}
        assert found == set(facts.features or ())
    assert told.environment == {name: environment.get(name) for name in asked}
    assert told.environment["HAPROXY_SOCKET"] is not None


@pytest.mark.parametrize(("level", "is_told"), [("operator", True), ("user", False)])
async def test_a_level_that_tells_no_environment(
    version: str,
    level: str,
    is_told: bool,  # noqa: FBT001
) -> None:
    """Below operator all that asks for the environment is not known; the version is."""
    text = BASE_CFG.read_text().replace("level admin", f"level {level}")
    with haproxy_process(version, config=text) as haproxy:
        client = RuntimeClient(haproxy.url)
        told = await client.facts(["HAPROXY_SOCKET"])
        await client.aclose()

    assert told.version.startswith(version)
    assert (told.environment is not None) is is_told


async def test_the_environment_after_lines_that_change_it(version: str) -> None:
    """What HAProxy tells is how its file left the environment; before, nobody knows."""
    text = """
global
    stats socket "${HAPROXY_SOCKET}" mode 660 level admin
    .if defined(HB_LATE)
    log 127.0.0.1 local0
    .endif
    setenv HB_LATE 81
    presetenv HB_PRESET 82
    presetenv PATH /nowhere
    unsetenv HB_GONE
defaults
    timeout connect 1s
    timeout client 1s
    timeout server 1s
backend late
    server-template slot 1-2 "127.255.255.1:$HB_LATE" disabled
backend preset
    server-template slot 1-2 "127.255.255.1:$HB_PRESET" disabled
backend gone
    server-template slot 1-2 "127.255.255.1:${HB_GONE-83}" disabled
backend "other${HB_NONE-x}"
    server-template slot 1-2 127.255.255.1:84 disabled
"""
    files = [CfgFile("h.cfg", text)]
    with haproxy_process(version, config=text) as haproxy:
        client = RuntimeClient(haproxy.url)
        told = await client.facts(variables_in(files))
        state = await client.show_servers_state()
        await client.aclose()
    reported = {name: next(iter(one.values())).port for name, one in state.items()}

    assert default_ports(files, "slot", told) == reported
    assert reported == {"late": 81, "preset": 82, "gone": 83, "otherx": 84}
