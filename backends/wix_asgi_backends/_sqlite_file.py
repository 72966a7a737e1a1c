"""The file of an SQLite database: its URL, its directory and its permissions."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from wix_asgi.errors import SettingsError
from wix_asgi_backends._mounts import MOUNTS, lone_mount, network_type

__all__ = ["file_id", "make_file", "parse_url", "this_user", "warn_of_others"]

logger = logging.getLogger("wix_asgi")

_ROOT: Final = 0

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


def file_id(path: str | Path) -> tuple[int, int] | None:
    """Return the device and inode of a file, or None if there is no file.

    They tell a file from a later file of the same name.
    """
    try:
        # By `os`: `Path.stat` takes half as long again, and each statement has six of them.
        status = os.stat(path)
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


def this_user() -> int | None:
    """Return the id of this process's user now; None on a system that has no such ids."""
    # Asked at each opening, since servers start as root and become another user.
    euid: Callable[[], int | None] = getattr(os, "geteuid", lambda: None)
    return euid()


def warn_of_others(path: Path, user: int | None) -> None:
    """Log a WARNING for each way in which other users of this machine reach the file or its logs.

    Root is not warned of, since root reaches every file, nor the directory's owner: a container's
    volume belongs to a user of the host. Nothing is refused: the tokens in the file are sealed, and
    an operator may run a command as root on the file of the app's user.

    Args:
        path: The file, which exists.
        user: The id of this process's user. With None nothing is said: Windows has neither such ids
            nor such modes, and Python makes up modes by which everybody may do everything.
    """
    if user is None:
        return
    parent = path.parent.stat().st_mode
    if parent & stat.S_IWOTH and not parent & stat.S_ISVTX:
        logger.warning("every user of this machine may replace the SQLite storage in its directory")
    files = dict(_files(path))
    if any(status.st_mode & (stat.S_IROTH | stat.S_IWOTH) for status in files.values()):
        logger.warning("every user of this machine may open the SQLite storage: chmod it to 0600")
    foreign = [
        f"{file} of uid {status.st_uid}"
        for file, status in files.items()
        if status.st_uid not in {user, _ROOT}
    ]
    if foreign:
        logger.warning(
            "the SQLite storage belongs to another user, who may read, change and remove it: %s; "
            "run as that user, or give the files to this one (chown %d)",
            ", ".join(foreign),
            user,
        )


def _files(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the file and its logs, as far as they are there."""
    # SQLite makes the logs beside the file to which a link leads.
    for suffix in ("", "-wal", "-shm"):
        file = Path(os.path.realpath(path) + suffix)
        with contextlib.suppress(FileNotFoundError):
            yield file, file.stat()
