"""Run a command with ``/`` as the root of a mount namespace of its own.

For a chroot, where ``/`` is an ordinary folder: a container engine cannot work there,
because neither it nor its runtime can change how ``/`` propagates, and whatever enters a
container would find itself in the folder's file system outside of the chroot. So: a new
mount namespace, whose root becomes the folder; what lies outside is no longer in it.

Usage, as root: ``mounted_root.py COMMAND [ARGUMENT…]``. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path


# From linux/sched.h and linux/mount.h.
CLONE_NEWNS = 0x00020000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2
# From asm/unistd.h: the C library has no function for it.
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int | bytes | None) -> None:
    """Call a function of the C library; raises OSError where it fails."""
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def make_root_a_mount() -> None:
    """Turn the folder that is our root into the root mount of a namespace of our own."""
    folder = os.open("/", os.O_PATH | os.O_DIRECTORY)
    call("unshare", CLONE_NEWNS)
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    call("setns", own, CLONE_NEWNS)  # resets our root to the namespace's own root
    call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    os.fchdir(folder)
    path = bytes(Path.cwd())
    call("mount", path, path, None, MS_BIND | MS_REC, None)
    os.chdir(path)
    call("syscall", PIVOT_ROOT[os.uname().machine], b".", b".")
    call("umount2", b".", MNT_DETACH)  # the old root, now under the new one
    os.chdir("/")
    os.close(folder)
    os.close(own)


if __name__ == "__main__":
    make_root_a_mount()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is the point
