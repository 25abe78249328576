"""Where settings come from, which one counts, and what is said of a wrong one."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.unit.cli.conftest import Reconciler

from reconciler.cli.options import KEYS, with_settings
from reconciler.config import Settings, read_base_cfg
from reconciler.core.cfg_sections import sections
from reconciler.errors import ConfigError


SEEN: list[Settings] = []


@click.command()
@with_settings
def probe(settings: Settings) -> None:
    """Remember the settings a command would get."""
    SEEN.append(settings)


def settings_of(*arguments: str, **environment: str) -> Settings:
    """Return the settings of a command line in an environment."""
    outcome = CliRunner().invoke(probe, arguments, env=environment)
    assert outcome.exit_code == 0, outcome.output
    return SEEN.pop()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file with every key."""
    path = tmp_path / "reconciler.toml"
    path.write_text(
        """
haproxy = ["unix:///file-a.sock", "tcp://10.0.0.1:9999"]
haproxy-timeout = 1.5
docker = "tcp://file:2375"
project = "file"
network = "file"
slot-prefix = "file"
backend-port = { web = 81, api = 82 }
base-cfg = "/file.cfg"
resync = 11
listen = "[::1]:81"
log-format = "json"
log-level = "debug"
"""
    )
    return path


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any setting the documented defaults hold."""
    monkeypatch.delenv("RECONCILER_HAPROXY")

    assert settings_of() == Settings()
    assert Settings().haproxy == ("unix:///run/haproxy/admin.sock",)
    assert Settings().listen == ("127.0.0.1", 9700)


def test_every_key_of_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option can stand in the file."""
    monkeypatch.delenv("RECONCILER_HAPROXY")
    expected = Settings(
        haproxy=("unix:///file-a.sock", "tcp://10.0.0.1:9999"),
        haproxy_timeout_seconds=1.5,
        docker="tcp://file:2375",
        projects=("file",),
        network="file",
        slot_prefix="file",
        backend_ports={"web": 81, "api": 82},
        base_cfg=(Path("/file.cfg"),),
        resync_seconds=11.0,
        listen=("::1", 81),
        log_format="json",
        log_level="debug",
    )

    assert settings_of("--config", str(file)) == expected
    assert settings_of(RECONCILER_CONFIG=str(file)) == expected
    assert len(KEYS) == len(Settings.__dataclass_fields__)


ENVIRONMENT = {
    "RECONCILER_HAPROXY": "unix:///env-a.sock unix:///env-b.sock",
    "RECONCILER_HAPROXY_TIMEOUT": "2.5",
    "RECONCILER_DOCKER": "tcp://env:2375",
    "RECONCILER_PROJECT": "env-a env-b",
    "RECONCILER_NETWORK": "env",
    "RECONCILER_SLOT_PREFIX": "env",
    "RECONCILER_BACKEND_PORT": "web=91 api=92",
    "RECONCILER_BASE_CFG": "/env.cfg",
    "RECONCILER_RESYNC": "12",
    "RECONCILER_LISTEN": "env:92",
    "RECONCILER_LOG_FORMAT": "text",
    "RECONCILER_LOG_LEVEL": "warning",
}


def test_the_environment_is_over_the_file(file: Path) -> None:
    """Each option can stand in the environment, and counts more there."""
    found = settings_of("--config", str(file), **ENVIRONMENT)

    assert found == Settings(
        haproxy=("unix:///env-a.sock", "unix:///env-b.sock"),
        haproxy_timeout_seconds=2.5,
        docker="tcp://env:2375",
        projects=("env-a", "env-b"),
        network="env",
        slot_prefix="env",
        backend_ports={"web": 91, "api": 92},
        base_cfg=(Path("/env.cfg"),),
        resync_seconds=12.0,
        listen=("env", 92),
        log_format="text",
        log_level="warning",
    )


def test_a_flag_is_over_the_environment_and_the_file(file: Path) -> None:
    """What is typed counts most, and replaces lists whole."""
    found = settings_of(
        *("--config", str(file), "--haproxy", "unix:///flag.sock"),
        *("--haproxy-timeout", "3.5"),
        *("--docker", "tcp://flag:2375", "--project", "flag", "--network", "flag"),
        *("--slot-prefix", "flag", "--backend-port", "web=71", "--base-cfg", "/flag"),
        *("--resync", "13", "--listen", "off", "--log-format", "text"),
        *("--log-level", "error"),
        **ENVIRONMENT,
    )

    assert found == Settings(
        haproxy=("unix:///flag.sock",),
        haproxy_timeout_seconds=3.5,
        docker="tcp://flag:2375",
        projects=("flag",),
        network="flag",
        slot_prefix="flag",
        backend_ports={"web": 71},
        base_cfg=(Path("/flag"),),
        resync_seconds=13.0,
        listen=None,
        log_format="text",
        log_level="error",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("haproxy = =", ["is not TOML", "line 1"], id="does-not-parse"),
        pytest.param("haproxi = 'x'", ['unknown key "haproxi"', "haproxy, "], id="key"),
        pytest.param("[web]\nport = 1", ['unknown key "web"'], id="section"),
        pytest.param("docker = 7", ['docker is "7"', "must be a string"], id="number"),
        pytest.param("haproxy = [7]", ["haproxy is", "list of strings"], id="list"),
        pytest.param(
            "resync = '30'", ['resync is "30"', "number of seconds"], id="text"
        ),
        pytest.param("resync = true", ["resync is", "number of seconds"], id="boolean"),
        pytest.param("resync = 0", ["--resync", "1<=x<=86400"], id="range"),
        pytest.param(
            "haproxy-timeout = 61", ["--haproxy-timeout", "0.1<=x<=60"], id="time-out"
        ),
        pytest.param("haproxy = 'x'", ['"x" is no address', "unix:///path"], id="url"),
        pytest.param(
            "listen = '9700'", ['"9700" is not HOST:PORT or off'], id="listen"
        ),
        pytest.param(
            "backend-port = { web = 70000 }", ['"web=70000"', "1 to 65535"], id="port"
        ),
        pytest.param("log-level = 'loud'", ["'loud'", "'warning'"], id="choice"),
    ],
)
def test_a_wrong_file(
    reconciler: Reconciler,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    words: list[str],
) -> None:
    """Exit 2, naming the file or the option, the value and the accepted form."""
    monkeypatch.delenv("RECONCILER_HAPROXY")
    path = tmp_path / "odd.toml"
    path.write_text(text)

    done = reconciler("slots", "--config", str(path))

    assert (done.code, done.stdout) == (2, "")
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there(reconciler: Reconciler, tmp_path: Path) -> None:
    """The path and the cause."""
    done = reconciler("check", "--config", str(tmp_path / "absent.toml"))

    assert done.code == 2
    assert re.search(
        r'config file ".*absent\.toml" cannot be read: No such', done.stderr
    )


def test_a_file_that_is_no_text(reconciler: Reconciler, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are an error like any other."""
    path = tmp_path / "odd.toml"
    path.write_bytes(b"\xff\xfe\x00")

    done = reconciler("check", "--config", str(path))

    assert done.code == 2
    assert "is not TOML" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--haproxy", "haproxy.sock"), '"haproxy.sock" is no address'),
        (("--haproxy", "http://x"), "tcp://host:port"),
        (("--backend-port", "web"), '"web" is not BACKEND=PORT'),
        (("--backend-port", "web=0"), "from 1 to 65535"),
        (("--backend-port", "web=٣"), "from 1 to 65535"),
        (("--listen", "9700"), '"9700" is not HOST:PORT or off'),
        (("--listen", "x:70000"), "is not HOST:PORT or off"),
        (("--resync", "soon"), "'soon'"),
        (("--nonsense",), "No such option"),
    ],
)
def test_a_wrong_flag(
    reconciler: Reconciler, arguments: tuple[str, ...], words: str
) -> None:
    """Exit 2, with the value and the accepted form."""
    done = reconciler("plan", *arguments)

    assert (done.code, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_wrong_environment(
    reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad variable is refused like a bad flag."""
    monkeypatch.setenv("RECONCILER_LISTEN", "nowhere")

    done = reconciler("run")

    assert done.code == 2
    assert '"nowhere" is not HOST:PORT or off' in done.stderr


def test_a_configuration_of_several_files(tmp_path: Path) -> None:
    """As HAProxy's `-f` they are given one after the other, by flag, environment or file."""
    toml = tmp_path / "reconciler.toml"
    toml.write_text('base-cfg = ["/t/1.cfg", "/t/conf.d"]')
    both = (Path("/t/1.cfg"), Path("/t/conf.d"))

    flags = settings_of("--base-cfg", "/t/1.cfg", "--base-cfg", "/t/conf.d")
    environment = settings_of(RECONCILER_BASE_CFG="/t/1.cfg /t/conf.d")
    file = settings_of("--config", str(toml))

    assert [one.base_cfg for one in (flags, environment, file)] == [both] * 3


def test_the_ports_of_several_files(tmp_path: Path) -> None:
    """All files of a folder are read, in the order of their names, and none twice."""
    line = "backend {}\n    server-template slot 1-2 127.255.255.1:{} disabled\n"
    folder = tmp_path / "conf.d"
    folder.mkdir()
    first = tmp_path / "first"
    first.write_text(line.format("web", 80))
    (folder / "b.cfg").write_text(line.format("api", 81))
    (folder / ".c.cfg").write_text(line.format("api", 82))
    (folder / "d.conf").write_text(line.format("api", 83))

    found = Settings(base_cfg=(first, folder))

    assert found.slot_file().told().ports == {"web": 80, "api": 81}
    assert [Path(one.name).name for one in read_base_cfg(found.base_cfg)] == [
        "first",
        "b.cfg",
    ]


def test_the_lines_of_a_file_are_not_translated(tmp_path: Path) -> None:
    """A lone carriage return ends what HAProxy reads of a line, and begins no other."""
    path = tmp_path / "h.cfg"
    path.write_bytes(b"backend web # \xff \r backend x\r\n  retries 3\r\n")

    (file,) = read_base_cfg([path])

    assert [(s.name, len(s.lines)) for s in sections(file.text)] == [("web", 1)]


def test_a_folder_with_nothing_to_read(tmp_path: Path) -> None:
    """It is named, with what HAProxy reads of a folder."""
    (tmp_path / "haproxy.conf").write_text("")

    with pytest.raises(ConfigError, match=r"is a folder without a file named \*\.cfg"):
        read_base_cfg([tmp_path])


@pytest.mark.parametrize("command", ["slots", "plan", "run"])
def test_a_base_cfg_that_is_not_there(
    reconciler: Reconciler, tmp_path: Path, command: str
) -> None:
    """A setting that names a missing file is wrong usage."""
    done = reconciler(command, "--base-cfg", str(tmp_path / "absent.cfg"))

    assert done.code == 2
    assert "absent.cfg" in done.stderr
    assert "cannot be read: No such file" in done.stderr
    assert "leave the option out" in done.stderr
