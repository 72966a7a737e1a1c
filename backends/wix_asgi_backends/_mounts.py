"""Finds out whether a file is on a network file system, as far as the operating system says."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

__all__ = ["MOUNTS", "network_type", "type_in"]

# Linux lists the mounts that this process sees there (proc_pid_mountinfo(5)).
MOUNTS: Final = Path("/proc/self/mountinfo")

# Mount id, parent id, device, root, mount point, options and tags, a hyphen, type.
_ENTRY: Final = re.compile(rb"^(?:[^ \n]+ ){4}(/[^ \n]*) [^\n]*?- ([^ \n]+)", re.MULTILINE)
_ESCAPED: Final = re.compile(rb"\\([0-3][0-7]{2})")

_KERNEL: Final = (
    "acfs afs beegfs ceph cifs coda gpfs lustre ncpfs nfs nfs4 orangefs panfs pvfs2 smb3 smbfs "
    "wekafs"
)
# A FUSE file system may as well be a local disk, so that only these are refused by their names.
_FUSE: Final = (
    "beegfs blobfuse blobfuse2 ceph ceph-fuse curlftpfs davfs davfs2 gcsfuse glusterfs goofys "
    "juicefs lizardfs moosefs mount-s3 mfs rclone s3fs seaweedfs smbnetfs sshfs"
)
_NETWORK: Final = {*_KERNEL.split(), *(f"fuse.{name}" for name in _FUSE.split())}


def network_type(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the network file system that holds `path`; None for a local one.

    None, too, where the list `mounts` cannot be read: only Linux has it.
    """
    try:
        listed = mounts.read_bytes()
    except OSError:
        return None
    found = type_in(listed, os.path.realpath(path))
    return found if found in _NETWORK else None


def type_in(mounts: bytes, path: str) -> str | None:
    """Return the type of the file system that holds the resolved `path`, by the list `mounts`."""
    wanted, point, found = os.fsencode(path), b"", None
    for entry in _ENTRY.finditer(mounts):
        mounted, kind = map(_unescape, entry.groups())
        # Of two mounts at the same point, the later one covers the earlier one.
        if len(mounted) >= len(point) and _holds(mounted, wanted):
            point, found = mounted, os.fsdecode(kind)
    return found


def _holds(point: bytes, path: bytes) -> bool:
    return path == point or path.startswith(point.rstrip(b"/") + b"/")


def _unescape(field: bytes) -> bytes:
    return _ESCAPED.sub(lambda octal: bytes([int(octal[1], 8)]), field)
