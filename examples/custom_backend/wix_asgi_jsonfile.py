"""`jsonfile:///installs.json`: installations in one JSON file, guarded by a lock beside it.

For tens of installations on one host: every write reads and writes the whole file.
"""

from __future__ import annotations

import base64
import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import unquote

from anyio import to_thread

from wix_asgi.errors import SettingsError, StorageUnavailable
from wix_asgi.models import Record

__all__ = ["JsonFileStorage"]

T = TypeVar("T")
Contents = dict[str, dict[str, Any]]

_FIELDS = dataclasses.fields(Record)


class JsonFileStorage:
    """Installations in the file at `path`, on asyncio and trio, for the processes of one host."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the storage of `jsonfile:///relative.json` or `jsonfile:////absolute.json`.

        Raises:
            SettingsError: The URL has no path.
        """
        path = unquote(url.partition("://")[2])
        if len(path) < 2 or not path.startswith("/"):
            raise SettingsError("Write jsonfile:///file.json, or four slashes before a full path.")
        return cls(Path(path[1:]))

    async def open(self) -> None:
        """Make the store ready."""
        await self._do(len, make=True)

    async def aclose(self) -> None:
        """Do nothing: no file is open between two operations."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        """Return the record of this installation, or None."""
        key = _key(app_id, instance_id)
        return await self._do(lambda all_: _to_record(all_["rows"].get(key)))

    async def put(self, record: Record) -> None:
        """Write `record` over any earlier record of the installation."""

        def put(contents: Contents) -> None:
            contents["rows"][_key(record.app_id, record.instance_id)] = _to_json(
                record, time.time()
            )

        await self._do(put)

    async def add(self, record: Record) -> bool:
        """Write `record` only if there is none of the installation."""

        def add(contents: Contents) -> bool:
            row = _to_json(record, time.time())
            key = _key(record.app_id, record.instance_id)
            return contents["rows"].setdefault(key, row) is row

        return await self._do(add)

    async def replace(self, record: Record, *, expected: str) -> bool:
        """Write `record` only if the stored version is `expected`."""

        def replace(contents: Contents) -> bool:
            key = _key(record.app_id, record.instance_id)
            stored = contents["rows"].get(key)
            if stored is None or stored["version"] != expected:
                return False
            contents["rows"][key] = _to_json(record, stored["installed_at"])
            return True

        return await self._do(replace)

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        """Remove this installation, unless it was made at or after `installed_before`."""

        def delete(contents: Contents) -> bool:
            key = _key(app_id, instance_id)
            stored = _to_record(contents["rows"].get(key))
            if stored is None or stored.installed_at is None:
                return False
            if installed_before is not None and stored.installed_at >= installed_before:
                return False
            del contents["rows"][key]
            return True

        return await self._do(delete)

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        """Return one page of records, in the order of their ids."""
        records = await self._do(lambda all_: [_to_record(row) for row in all_["rows"].values()])
        mine = [r for r in records if r and r.app_id == app_id and r.instance_id > after]
        return sorted(mine, key=lambda record: record.instance_id)[:limit]

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        """Claim `name` for `owner` unless another owner holds it."""

        def claim(contents: Contents) -> bool:
            holder, until = contents["claims"].get(name, (owner, 0))
            if holder != owner and until > time.time():
                return False
            contents["claims"][name] = owner, time.time() + ttl
            return True

        return await self._do(claim)

    async def release(self, name: str, owner: str) -> None:
        """Free `name` if `owner` holds it."""

        def release(contents: Contents) -> None:
            if contents["claims"].get(name, ("", 0))[0] == owner:
                del contents["claims"][name]

        await self._do(release)

    async def purge(self) -> int:
        """Remove the expired claims, and return their number."""

        def purge(contents: Contents) -> int:
            now, claims = time.time(), contents["claims"]
            contents["claims"] = {name: held for name, held in claims.items() if held[1] > now}
            return len(claims) - len(contents["claims"])

        return await self._do(purge)

    async def _do(self, step: Callable[[Contents], T], *, make: bool = False) -> T:
        """Do `step` on the contents, alone among all processes, and store the changed contents."""
        try:
            return await to_thread.run_sync(partial(self._do_here, step, make=make))
        except (OSError, ValueError) as exc:
            raise StorageUnavailable(f"{self._path.name}: {type(exc).__name__}") from exc

    def _do_here(self, step: Callable[[Contents], T], *, make: bool) -> T:
        with _locked(self._path.with_name(f"{self._path.name}.lock")):
            if make and not self._path.exists():
                _write(self._path, json.dumps({"rows": {}, "claims": {}}))
            # A file that is gone is an error: only `open` may take it for an empty store.
            before = self._path.read_text("utf-8")
            contents: Contents = json.loads(before)
            result = step(contents)
            if (after := json.dumps(contents)) != before:
                _write(self._path, after)
            return result


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # A file of its own: a lock belongs to a file, not to its name, and the data file is replaced.
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, text: str) -> None:
    """Replace the file atomically, so that a crash leaves either the old or the new contents."""
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    beside.replace(path)


def _key(app_id: str, instance_id: str) -> str:
    return json.dumps([app_id, instance_id])


def _to_json(record: Record, installed_at: float) -> dict[str, Any]:
    row: dict[str, Any] = dataclasses.asdict(record) | {
        "installed_at": installed_at,
        "written_at": time.time(),
    }
    for name in ("refresh_token", "access_token"):
        row[name] = None if row[name] is None else base64.b64encode(row[name]).decode()
    return row


def _to_record(row: dict[str, Any] | None) -> Record | None:
    if row is None:
        return None
    # A file outlives versions of wix-asgi: fields that an older one did not write have their
    # defaults, and fields that only a newer one knows are left out.
    fields = {field.name: row[field.name] for field in _FIELDS if field.name in row}
    passed = time.time() - row["written_at"]
    for name in ("refresh_token", "access_token"):
        fields[name] = None if fields[name] is None else base64.b64decode(fields[name])
    fields["expires_in"] -= passed
    fields["retry_in"] -= passed
    fields["installed_at"] = datetime.fromtimestamp(fields["installed_at"], UTC)
    return Record(**fields)
