"""Finds out how a file is mounted, as far as the operating system says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["MOUNTS", "lone_mount", "network_type", "type_in"]

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


# SQLite keeps these files beside a database, with a part of its content in the first.
_BESIDE: Final = ("-wal", "-shm")


def network_type(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the network file system that holds `path`; None for a local one.

    None, too, where the list `mounts` cannot be read: only Linux has it.
    """
    found = type_in(_read(mounts), os.path.realpath(path))
    return found if found in _NETWORK else None


def lone_mount(path: Path, mounts: Path = MOUNTS) -> Path | None:
    """Return the database at `path`, or a file beside it, if it is mounted without its directory.

    SQLite's files then lie apart, some of them in the layer of a container, and are gone with it.
    None where the list `mounts` cannot be read.
    """
    resolved = os.path.realpath(path)
    points = {point for point, _kind in _entries(_read(mounts))}
    files = [resolved, *(resolved + ending for ending in _BESIDE)]
    return next((Path(file) for file in files if os.fsencode(file) in points), None)


def type_in(mounts: bytes, path: str) -> str | None:
    """Return the type of the file system that holds the resolved `path`, by the list `mounts`."""
    wanted, point, found = os.fsencode(path), b"", None
    for mounted, kind in _entries(mounts):
        # Of two mounts at the same point, the later one covers the earlier one.
        if len(mounted) >= len(point) and _holds(mounted, wanted):
            point, found = mounted, os.fsdecode(kind)
    return found


def _read(mounts: Path) -> bytes:
    try:
        return mounts.read_bytes()
    except OSError:
        return b""


def _entries(mounts: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the mount points of a list, each with the type of its file system."""
    for entry in _ENTRY.finditer(mounts):
        yield _unescape(entry[1]), _unescape(entry[2])


def _holds(point: bytes, path: bytes) -> bool:
    return path == point or path.startswith(point.rstrip(b"/") + b"/")


def _unescape(field: bytes) -> bytes:
    return _ESCAPED.sub(lambda octal: bytes([int(octal[1], 8)]), field)
