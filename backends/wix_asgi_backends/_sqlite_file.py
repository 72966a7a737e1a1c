"""The file of an SQLite database: its URL, its directory and its permissions."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path
from urllib.parse import unquote

from wix_asgi.errors import SettingsError
from wix_asgi_backends._mounts import MOUNTS, lone_mount, network_type

__all__ = ["file_id", "make_file", "parse_url"]

logger = logging.getLogger("wix_asgi")

_FORMS = "Write sqlite:///file.db, or sqlite:////absolute/path/file.db with four slashes"


def parse_url(url: str) -> Path:
    """Return the file that `url` names, as an absolute path.

    Raises:
        SettingsError: It names no file, or has parameters.
    """
    rest = url.partition("://")[2]
    location, _, query = rest.partition("?")
    name = unquote(location[1:])
    if ":memory:" in name or name.startswith("file:") or location in {"", "/", ":memory:"}:
        raise SettingsError(
            f"The storage URL names no SQLite file. {_FORMS}. For a store in memory write memory://"
        )
    if query:
        names = ", ".join(part.partition("=")[0] for part in query.split("&"))
        raise SettingsError(f"An SQLite storage URL takes no parameters, and has {names}.")
    if not location.startswith("/") or "\0" in name:
        raise SettingsError(f"The storage URL is not that of an SQLite file. {_FORMS}.")
    return Path(name).absolute()


def file_id(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of a file, or None if there is no file.

    They tell a file from a later file of the same name.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def make_file(path: Path, mounts: Path = MOUNTS) -> None:
    """Create the file if it is missing, readable by its owner alone.

    SQLite gives its log files the same mode. `mounts` is the list of this machine's mounts.

    Raises:
        SettingsError: The directory is missing, the path is a directory, or the file would be on a
            network file system, or is mounted without its directory.
        OSError: The file cannot be created, or this user may not use it.
    """
    if not path.parent.is_dir():
        raise SettingsError(
            f"The directory of the SQLite storage does not exist: make {path.parent}"
        )
    if path.is_dir():
        raise SettingsError(f"The SQLite storage is to be a file, and {path} is a directory.")
    _refuse_mount(path, mounts)
    # An existing file is never opened: closing it again would drop this process's locks on it
    # (SQLite, "How To Corrupt An SQLite Database File", 2.2).
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    if not os.access(path, os.R_OK | os.W_OK):
        # Raised here because the driver would start a thread before it fails.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    parent = path.parent.stat().st_mode
    if parent & stat.S_IWOTH and not parent & stat.S_ISVTX:
        logger.warning("every user of this machine may replace the SQLite storage in its directory")
    if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        logger.warning("every user of this machine may open the SQLite storage: chmod it to 0600")


def _refuse_mount(path: Path, mounts: Path) -> None:
    lone = lone_mount(path, mounts)
    if lone:
        raise SettingsError(
            f"{lone} is mounted alone, and SQLite keeps a part of the storage in files beside it, "
            f"which would be lost with a container: mount the directory {lone.parent} instead."
        )
    network = network_type(path, mounts)
    if network:
        raise SettingsError(
            f"The SQLite storage would be on a network file system ({network}), on which hosts "
            "lose each other's writes: put it on a local disk, or use Postgres."
        )
