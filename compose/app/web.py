"""The demo's web service: says which container answered, and stops without a lost request.

``/`` answers at once, ``/slow?ms=N`` after N milliseconds. On SIGTERM it goes on serving for
``GRACE_SECONDS`` or a bit longer, because whoever balances it hears of the stop at the same time and not
before; then it finishes what it is at, and ends. It listens to the very end: the shorter the
time between refusing connections and being gone, the fewer meet it.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


GRACE_SECONDS = float(os.environ.get("GRACE_SECONDS", "0.3"))
LONGEST_WAIT_MS = 30_000
HOSTNAME = socket.gethostname()

stopping = threading.Event()
signalled: list[float] = []
"""When it was told to stop, by the monotonic clock."""


class InFlight:
    """How many requests are being answered, and a way to wait until none is."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        """Count one more."""
        with self._changed:
            self._count += 1

    def __exit__(self, *_exc_info: object) -> None:
        """Count one less."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_none(self, timeout_seconds: float) -> bool:
        """Return whether everything was answered within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, timeout_seconds)


in_flight = InFlight()


class Handler(BaseHTTPRequestHandler):
    """One connection; HTTP/1.1, so that it serves many requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer with this container's name, process and path."""
        with in_flight:
            target = urlsplit(self.path)
            if target.path == "/slow":
                time.sleep(milliseconds(target.query) / 1000)
            self.answer(f"{HOSTNAME}\npid {os.getpid()}\n{target.path}\n".encode())

    def answer(self, body: bytes) -> None:
        """Send one whole answer."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Served-By", HOSTNAME)
        if stopping.is_set():
            # Nobody should send another request on a connection that is about to go.
            self.send_header("Connection", "close")
            self.close_connection = True
            # For whoever counts what comes to a container after its stop signal.
            since = time.monotonic() - signalled[0]
            self.send_header("X-Stopping-Ms", str(int(since * 1000)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: HAProxy logs each request."""


class Server(ThreadingHTTPServer):
    """A thread for each connection; a backlog that a burst does not overrun."""

    daemon_threads = True
    request_queue_size = 512


def milliseconds(query: str) -> int:
    """Read ``ms`` from a query, 0 where it is absent or not a number, within bounds."""
    text = parse_qs(query).get("ms", ["0"])[0]
    return min(int(text), LONGEST_WAIT_MS) if text.isascii() and text.isdigit() else 0


def main() -> None:
    """Serve until SIGTERM, then end in order."""
    server = Server(("", int(os.environ.get("PORT", "8000"))), Handler)

    # Waited for, not caught: a signal that the kernel gives to one of the other threads would
    # not wake this one, and the container would be killed when its grace period is over.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"{HOSTNAME} serves on port {server.server_address[1]}", flush=True)
    signal.sigwait(signals)
    signalled.append(time.monotonic())
    stopping.set()
    # Not all at the same instant where several stop: whoever meets one that is gone then
    # finds one that is not at the next try.
    time.sleep(GRACE_SECONDS * random.uniform(1, 4))  # noqa: S311 - no secret
    in_flight.wait_none(timeout_seconds=LONGEST_WAIT_MS / 1000)
    os._exit(0)  # at once, with no farewell to threads that wait on idle connections


if __name__ == "__main__":
    main()
