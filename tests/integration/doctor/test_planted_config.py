"""Each pitfall of base.cfg, planted in the shipped file and run by a real HAProxy."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.doctor.planting import codes, settings_for, the, troubles
from tests.scripted_engine import ScriptedEngine
from tests.support.haproxy_process import BASE_CFG, HaproxyProcess, haproxy_process

from reconciler.doctor import Code


pytestmark = pytest.mark.integration

SHIPPED = BASE_CFG.read_text()
LINE = "server-template slot 1-64 127.255.255.1:8000 disabled"
SOCKET = "mode 660 level admin"
ROUND = "balance roundrobin"
DYNAMIC = "    dynamic-cookie-key secret"
RESOLVERS = "resolvers docker\n\nresolvers docker\n    nameserver d 127.0.0.11:53"
HTTP_CHECK = f"{ROUND}\n    option httpchk\n    http-check connect"
TCP_CHECK = f"{ROUND}\n    option tcp-check\n    tcp-check connect"
OTHER_TABLE = "\n\nbackend table\n    stick-table type ip size 1k"
PEERS = """

peers us
    bind "127.0.0.1:${HAPROXY_RUNTIME_PORT}"
    server "$HAPROXY_LOCALPEER"
    table t type ip size 1k"""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A misconfiguration, and what ``check`` has to say of it.

    ``good`` of the shipped file becomes ``bad``; ``mended`` is ``bad`` with the mend applied,
    which has the words ``mend``. ``also`` are findings that come of the same mistake.
    """

    code: Code
    bad: str
    mend: str
    good: str = LINE
    mended: str = ""
    also: tuple[Code, ...] = ()
    version: str = "3.0"

    @property
    def text(self) -> str:
        """The whole file with the mistake."""
        return self.with_line(self.bad)

    def with_line(self, line: str) -> str:
        """Return the shipped file with another line for the good one."""
        assert self.good in SHIPPED
        return SHIPPED.replace(self.good, line)


ROWS = [
    Planted(
        code=Code.TEMPLATE_ENABLED,
        bad=LINE.removesuffix(" disabled"),
        mend="write `disabled` at the end of the line",
        also=(Code.SLOT_STRAY, Code.SLOTS_FULL),
    ),
    Planted(
        code=Code.TEMPLATE_RESOLVERS,
        bad=f"{LINE.replace('127.255.255.1', 'slot.invalid')} "
        f"init-addr last,127.255.255.1 {RESOLVERS}",
        mended=f"{LINE} {RESOLVERS}",
        mend="remove `resolvers`, and write `127.255.255.1:8000`",
    ),
    Planted(
        code=Code.TEMPLATE_FAMILY,
        bad=LINE.replace("127.255.255.1:8000", "unix@/run/app.sock"),
        mend="write `127.255.255.1:PORT`",
        also=(Code.TEMPLATE_PORT,),
    ),
    Planted(
        code=Code.TEMPLATE_HOST_NAME,
        bad=LINE.replace("127.255.255.1", "localhost"),
        mend="write `127.255.255.1:8000`",
        also=(Code.SLOT_STRAY, Code.SLOTS_FULL),
    ),
    Planted(
        code=Code.TEMPLATE_UNSET_ADDRESS,
        bad=LINE.replace("127.255.255.1", "0.0.0.0"),
        mend="write `127.255.255.1:8000`",
    ),
    Planted(
        code=Code.TEMPLATE_ADDRESS,
        bad=LINE.replace("127.255.255.1", "127.0.0.1"),
        mend="write `127.255.255.1:8000`",
        also=(Code.SLOT_STRAY, Code.SLOTS_FULL),
    ),
    Planted(
        code=Code.TEMPLATE_CHECK_ADDR,
        bad=f"{LINE} addr 127.0.0.1",
        mend="remove `addr`",
    ),
    Planted(
        code=Code.TEMPLATE_CHECK_PORT, bad=f"{LINE} port 9999", mend="remove `port`"
    ),
    Planted(
        code=Code.TEMPLATE_CHECK_ADDR,
        good=ROUND,
        bad=f"{HTTP_CHECK} addr 127.0.0.1 linger",
        mended=f"{HTTP_CHECK} default",
        mend="remove `addr`",
    ),
    Planted(
        code=Code.TEMPLATE_CHECK_PORT,
        good=ROUND,
        bad=f"{HTTP_CHECK} port 9999 linger",
        mended=f"{HTTP_CHECK} linger",
        mend="remove `port`",
    ),
    Planted(
        code=Code.TEMPLATE_CHECK_PORT,
        good=ROUND,
        bad=f"{TCP_CHECK}\n    tcp-check connect port 9999",
        mended=f"{TCP_CHECK} default\n    tcp-check connect",
        mend="remove `port`",
    ),
    Planted(
        code=Code.TEMPLATE_PORT,
        bad=LINE.replace(":8000", "") + " no-check",
        mend="`127.255.255.1:PORT`, or give `--backend-port web=PORT`",
        also=(Code.TEMPLATE_UNCHECKED,),
    ),
    Planted(
        code=Code.TEMPLATE_UNCHECKED,
        bad=f"{LINE} no-check",
        mended=f"{LINE} no-check check inter 500ms rise 1 fall 2",
        mend="add `check inter 500ms rise 1 fall 2`",
    ),
    Planted(
        code=Code.TEMPLATE_WEIGHT,
        bad=f"{LINE} weight 0",
        mended=f"{LINE} weight 1",
        mend="write `weight 1`",
    ),
    Planted(
        code=Code.TEMPLATE_COOKIE,
        bad=f"cookie SRV insert dynamic\n{DYNAMIC}\n    {LINE} cookie same",
        mended=f"cookie NAME insert indirect nocache dynamic\n{DYNAMIC}\n    {LINE}",
        mend="`cookie NAME insert indirect nocache dynamic`",
    ),
    Planted(
        code=Code.SLOT_BY_HAND,
        bad=f"{LINE}\n    server slot65 127.0.0.1:8499",
        mended=f"{LINE}\n    server own-slot65 127.0.0.1:8499",
        mend="such as `server own-slot65`",
        also=(Code.SLOT_STRAY,),
    ),
    Planted(
        code=Code.SLOT_PREFIX_CLASH,
        bad=f"{LINE}\n    server-template slot9 1-3 127.255.255.1:8000 disabled",
        mended=f"{LINE}\n    server-template own-slot9- 1-3 127.255.255.1:80 disabled",
        mend="`server-template own-slot9-`",
        also=(Code.SLOTS_GAP,),
    ),
    Planted(
        code=Code.SLOTS_GAP,
        bad=f"{LINE.replace('1-64', '1-4')}\n    {LINE.replace('1-64', '10-12')}",
        mended=LINE.replace("1-64", "1-7"),
        mend="`server-template slot 1-7 …`",
    ),
    Planted(
        code=Code.STATE_FILE,
        good="retries 10\n    option redispatch 1\n    # 425",
        bad="retries 10\n    option redispatch 1\n"
        "    load-server-state-from-file global\n    # 425",
        mended="retries 10\n    option redispatch 1\n"
        "    load-server-state-from-file none\n    # 425",
        mend="write `load-server-state-from-file none`",
    ),
    Planted(
        code=Code.REDISPATCH,
        good="option redispatch 1\n    # 425",
        bad="# 425",
        mend="write `option redispatch 1` in `backend web` or in its `defaults`",
    ),
    Planted(
        code=Code.REDISPATCH,
        good=ROUND,
        bad=f"{ROUND}\n    no option redispatch",
        mend="write `option redispatch 1`",
    ),
    Planted(
        code=Code.RETRIES,
        good=ROUND,
        bad=f"{ROUND}\n    retries 0",
        mended=f"{ROUND}\n    retries 10",
        mend="write `retries 10`",
    ),
    Planted(
        code=Code.COOKIE_NOT_DYNAMIC,
        good=ROUND,
        bad=f"{ROUND}\n    cookie SRV insert indirect nocache",
        mended=f"{ROUND}\n    cookie SRV insert indirect nocache dynamic\n{DYNAMIC}",
        mend="`cookie NAME insert indirect nocache dynamic` and `dynamic-cookie-key SECRET`",
    ),
    Planted(
        code=Code.COOKIE_NOT_DYNAMIC,
        good=ROUND,
        bad=f"{ROUND}\n    cookie SRV insert dynamic",
        mended=f"{ROUND}\n    cookie SRV insert dynamic\n{DYNAMIC}",
        mend="`dynamic-cookie-key SECRET`",
    ),
    Planted(
        code=Code.STICK_TO_NAME,
        good=ROUND,
        bad=f"{ROUND}\n    stick-table type ip size 1k\n    stick on src",
        mended=f"{ROUND}\n    stick-table type ip size 1k srvkey addr\n    stick on src",
        mend="add `srvkey addr` to the `stick-table` line",
    ),
    Planted(
        code=Code.STICK_TO_NAME,
        good=LINE,
        bad=f"stick-table type ip size 1k srvkey addr\n    stick on src table table\n"
        f"    {LINE}{OTHER_TABLE}",
        mended=f"stick-table type ip size 1k\n    stick on src table table\n"
        f"    {LINE}{OTHER_TABLE} srvkey addr",
        mend="add `srvkey addr` to the `stick-table` line",
    ),
    Planted(
        code=Code.STICK_TO_NAME,
        good=LINE,
        bad=f"stick match src table us/t\n    {LINE}{PEERS}",
        mended=f"stick match src table us/t\n    {LINE}{PEERS} srvkey addr",
        mend="add `srvkey addr` to the `table` line",
    ),
    Planted(
        code=Code.PERSIST,
        good=ROUND,
        bad=f"{ROUND}\n    option persist",
        mended=f"{ROUND}\n    option persist\n    no option persist",
        mend="remove the line: `option redispatch 1`",
    ),
    Planted(
        code=Code.PERSIST,
        good=ROUND,
        bad=f"{ROUND}\n    force-persist if {{ src 127.0.0.0/8 }}",
        mend="remove the line: `option redispatch 1`",
    ),
    Planted(
        code=Code.MARKED_DOWN_SHUTDOWN,
        bad=f"{LINE} on-marked-down shutdown-sessions",
        mend="remove it: a container that ends closes them itself",
    ),
    Planted(
        code=Code.AGENT_CHECK,
        bad=f"{LINE} agent-check agent-port 9998",
        mend="remove `agent-check`",
    ),
    Planted(
        code=Code.SLOW_START,
        bad=f"{LINE} slowstart 10s",
        mend="remove `slowstart`",
    ),
    Planted(
        code=Code.BASE_CFG_CONDITION,
        bad=f".if enabled(NO_SUCH)\n    {LINE} weight 0\n.else\n    {LINE}\n.endif",
        mended=f".if 0\n    {LINE} weight 0\n.else\n    {LINE}\n.endif",
        mend="`--backend-port`",
    ),
    Planted(
        code=Code.STATIC_BALANCE,
        good=ROUND,
        bad="balance static-rr",
        mend="write `balance roundrobin`",
    ),
    Planted(
        code=Code.STATIC_BALANCE,
        good=ROUND,
        bad="balance source",
        mended="balance source\n    hash-type consistent\n"
        "    default-server hash-key addr-port",
        mend="write `hash-type consistent`, and `hash-key addr-port`",
    ),
    Planted(
        code=Code.HASH_BY_SLOT,
        good=ROUND,
        bad=f"{ROUND}\n    balance hdr(x-user)\n    hash-type consistent",
        mended=f"{ROUND}\n    balance hdr(x-user)\n    hash-type consistent\n"
        "    default-server hash-key addr-port",
        mend="add `hash-key addr-port`",
    ),
    Planted(
        code=Code.HTTP_REUSE_ALWAYS,
        good="http-reuse safe",
        bad="http-reuse always",
        mend="write `http-reuse safe`",
        also=(Code.IDLE_REUSE,),
        version="2.6",
    ),
    Planted(
        code=Code.STATS_SOCKET_LEVEL,
        good=SOCKET,
        bad="mode 660 level operator",
        mend="`stats socket /run/haproxy/admin.sock mode 660 level admin`",
        also=(Code.LEVEL_TOO_LOW,),
    ),
    Planted(
        code=Code.STATS_SOCKET_MODE,
        good=SOCKET,
        bad="level admin",
        mend="write `mode 660` on the line",
    ),
    Planted(
        code=Code.STATS_SOCKET_MODE,
        good=SOCKET,
        bad="mode 666 level admin",
        mend="write `mode 660` on the line",
        also=(Code.SOCKET_WORLD_WRITABLE,),
    ),
    Planted(
        code=Code.STATS_MAXCONN,
        good="stats maxconn 20",
        bad="stats maxconn 3",
        mend="write `stats maxconn 20`",
    ),
    Planted(
        code=Code.STATS_TIMEOUT,
        good="stats timeout 1h",
        bad="stats timeout 500ms",
        mend="write `stats timeout 1h`",
    ),
]


NAMES = [
    f"{row.code.text}-{[one.code for one in ROWS[:at]].count(row.code) + 1}"
    for at, row in enumerate(ROWS)
]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
async def test_a_pitfall_is_found_and_its_mend_mends_it(
    engine: ScriptedEngine, tmp_path: Path, row: Planted
) -> None:
    """HAProxy runs with the mistake; it is found, and not after the mend."""
    mended = HaproxyProcess(
        row.version, tmp_path, config=row.with_line(row.mended or row.good)
    )
    with haproxy_process(row.version, config=row.text) as haproxy:
        path = haproxy.socket.parent / "haproxy.cfg"
        settings = settings_for(haproxy.url, engine=engine, base_cfg=path)
        found = await troubles(settings)
        path.write_text(row.with_line(row.mended or row.good))
        after = await troubles(settings)

    one = the(row.code, found)
    assert row.mend in one.mend
    assert codes(found) == {code.text for code in (row.code, *row.also)}
    assert mended.check().returncode == 0
    # What HAProxy itself has planted in its table stays until it is reloaded.
    if row.code is not Code.SLOTS_GAP:
        assert row.code.text not in codes(after)


FILE_ONLY = {
    Code.STATS_SOCKET_TCP: (
        SOCKET,
        f"{SOCKET}\n    stats socket ipv4@*:9999 level admin",
        "write `stats socket ipv4@127.0.0.1:9999`",
    ),
    Code.STATS_SOCKET_TLS: (
        SOCKET,
        f"{SOCKET}\n    stats socket ipv4@127.0.0.1:9999 level admin ssl crt a.pem",
        "bind a frontend with `ssl … verify required`",
    ),
    Code.BACKEND_TWICE: (
        "frontend sorry-wait",
        "backend web from http\n    server a 127.0.0.1:1\n\nfrontend sorry-wait",
        "join the two into one `backend web`",
    ),
    Code.BASE_CFG_DIFFERS: (
        LINE,
        LINE.replace("1-64", "1-32"),
        "reload or restart HAProxy once",
    ),
    Code.BASE_CFG_NO_SLOTS: (
        "server-template slot ",
        "server-template place ",
        "add `server-template slot 1-32 127.255.255.1:PORT check disabled`",
    ),
}


@pytest.mark.parametrize("code", FILE_ONLY, ids=lambda code: code.text)
async def test_a_pitfall_of_a_file_that_haproxy_does_not_run(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, tmp_path: Path, code: Code
) -> None:
    """What would listen to everybody, would not start, or is another file than the one."""
    good, bad, mend = FILE_ONLY[code]
    assert good in SHIPPED
    path = tmp_path / "base.cfg"
    path.write_text(SHIPPED.replace(good, bad))

    found = await troubles(settings_for(haproxy3.url, engine=engine, base_cfg=path))

    assert mend in the(code, found).mend
    assert codes(found) <= {code.text, Code.BASE_CFG_DIFFERS.text}


@pytest.mark.parametrize("version", ["2.6", "2.8", "3.0"])
async def test_the_shipped_configuration_is_without_fault(
    engine: ScriptedEngine, version: str
) -> None:
    """Nothing to mend in any version; 2.6 has its note."""
    with haproxy_process(version) as haproxy:
        settings = settings_for(haproxy.url, engine=engine, base_cfg=BASE_CFG)
        found = await troubles(settings)

    wanted = {Code.IDLE_REUSE.text} if version == "2.6" else set()
    assert codes(found) == wanted


LITERAL = LINE.replace("127.255.255.1", "{}@127.255.255.1")
OLD = "server-template slot 1-64 docker.internal:80 resolvers d\n    server slot1 10.0.0.1:1"
SHOP = "backend shop from http\n    server-template slot 1-4 127.255.255.1:1 check disabled"
HARMLESS = {
    "resolvers-with-a-literal": f"default-server resolvers docker\n    {LINE} {RESOLVERS}",
    "ipv4": LITERAL.format("ipv4"),
    "tcp4": LITERAL.format("tcp4"),
    "stream+ip": LITERAL.format("stream+ip"),
    "old-lines": f".if 0\n    {OLD}\n.endif\n    {LINE}",
    "a-backend-in-two-branches": f"{LINE}\n.if version_atleast(2.8)\n{SHOP}\n.else\n{SHOP}"
    "\n.endif",
    "of-the-environment": f'.if streq("$HAPROXY_SORRY_WAIT",50ms) && defined(HAPROXY_SOCKET)\n'
    f"    {LINE}\n.else\n    {OLD}\n.endif",
    "of-the-features": f".if version_atleast(2.6) && !feature(NO_SUCH)\n    {LINE}\n"
    f".else\n    {OLD}\n.endif",
    "a-name-of-the-environment": f'{LINE}\nbackend "${{HB_NONE-shop}}" from http\n'
    "    server-template slot 1-4 127.255.255.1:1 check disabled",
    "line-ends": f"# \f server slot1 \u2028 server slot1 \x85 server slot1\n    {LINE}",
    "checks-of-another-kind": f"option httpchk\n    http-check connect port 1\n"
    f"    option tcp-check\n    {LINE}",
}


@pytest.mark.parametrize("name", HARMLESS)
async def test_what_is_no_pitfall(engine: ScriptedEngine, name: str) -> None:
    """HAProxy runs with it, every slot is free, and there is nothing to find."""
    text = SHIPPED.replace(LINE, HARMLESS[name])
    with haproxy_process("3.0", config=text) as haproxy:
        path = haproxy.socket.parent / "haproxy.cfg"
        settings = settings_for(haproxy.url, engine=engine, base_cfg=path)
        found = await troubles(settings)

    assert found == []


async def test_a_socket_of_the_master_alone(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    """What was reached may change servers, whatever the file says of sockets."""
    socket_line = next(line for line in SHIPPED.splitlines() if SOCKET in line)
    path = tmp_path / "base.cfg"
    known = f'.if streq("$HAPROXY_SORRY_WAIT",50ms)\n    {LINE}\n.endif'
    path.write_text(SHIPPED.replace(socket_line, "").replace(LINE, known))
    with haproxy_process("3.0", with_master=True) as haproxy:
        settings = settings_for(haproxy.master_url, engine=engine, base_cfg=path)
        found = await troubles(settings)

    assert found == []


async def test_several_files(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, tmp_path: Path
) -> None:
    """A finding names the file that its line is in."""
    at = SHIPPED.index("backend web from http")
    one, folder = tmp_path / "1.cfg", tmp_path / "conf.d"
    folder.mkdir()
    one.write_text(SHIPPED[:at])
    (folder / "2.cfg").write_text(SHIPPED[at:].replace(LINE, f"{LINE} weight 0"))
    settings = settings_for(haproxy3.url, engine=engine)
    settings = dataclasses.replace(settings, base_cfg=(one, folder))

    found = await troubles(settings)

    line = SHIPPED[at:].split(LINE, maxsplit=1)[0].count("\n") + 1
    assert the(Code.TEMPLATE_WEIGHT, found).thing == f"{folder / '2.cfg'}:{line}"
    assert codes(found) == {Code.TEMPLATE_WEIGHT.text}
