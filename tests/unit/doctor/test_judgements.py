"""What no test can plant for real, judged from evidence that was made up."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest
from tests.fakes.containers import observed, process, tables

from reconciler import __version__
from reconciler.config import Settings
from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import NO_FACTS, CfgFile, ways_to_read
from reconciler.core.claims import ClaimTable
from reconciler.core.model import (
    Endpoint,
    Kept,
    KeptFor,
    Plan,
    Process,
    ServerRef,
    Tenant,
)
from reconciler.core.placement import Context
from reconciler.discovery.swarm_json import Role
from reconciler.doctor import Code, Finding, Verdict
from reconciler.doctor.checks import judged
from reconciler.doctor.evidence import (
    DaemonReading,
    DockerReading,
    Evidence,
    ProxyReading,
    SocketFile,
)
from reconciler.doctor.finding import found
from reconciler.doctor.probes import path_of, socket_file
from reconciler.errors import ConnectError, RuntimeSocketError, SwarmError
from reconciler.inquiry import ProxyWorld, World


URL = "unix:///run/haproxy/admin.sock"
SETTINGS = Settings(haproxy=(URL,), base_cfg=(Path("base.cfg"),))
DOCKER = DockerReading(name="unix:///d.sock", version="27.0.1", api_version="1.46")
DAEMON = DaemonReading(
    place="http://127.0.0.1:9700",
    is_there=True,
    version=__version__,
    is_ready=True,
    haproxies=(URL,),
)


def proxy(process_: Process | None = None) -> ProxyReading:
    """Return a HAProxy with four free slots in backend web."""
    seen = observed(tables(4))
    if process_ is not None:
        seen = dataclasses.replace(seen, process=process_)
    return ProxyReading(world=ProxyWorld(name=URL, observed=seen))


def unread(error: RuntimeSocketError) -> ProxyReading:
    """Return a HAProxy that was not read."""
    return ProxyReading(world=ProxyWorld(name=URL, error=error))


def evidence(
    one: ProxyReading | None = None, text: str | None = None, facts: Facts = NO_FACTS
) -> Evidence:
    """Return evidence of which nothing is wrong."""
    files = (CfgFile("base.cfg", text),) if text else ()
    one = one or proxy()
    world = World(
        settings=SETTINGS, claims=ClaimTable(Context()), proxies=(one.world,), now=0.0
    )
    return Evidence(
        settings=SETTINGS if text else dataclasses.replace(SETTINGS, base_cfg=()),
        world=world,
        docker=DOCKER,
        proxies=(one,),
        base_cfg=files,
        ways=ways_to_read(files, facts),
        daemon=DAEMON,
    )


FINE = evidence()
CHECKED = """
global
    stats socket /run/haproxy/admin.sock mode 660 level admin
defaults
    option redispatch 1
backend web
    server-template slot 1-4 127.255.255.1:8000 check disabled
"""
NEW = proxy(process(version="3.2.1"))


def settings(**changes: object) -> Evidence:
    """Return evidence with other settings, and no running container."""
    return dataclasses.replace(FINE, settings=dataclasses.replace(SETTINGS, **changes))  # type: ignore[arg-type] # by name


def docker(**changes: object) -> Evidence:
    """Return evidence with another reading of Docker."""
    return dataclasses.replace(FINE, docker=dataclasses.replace(DOCKER, **changes))  # type: ignore[arg-type] # by name


def daemon(**changes: object) -> Evidence:
    """Return evidence with another reading of the daemon."""
    return dataclasses.replace(FINE, daemon=dataclasses.replace(DAEMON, **changes))  # type: ignore[arg-type] # by name


def swarm(role: Role | None = None, error: str = "") -> Evidence:
    """Return evidence of an engine in a swarm, or of one that cannot be read."""
    lost = SwarmError(error) if error else None
    world = dataclasses.replace(FINE.world, role=role, engine_error=lost)
    return dataclasses.replace(FINE, world=world)


def kept(cause: KeptFor) -> Evidence:
    """Return evidence of a container that keeps a slot that nothing asks for."""
    one = Kept(
        ref=ServerRef("web", "slot1"),
        endpoint=Endpoint(
            backend="web",
            address="10.0.0.1",
            port=80,
            tenant=Tenant(container_id="a" * 64, container="web-1"),
        ),
        cause=cause,
        why="it is on several networks (a, b)",
        mend="choose one",
    )
    world = dataclasses.replace(proxy().world, plan=Plan(kept=(one,)))
    return evidence(ProxyReading(world=world))


ROWS = {
    Code.TENANT_UNCLEAR: (kept(KeptFor.UNCLEAR), "choose one"),
    Code.RELEASE_LIMIT: (kept(KeptFor.LIMIT), "choose one"),
    Code.SWARM_WORKER: (swarm(Role(state="active")), "ask a manager by --docker"),
    Code.SWARM_ERROR: (swarm(error="no leader"), "`docker node ls` has to answer"),
    Code.OWN_CONTAINER_UNKNOWN: (
        dataclasses.replace(FINE, own_id="a" * 64),
        "give `--network NAME` and `--project NAME`",
    ),
    Code.DOCKER_OLD: (docker(api_version="1.30"), "API 1.41 (Docker 20.10)"),
    Code.SOCKET_MOUNTED: (
        docker(socket=SocketFile(path="/run/d.sock", is_mounted=True)),
        "mount its folder instead of the file, as `HOST_FOLDER:/run`",
    ),
    Code.HAPROXY_NOT_FOUND: (
        dataclasses.replace(
            FINE,
            world=dataclasses.replace(FINE.world, problems=("no haproxy found by x",)),
        ),
        "start HAProxy with that label, or as that service",
    ),
    Code.HAPROXY_STOPPING: (
        evidence(unread(ConnectError("the worker behind it (pid 7) is stopping"))),
        "start HAProxy again",
    ),
    Code.HAPROXY_ERROR: (
        evidence(unread(ConnectError("cannot open tcp://x:1: no such host"))),
        "correct --haproxy",
    ),
    Code.HAPROXY_OLD: (
        evidence(proxy(process(version="2.4.30"))),
        "2.6 is the oldest release",
    ),
    Code.HAPROXY_NBPROC: (
        evidence(dataclasses.replace(proxy(), values={"Nbproc": "4"})),
        "write `nbproc 1`",
    ),
    Code.TEMPLATE_INIT_STATE: (evidence(NEW, CHECKED), "add `init-state down`"),
    Code.DAEMON_VERSION: (daemon(version="0.0.1"), "restart the daemon"),
    Code.PROJECT_UNKNOWN: (settings(projects=("shop",)), "correct --project"),
    Code.NETWORK_UNKNOWN: (settings(network="front"), "correct --network"),
    Code.BASE_CFG_UNREADABLE: (
        dataclasses.replace(FINE, base_cfg_error='base-cfg "x" cannot be read'),
        "correct --base-cfg or RECONCILER_BASE_CFG",
    ),
}


OPEN = CHECKED.replace(
    "    server-template slot 1-4 127.255.255.1:8000 check disabled", "{}"
)
LINE = "    server-template slot 1-4 127.255.255.1:8000 check disabled"
BAD = "    server-template slot 1-4 app.internal:80 resolvers d\n    server slot1 10.0.0.1:1"
UNDECIDED = {
    "either-branch": (
        OPEN.format(f".if defined(APP_TLS)\n{BAD}\n.else\n{LINE}\n.endif"),
        {Code.BASE_CFG_CONDITION},
    ),
    "the-other-branch": (
        OPEN.format(f".if defined(APP_TLS)\n{LINE}\n.else\n{BAD}\n.endif"),
        {Code.BASE_CFG_CONDITION},
    ),
    "a-backend-in-each": (
        CHECKED.replace("backend web", ".if version_atleast(3.1)\nbackend web")
        + ".else\nbackend web\n"
        + LINE
        + "\n.endif",
        {Code.BASE_CFG_CONDITION},
    ),
    "slots-in-one": (
        OPEN.format(f".if feature(LUA)\n{LINE}\n.endif"),
        {Code.BASE_CFG_CONDITION},
    ),
    "no-question-left": (
        OPEN.format(
            f".if feature(LUA) && 0\n{BAD}\n.endif\n.if 0\n{BAD}\n.endif\n{LINE}"
        ),
        set(),
    ),
    "wrong-both-ways": (
        OPEN.format(
            f"    default-server weight 0\n.if feature(LUA)\n    retries 4\n.endif\n{LINE}"
        ),
        {Code.BASE_CFG_CONDITION, Code.TEMPLATE_WEIGHT},
    ),
    "retries-in-one": (
        OPEN.format(f"{LINE}\n.if feature(LUA)\n    retries 0\n.endif"),
        {Code.BASE_CFG_CONDITION},
    ),
    "a-name": (
        CHECKED.replace("backend web", 'backend "${B-web}"'),
        {Code.BASE_CFG_VARIABLE},
    ),
    "a-name-that-is-taken": (
        CHECKED + 'backend "${B-web}"\n' + LINE,
        {Code.BASE_CFG_VARIABLE},
    ),
    "a-port": (
        OPEN.format(LINE.replace("127.255.255.1:8000", '"127.255.255.1:${PORT-8000}"')),
        {Code.BASE_CFG_VARIABLE},
    ),
    "an-address": (
        OPEN.format(LINE.replace("127.255.255.1:8000", '"${PLACE-app.internal:80}"')),
        {Code.BASE_CFG_VARIABLE},
    ),
    "a-prefix": (
        OPEN.format(LINE.replace("slot", '"${PREFIX-place}"')),
        {Code.BASE_CFG_VARIABLE},
    ),
    "a-keyword": (
        OPEN.format(LINE.replace("check disabled", 'weight 0 "${WORDS[*]}"')),
        {Code.BASE_CFG_VARIABLE},
    ),
    "a-keyword-for-all": (
        OPEN.format(f'    default-server "${{WORDS[*]}}"\n    retries 0\n{LINE}'),
        {Code.BASE_CFG_VARIABLE},
    ),
    "a-value": (OPEN.format(f'{LINE} weight "${{W-0}}" inter "$I"'), set()),
    "a-line": (
        CHECKED.replace("    option redispatch 1", '    "${WORDS[*]}"')
        + "    retries 0\n    cookie A insert\n",
        {Code.BASE_CFG_VARIABLE},
    ),
    "an-option": (
        CHECKED.replace("option redispatch 1", 'no option "$O"'),
        {Code.BASE_CFG_VARIABLE},
    ),
    "a-socket": (CHECKED.replace("mode 660 level admin", '"${WORDS[*]}"'), set()),
    "nothing-open": (CHECKED, set()),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_no_finding_rests_on_what_is_not_known(name: str) -> None:
    """Where HAProxy tells nothing, only that is said which holds whatever it is."""
    text, codes = UNDECIDED[name]
    unread_ = unread(ConnectError("cannot open it: no such host"))

    found_ = [
        one for one in judged(evidence(unread_, text)) if one.section == "base.cfg"
    ]

    assert {one.code for one in troubles(found_)} == {code.text for code in codes}


def test_what_is_not_known_is_named() -> None:
    """The condition, its line, and the backend that a name is taken for."""
    text = UNDECIDED["either-branch"][0]
    (asked,) = troubles(judged(evidence(text=text)))
    (named,) = troubles(judged(evidence(text=UNDECIDED["a-name"][0])))

    assert asked.thing == "base.cfg:7"
    assert asked.text.startswith("`defined(APP_TLS)` cannot be decided")
    assert named.thing == "base.cfg:6"
    assert "it is taken for web" in named.text


def test_what_haproxy_tells_decides() -> None:
    """With its environment known nothing is open, and the branch it takes is judged."""
    text = UNDECIDED["either-branch"][0]
    well = Facts(version="3.0.11", environment={"APP_TLS": None})
    ill = Facts(version="3.0.11", environment={"APP_TLS": "1"})

    assert troubles(judged(evidence(text=text, facts=well))) == []
    assert {one.code for one in troubles(judged(evidence(text=text, facts=ill)))} == {
        Code.TEMPLATE_ENABLED.text,
        Code.TEMPLATE_RESOLVERS.text,
        Code.TEMPLATE_UNCHECKED.text,
        Code.SLOT_BY_HAND.text,
    }


def troubles(judged_: list[Finding]) -> list[Finding]:
    """Return the findings that are not ok."""
    return [one for one in judged_ if one.verdict is not Verdict.OK]


def test_evidence_of_which_nothing_is_wrong() -> None:
    """Each section says that it is fine."""
    found_ = judged(FINE)

    assert troubles(found_) == []
    assert list(dict.fromkeys(one.section for one in found_)) == [
        "settings",
        "docker",
        f"haproxy {URL}",
        "backend web",
        "base.cfg",
        "containers",
        "daemon",
    ]


@pytest.mark.parametrize("code", ROWS, ids=lambda code: code.text)
def test_a_judgement(code: Code) -> None:
    """The evidence gives this finding, with its verdict and its mend."""
    made_up, mend = ROWS[code]

    one = next(one for one in judged(made_up) if one.code == code.text)

    assert one.verdict is code.verdict
    assert mend in one.mend


def test_a_manager_says_what_is_seen_of_its_swarm() -> None:
    """The tasks and services are counted; an engine in no swarm has nothing to say of it."""
    manager = judged(swarm(Role(state="active", is_manager=True)))
    said = [one.text for one in manager if one.code == Code.SWARM.text]
    assert said == ["manager: 0 tasks of 0 services"]
    assert troubles(manager) == []
    alone = judged(swarm(Role()))
    assert [one for one in alone if one.thing == "swarm"] == []


def test_found_haproxies_are_not_known_while_docker_is_not() -> None:
    """The way to mend it is Docker's, whatever the source is."""
    world = dataclasses.replace(
        swarm(error="no leader").world, problems=("haproxies by x are not known",)
    )
    unread_ = judged(dataclasses.replace(FINE, world=world))
    (one,) = [one for one in unread_ if one.code == Code.HAPROXY_NOT_FOUND.text]
    assert "make docker readable" in one.mend


def test_a_haproxy_that_leaves_is_no_difference() -> None:
    """The daemon may still have it, or have it no more: it is about to end."""
    more = daemon(haproxies=(URL, "tcp://10.0.9.4:9999"))
    leaving = daemon(
        haproxies=(URL, "tcp://10.0.9.4:9999"), leaving=("tcp://10.0.9.4:9999",)
    )
    assert [one.code for one in troubles(judged(more))] == [Code.DAEMON_HAPROXIES.text]
    assert troubles(judged(leaving)) == []


def test_init_state_where_haproxy_has_no_such_word() -> None:
    """Before 3.1, or with it on the line, there is nothing to add."""
    with_word = CHECKED.replace("disabled", "disabled init-state down")

    assert troubles(judged(evidence(proxy(), CHECKED))) == []
    assert troubles(judged(evidence(NEW, with_word))) == []


def test_every_kind_of_finding_is_planted_somewhere() -> None:
    """No code without a test that makes it appear."""
    tests = Path(__file__).parents[2]
    text = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("unit/doctor", "integration/doctor")
        for path in (tests / folder).glob("test_*.py")
    )

    bad = [code for code in Code if code.verdict is not Verdict.OK]
    assert [code.text for code in bad if f"Code.{code.name}" not in text] == []
    assert len({code.text for code in Code}) == len(Code)


def test_hostile_names_cannot_move_the_cursor() -> None:
    """Control characters of foreign text come out escaped."""
    one = found(Code.CONTAINERS, "a\x1b[2Jb", "c\nd", "e\u202ef", section="g\r")

    assert (one.thing, one.text) == ("a\\x1b[2Jb", "c\\nd")
    assert (one.mend, one.section) == ("e\\u202ef", "g\\r")


def test_a_mounted_socket_is_told_from_a_mounted_folder(tmp_path: Path) -> None:
    """Only the socket's own mount point counts; opening it tells who listens."""
    path, mounts = tmp_path / "d.sock", tmp_path / "mountinfo"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
        one.listen()
        mounts.write_text(f"1 2 0:3 / {tmp_path} rw - tmpfs tmpfs rw\n")
        by_folder = socket_file(str(path), mounts)
        mounts.write_text(f"1 2 0:3 /d.sock {path} rw - tmpfs tmpfs rw\n")
        by_file = socket_file(str(path), mounts)

    assert (by_folder.is_mounted, by_file.is_mounted) == (False, True)
    assert by_folder.error is None
    assert by_folder.group == path.stat().st_gid


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("unix:///var/run/docker.sock", "/var/run/docker.sock"),
        ("unix://var/run/docker.sock", "/var/run/docker.sock"),
        ("tcp://proxy:2375", None),
        ("https://proxy:2376", None),
    ],
)
def test_where_an_engines_socket_is(name: str, path: str | None) -> None:
    """A path for a unix socket, in docker-py's spellings."""
    assert path_of(name) == path


@pytest.mark.parametrize("address", ["", "127.0.0.1"])
def test_a_fixed_agent_answers_for_free_slots_too(address: str) -> None:
    """Where every slot is asked at one address, that is told; else free slots are asked nothing."""
    more = f" agent-check agent-port 9998 {address and f'agent-addr {address}'}"
    (one,) = [
        one
        for one in judged(evidence(text=CHECKED.replace(" check ", f" check{more} ")))
        if one.code == Code.AGENT_CHECK.text
    ]

    assert ("free slots" in one.text) is bool(address)
