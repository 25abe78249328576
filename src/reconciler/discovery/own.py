"""Which container is this process in, if any?"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path

from reconciler.core.model import Container


_MOUNTED_FROM = re.compile(
    r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf)"
)
_WHOLE_ID = 64
_SHORT_ID = re.compile(r"[0-9a-f]{12}")


def own_container_id(mountinfo: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Return the id of our own container, whole or its first 12 digits; None outside one.

    Docker mounts /etc/hostname and the like from a folder that the id names; failing that,
    the default host name of a container is the start of its id.
    """
    try:
        match = _MOUNTED_FROM.search(mountinfo.read_text(encoding="utf-8"))
    except OSError:
        match = None
    if match:
        return match.group(1)
    hostname = socket.gethostname()
    return hostname if _SHORT_ID.fullmatch(hostname) else None


def is_short_id(own_id: str) -> bool:
    """Whether an id is only the host name's word for it, which may be a coincidence."""
    return len(own_id) < _WHOLE_ID


def own_container(
    containers: Mapping[str, Container], own_id: str | None
) -> Container | None:
    """Return our own container among the running ones, None if it is not there."""
    if own_id is None:
        return None
    if own_id in containers or len(own_id) == _WHOLE_ID:
        return containers.get(own_id)
    return next((c for c in containers.values() if c.id.startswith(own_id)), None)
