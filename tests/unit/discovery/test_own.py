"""Which container is this process in?"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.containers import container

from reconciler.discovery import own


ID = "0123456789ab" + "c" * 52


@pytest.mark.parametrize("file", ["hostname", "hosts", "resolv.conf"])
def test_the_mounts_tell(tmp_path: Path, file: str) -> None:
    """Docker mounts files from a folder that is named like the container."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 2 0:3 / / rw - overlay overlay rw\n"
        f"4 1 8:1 /var/lib/docker/containers/{ID}/{file} /etc/{file} rw - ext4 /dev/x rw\n"
    )

    assert own.own_container_id(mounts) == ID


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [("0123456789ab", "0123456789ab"), ("laptop", None), ("0123456789AB", None)],
)
def test_the_host_name_tells_where_the_mounts_do_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hostname: str,
    expected: str | None,
) -> None:
    """A container's default host name is the start of its id; other names say nothing."""
    monkeypatch.setattr("socket.gethostname", lambda: hostname)

    assert own.own_container_id(tmp_path / "absent") == expected


def test_our_own_container_is_found_by_the_start_of_its_id() -> None:
    """A whole id or its first digits find it; no id, or a foreign one, finds nobody."""
    one = container(1)
    known = {one.id: one}

    assert own.own_container(known, one.id) is one
    assert own.own_container(known, one.id[:12]) is one
    assert own.own_container(known, "f" * 12) is None
    assert own.own_container(known, None) is None
