"""Each pitfall of base.cfg, planted in the shipped file and run by a real HAProxy."""

from __future__ import annotations

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
        bad=f"{LINE} resolvers docker\n\nresolvers docker\n    nameserver d 127.0.0.11:53",
        mend="remove `resolvers`, and write `127.255.255.1:8000`",
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
