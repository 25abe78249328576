"""Logging set up once: text for people, JSON for machines, extras shown in both.

Names and labels come from Docker and are hostile: whatever is in a record, it stays one
line of text, or one JSON object, and nothing in it looks like a field of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from reconciler.errors import printable, without_credentials


ASKED = "reconciler.asked"
"""The logger of every question put to Docker or a HAProxy, at debug level."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_PLAIN_WORD = frozenset(' "=')


class TextFormatter(logging.Formatter):
    """A line for people: time, level, message, then the extras as key=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")
        self.default_msec_format = "%s.%03d"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's
        """Return one record's line, without the traceback that may follow it."""
        line = without_credentials(printable(super().formatMessage(record)))
        tail = " ".join(
            f"{key}={_word(value)}"
            for key, value in vars(record).items()
            if key not in _STANDARD and not _is_said(key, value, record.message)
        )
        return f"{line}  {tail}" if tail else line

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's
        """Return a traceback whose lines cannot be taken for records."""
        text = super().formatException(ei)  # type: ignore[arg-type] # as logging has it
        lines = (printable(line) for line in without_credentials(text).splitlines())
        return "\n".join(f"  | {line}" for line in lines)


def _is_said(key: str, value: object, message: str) -> bool:
    """Whether the message ends with a reason, which need not be told twice."""
    return key == "reason" and message.endswith(str(value))


def _word(value: object) -> str:
    """Return a value as one word: quoted where it could be taken for something else."""
    text = without_credentials(str(value))
    if text and text.isprintable() and not _PLAIN_WORD.intersection(text):
        return text
    return json.dumps(text)


class ObjectFormatter(JsonFormatter):
    """A JSON object on one line: time (RFC 3339), level, name, message, the extras."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level"},
        )

    def formatTime(  # noqa: N802 - logging's
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """Return when it was, in UTC, to the millisecond."""
        del datefmt
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        return at.isoformat(timespec="milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as JSON; ASCII alone, so that no reader sees two lines."""
        return without_credentials(super().format(record))


def configure_logging(log_format: str, level: str) -> None:
    """Send all logs to standard error. ``log_format`` is ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ObjectFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Asked of the system for each record, and never written.
    logging.logProcesses = logging.logThreads = logging.logMultiprocessing = False
    for chatty in ("urllib3", "docker", "aiohttp.access", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _Question(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_credentials(printable(super().format(record)))


def show_questions() -> None:
    """Say on standard error what is asked of Docker and of HAProxy, a line for each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Question("%(message)s"))
    logger = logging.getLogger(ASKED)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
