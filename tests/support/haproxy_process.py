"""A real HAProxy of a chosen version, on sockets and ports of its own.

Binaries come from ``scripts/haproxy-versions`` (``HAPROXY_VERSIONS_DIR`` moves their
folder). Everything listens on 127.0.0.1 or in a temporary folder, and is gone after.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.ports import free_ports
from tests.support.requirements import require


ROOT = Path(__file__).resolve().parents[2]
BASE_CFG = ROOT / "haproxy" / "base.cfg"
VERSIONS = tuple(os.environ.get("RECONCILER_TEST_HAPROXY", "2.6 2.8 3.0").split())
START_SECONDS = 10.0
_POLL_SECONDS = 0.005


def binary(version: str) -> Path:
    """Return the binary of a version; skip (fail under CI) where there is none."""
    folder = Path(os.environ.get("HAPROXY_VERSIONS_DIR", ROOT / ".cache" / "haproxy"))
    path = folder / version / "haproxy"
    require(
        os.access(path, os.X_OK),
        f"haproxy {version} ({path}): scripts/haproxy-versions",
    )
    return path


class HaproxyProcess:
    """One HAProxy. ``config`` None runs the very file that is shipped.

    A config may use the environment that the shipped one knows, and
    ``${HAPROXY_RUNTIME_PORT}`` for a runtime socket on TCP.
    """

    def __init__(
        self,
        version: str,
        folder: Path,
        *,
        config: str | None = None,
        with_master: bool = False,
    ) -> None:
        self._binary = binary(version)
        self._config = BASE_CFG
        if config is not None:
            self._config = folder / "haproxy.cfg"
            self._config.write_text(config)
        self._log = folder / "haproxy.log"
        self._with_master = with_master
        self._process: subprocess.Popen[bytes] | None = None
        self.version = version
        self.sorry_wait = "50ms"
        """How long a request that finds no server waits for each try; shipped: 500ms."""
        self.socket = folder / "admin.sock"
        self.master_socket = folder / "master.sock"
        ports = free_ports(7)
        self.http_port, self.tcp_port, self.stats_port, self.runtime_port = ports[:4]
        self._sorry_ports = ports[4:]

    @property
    def url(self) -> str:
        """The runtime socket."""
        return f"unix://{self.socket}"

    @property
    def master_url(self) -> str:
        """The master's socket, where it was asked for."""
        return f"master+unix://{self.master_socket}"

    @property
    def log(self) -> str:
        """All that HAProxy printed."""
        return self._log.read_text() if self._log.exists() else ""

    @property
    def environment(self) -> dict[str, str]:
        """What moves the configuration to this process's sockets and ports."""
        return {
            **os.environ,
            "HAPROXY_SOCKET": str(self.socket),
            "HAPROXY_HTTP_BIND": f"127.0.0.1:{self.http_port}",
            "HAPROXY_TCP_BIND": f"127.0.0.1:{self.tcp_port}",
            "HAPROXY_STATS_BIND": f"127.0.0.1:{self.stats_port}",
            "HAPROXY_SORRY_HTTP": f"127.0.0.1:{self._sorry_ports[0]}",
            "HAPROXY_SORRY_TCP": f"127.0.0.1:{self._sorry_ports[1]}",
            "HAPROXY_SORRY_ANSWER": f"127.0.0.1:{self._sorry_ports[2]}",
            "HAPROXY_SORRY_WAIT": self.sorry_wait,
            "HAPROXY_RUNTIME_PORT": str(self.runtime_port),
        }

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run ``haproxy -c`` on the configuration."""
        return subprocess.run(
            [self._binary, "-c", "-f", self._config],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def start(self) -> None:
        """Start, and return when the runtime socket answers."""
        arguments = [str(self._binary), "-f", str(self._config)]
        if self._with_master:
            arguments += ["-W", "-S", f"{self.master_socket},level,admin"]
        else:
            arguments += ["-db"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._await(lambda: bool(self.raw("show info")), "answer")
        self._await(self._is_master_ready, "answer through its master")

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError):
                if condition():
                    return
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"haproxy {self.version} did not {what}: {self.log}")
            time.sleep(_POLL_SECONDS)

    def _is_master_ready(self) -> bool:
        # A master that does not answer yet would lose the signal to reload, too. Older
        # ones close only when they are told to.
        return not self._with_master or "worker" in self.raw(
            "show proc\nquit", path=self.master_socket
        )

    def raw(self, command: str, *, path: Path | None = None) -> str:
        """Ask the runtime socket by no client of ours: one line, read to the end."""
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(START_SECONDS)
            one.connect(str(path or self.socket))
            one.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: one.recv(65536), b"")).decode()

    def worker_pid(self) -> int:
        """Return the pid that answers on a new connection."""
        lines = self.raw("show info").splitlines()
        return next(int(line[5:]) for line in lines if line.startswith("Pid: "))

    def reload(self) -> None:
        """Have the master replace its worker; return when the new one answers."""
        assert self._process is not None
        old = self.worker_pid()
        self._process.send_signal(signal.SIGUSR2)
        self._await(lambda: self.worker_pid() != old, "replace its worker")
        self._await(self._is_master_ready, "answer through its master")

    def kill(self) -> None:
        """End at once, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End in order."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Stop and start, on the same socket and ports."""
        self.stop()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(START_SECONDS)
        finally:
            # Whatever is left of its session: an old worker, or one that would not stop.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(START_SECONDS)


@contextmanager
def haproxy_process(
    version: str,
    *,
    config: str | None = None,
    with_master: bool = False,
    sorry_wait: str | None = None,
) -> Iterator[HaproxyProcess]:
    """Run a HAProxy for the length of a block."""
    # Not pytest's tmp_path: a unix socket's path may have no more than 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="haproxy-"))
    process = HaproxyProcess(version, folder, config=config, with_master=with_master)
    process.sorry_wait = sorry_wait or process.sorry_wait
    try:
        process.start()
        yield process
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)
