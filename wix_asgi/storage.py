"""The contract of storage backends, and the choice of a backend by URL.

The contract is here in prose, once; `backends/README.md` shows how to write a backend.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import EntryPoint, entry_points
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from wix_asgi._combining_storage import CombiningStorage
from wix_asgi._event_storage import EventStorage
from wix_asgi._frames import without_frames
from wix_asgi._restoring_storage import RestoringStorage
from wix_asgi._setting_checks import read_text
from wix_asgi.errors import BackendNotFound, SettingsError
from wix_asgi.models import Record

__all__ = [
    "ENTRY_POINT_GROUP",
    "AddingStorage",
    "ClaimReader",
    "CombiningStorage",
    "EventStorage",
    "RestoringStorage",
    "Storage",
    "TableStorage",
    "find_backend",
    "open_storage",
    "shortcomings",
]

ENTRY_POINT_GROUP = "wix_asgi.backends"

# The backends that come along, by the entry points of pyproject.toml: bundles may leave out the
# metadata of distributions (PyInstaller, zipapps, slimmed layers), and with it all entry points.
_POSTGRES = "wix_asgi_backends.postgres:PostgresStorage.from_url"
_SHIPPED = {
    "memory": "wix_asgi_backends.memory:MemoryStorage.from_url",
    "sqlite": "wix_asgi_backends.sqlite:SQLiteStorage.from_url",
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    "postgresql+asyncpg": _POSTGRES,
    "cockroachdb": _POSTGRES,
    "cockroachdb+asyncpg": _POSTGRES,
}

# Advice for schemes that people try; not a list of the possible ones.
_INSTALL_HINTS = {
    "sqlite+aiosqlite": "write sqlite:///file.db",
    "postgresql+psycopg": "write postgresql://…; the driver is asyncpg",
    "postgresql+psycopg2": "write postgresql://…; the driver is asyncpg",
    "mysql": "there is no MySQL backend; backends/README.md shows how to write one",
    "redis": "there is no Redis backend; backends/README.md shows how to write one",
}


@runtime_checkable
class Storage(Protocol):
    """A store of sealed installations, which also decides which of many callers came first.

    Every method is one atomic step, safe to be called at the same moment by any number of tasks,
    processes and hosts, and safe to be repeated when its outcome is not known. No token is ever
    seen in the clear. Times are those of the store's own clock. Keys are exact bytes: ids that
    differ in case or in Unicode form are different ids.

    A method that cannot reach the store raises `StorageUnavailable` with the driver's error as
    its cause, within about ten seconds, and never answers as though the store were empty.
    """

    async def open(self) -> None:
        """Make the store ready: connect, and make the tables where they are missing.

        May be called more than once, by many workers at the same moment, and on any event loop.
        """
        ...

    async def aclose(self) -> None:
        """Release all that `open` acquired. A closed store may be opened again."""
        ...

    async def __aenter__(self) -> Self:
        """Call `open`."""
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Call `aclose`."""
        ...

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        """Return the record of this installation, or None where there is none."""
        ...

    async def put(self, record: Record) -> None:
        """Write `record`, over any record of this installation, as installed at this moment.

        Sets `installed_at` to now. When this returns, the record survives a crash.
        """
        ...

    async def replace(self, record: Record, *, expected: str) -> bool:
        """Write `record` only where the stored version is `expected`; keep `installed_at`.

        Returns:
            Whether it was written. False where the stored version differs, or the record is gone.
        """
        ...

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        """Remove this installation, unless it was made at or after `installed_before`.

        Returns:
            Whether an installation was removed.
        """
        ...

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        """Return one page of this app's records, in ascending order of `instance_id`'s code points.

        The page begins behind `after`; the instance_id of its last record asks for the next page.
        Fewer than `limit` records (at least 1) mean that there are no more. A record that stays
        while pages are read is in exactly one page, even if other records come and go meanwhile.
        """
        ...

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        """Take `name` for `owner` for `ttl` seconds, unless another owner has it.

        Of any number of callers exactly one gets a free name. An owner that has it already gets
        it again, with the seconds counted anew. A name is free when its seconds are over.

        Returns:
            Whether `owner` has the name now.
        """
        ...

    async def release(self, name: str, owner: str) -> None:
        """Free `name` if `owner` has it; else do nothing."""
        ...

    async def purge(self) -> int:
        """Remove claims whose seconds are over, all of them or a part.

        A store that keeps others waiting while it removes many removes them in batches of bounded
        time, and returns after some seconds at most. Calls until one returns 0 remove all.

        Returns:
            The number of claims that this call removed. 0 if there are none to remove, or if
            another call is removing them.
        """
        ...


@runtime_checkable
class ClaimReader(Protocol):
    """A storage that also tells the owner of a claimed name; the three backends that come along do.

    A capability beside `Storage`. With a storage that lacks it, an install that is loaded twice
    shows its outcome in the process that finished it, and nowhere else.
    """

    async def claim_owner(self, name: str) -> str | None:
        """Return the owner that has `name` now; None where nobody has, or its seconds are over."""
        ...


@runtime_checkable
class AddingStorage(Protocol):
    """A storage that adds records, and keeps every field of them; the three that come along do.

    A capability beside `Storage`. A storage without it keeps the fields up to `installed_at`: with
    it an installation is not known to be a copy of another, or to be moved to client credentials,
    and an `on_install` hook in which the process died is not called again.
    """

    async def add(self, record: Record) -> bool:
        """Write `record`, as installed at this moment, where there is none of this installation.

        Sets `installed_at` to now. When this returns, the record survives a crash.

        Returns:
            Whether it was written. False where there is a record, which stays as it is; also where
            an earlier attempt of this very call has written it.
        """
        ...


@runtime_checkable
class TableStorage(Protocol):
    """A storage in tables, which an administrator may make before the app; SQLite and Postgres are.

    A capability beside `Storage`, for `wix-asgi storage sql` and `wix-asgi storage init`.
    """

    def sql(self, role: str | None = None) -> str:
        """Return the statements that make the tables, or bring older ones up to date.

        They are for an app that has `role` in the database, and may be run again.

        Nothing is connected to. None is the user of the storage's URL; a store without roles
        ignores any.
        """
        ...

    async def make_tables(self) -> Sequence[str]:
        """Make the tables, columns and indexes that are missing, and return their names.

        Raises:
            StorageUnavailable: The store cannot be reached, this user may not make tables, or the
                tables that are there are not those of this storage.
        """
        ...


def shortcomings(storage: Storage) -> list[str]:
    """Return a sentence for each capability that `storage` lacks, about its consequences."""
    return [told for kind, told in _SHORTCOMINGS.items() if not isinstance(storage, kind)]


# `TableStorage` and `RestoringStorage` are for commands of the operator alone, which say so
# themselves; a storage without `CombiningStorage` does all the same, with more round trips.
_SHORTCOMINGS = {
    ClaimReader: "It tells no owners of claims (ClaimReader): an install that is loaded twice "
    "shows its outcome in the process that finished it, and nowhere else.",
    AddingStorage: "It cannot add records (AddingStorage): it forgets of which site a site is a "
    "copy, that a site was moved to client credentials, and that on_install is still to be called "
    "after a crash; and a site that is found again may overwrite its install of the same moment.",
    EventStorage: "It has no inbox for events (EventStorage): an app that sets public_key, for "
    "webhooks, does not start with it.",
}


def open_storage(url: str) -> Storage:
    """Return the storage that `url` names, not opened yet: use `async with`, or call `open()`.

    The scheme picks a backend of the entry-point group `wix_asgi.backends`; our own backends
    need no metadata of their distribution. The rest of the URL is for the backend alone to read.

    Raises:
        BackendNotFound: No backend is installed for this scheme, or its driver is missing.
        SettingsError: The backend cannot use this URL, or it is a damaged copy of one. The message
            shows no password.
    """
    try:
        url = _read(url)
        return _load(find_backend(url))(url)
    except (BackendNotFound, SettingsError) as exc:
        error = without_frames(exc)
    # Raised out here, and with the URL deleted: the raise would record this frame anew.
    del url
    raise error


def find_backend(url: str) -> EntryPoint:
    """Return the entry point for the scheme of `url`, without importing anything.

    Raises:
        BackendNotFound: No backend is installed for this scheme. The message shows no password.
    """
    scheme = _scheme(url)
    shipped = {name: EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in _SHIPPED.items()}
    found = shipped | {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}
    if scheme not in found:
        hint = _INSTALL_HINTS.get(scheme, "install the package that brings this backend")
        known = ", ".join(sorted(found))
        raise BackendNotFound(f"No storage backend for {scheme}://: {hint}. Installed: {known}.")
    return found[scheme]


def _read(url: str) -> str:
    try:
        text: str = read_text(url)
    except ValueError as exc:
        raise SettingsError(f"The storage URL {exc}.") from None
    return text


def _scheme(url: str) -> str:
    match = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*)://", url)
    if match is None:
        raise BackendNotFound(
            "The storage is not a URL. Write memory://, sqlite:///file.db or postgresql://…"
        )
    return match[1].lower()


def _load(entry: EntryPoint) -> Callable[[str], Storage]:
    try:
        factory: Callable[[str], Storage] = entry.load()
    except ModuleNotFoundError as exc:
        raise BackendNotFound(
            f"The storage backend for {entry.name}:// needs the module {exc.name!r}, "
            "which is not installed."
        ) from exc
    return factory
