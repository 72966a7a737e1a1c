"""The base class of the storages in a SQL database."""

from __future__ import annotations

import asyncio
import logging
import secrets
from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace, TracebackType
from typing import Any, ClassVar, Final, Self

from sqlalchemy import Column, Executable, Table
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateIndex

from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi_backends._events import SQLEvents
from wix_asgi_backends._purging import Purging
from wix_asgi_backends._retry import Retry
from wix_asgi_backends._rows import RowUnreadable, from_record, milliseconds, moment, to_record
from wix_asgi_backends._schema import definitions, encode_key
from wix_asgi_backends._statements import OWNER, READ, SCAN, Writes
from wix_asgi_backends._tables import inspect_tables

__all__ = ["SQLStorage"]

logger = logging.getLogger("wix_asgi")

# Rows; enough to show where they come from.
_SHOWN_ROWS: Final = 5

_WITHOUT_INDEX: Final = "rows are found and removed slowly"
_WITHOUT_KEY: Final = "an event that Wix repeats under another id is handled again"

# The claim of the one purge under way: batches of several purges would fill each other's pauses, in
# which SQLite lets other writers in, and would choose the same rows in Postgres.
_PURGER: Final = "wix-asgi:purge"

# Seconds; the five of a purge, and the ten that its last batch may take. A purge whose process was
# killed keeps others from purging for no longer.
_PURGER_SECONDS: Final = 15.0


class SQLStorage(SQLEvents):
    """Keeps installations and events in a database that SQLAlchemy can use, on asyncio."""

    _writes: ClassVar[Writes]

    def __init__(self, *, retry: Retry | None = None, purging: Purging | None = None) -> None:
        """Prepare the storage without connecting.

        `retry` bounds the repetition of statements, and `purging` the batches of a purge.
        """
        super().__init__(retry=retry)
        self._purging: Final = purging or Purging()

    @abstractmethod
    def _is_race(self, error: Exception) -> bool:
        """Return whether another worker was creating the same table."""

    @abstractmethod
    def _is_missing(self, error: Exception) -> bool:
        """Return whether the statement failed because a table is missing."""

    @abstractmethod
    def _lacks_column(self, error: Exception) -> bool:
        """Return whether the statement failed because a column is missing."""

    @abstractmethod
    async def _add_columns(
        self, connection: AsyncConnection, columns: Sequence[Column[Any]]
    ) -> None:
        """Add columns to their table, which older workers go on using; some may be there."""

    async def open(self) -> None:
        """Make the store ready."""
        await self._make_ready(indexes=False)

    @abstractmethod
    def sql(self, role: str | None = None) -> str:
        """Return the statements that make the tables, for an app that has `role` in the database.

        Nothing is connected to.
        """

    async def make_tables(self) -> Sequence[str]:
        """Make the tables, columns and indexes that are missing, and return their names."""
        return await self._make_ready(indexes=True)

    async def _make_ready(self, *, indexes: bool) -> list[str]:
        """Make tables and columns, and if `indexes` missing indexes of tables that were there."""

        async def work(connection: AsyncConnection, _attempt: int) -> list[str]:
            return await self._make_missing(connection, indexes=indexes)

        return await self._attempt(
            work, lambda error: self._is_transient(error) or self._is_race(error)
        )

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            # The block is not entered, so that `__aexit__` will not close the storage.
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        """Return the record of this installation, or None."""
        found = await self._execute(READ, {"the_app": app_id, "the_instance": instance_id})
        return _readable(found.rows[0]) if found.rows else None

    async def put(self, record: Record) -> None:
        """Write `record` over any earlier record of the installation."""
        await self._execute(self._writes.put, *from_record(record))

    async def add(self, record: Record) -> bool:
        """Write `record` only if there is none of the installation."""
        return (await self._execute(self._writes.add, *from_record(record))).count > 0

    async def replace(self, record: Record, *, expected: str) -> bool:
        """Write `record` only if the stored version is `expected`."""
        values, durations = from_record(record)
        done = await self._execute(
            self._writes.replace,
            values | {"the_expected": expected},
            durations,
            again=self._writes.replace_again,
        )
        return done.count > 0

    async def restore(self, record: Record, *, expected: str | None = None) -> bool:
        """Write `record` with its date, only if the stored version is `expected`, or none is."""
        values, durations = from_record(record)
        at = record.installed_at
        values |= {"the_installed_at": None if at is None else moment(at)}
        if expected is None:
            return (await self._execute(self._writes.restore, values, durations)).count > 0
        done = await self._execute(
            self._writes.restore_over,
            values | {"the_expected": expected},
            durations,
            again=self._writes.restore_over_again,
        )
        return done.count > 0

    async def put_and_get(self, record: Record) -> Record:
        """Write `record` over any earlier record, and return it as it is stored."""
        put = await self._execute_all(self._writes.put_and_get, *from_record(record))
        return _readable(put.rows[0])

    async def add_and_get(self, record: Record) -> Record | None:
        """Write `record` only if there is none of the installation; return it as it is stored."""
        added = await self._execute_all(self._writes.add_and_get, *from_record(record))
        return _readable(added.rows[0]) if added.count > 0 else None

    async def claim_unchanged(
        self, name: str, owner: str, ttl: float, *, app_id: str, instance_id: str, version: str
    ) -> bool:
        """Claim `name` only if the stored version is `version`, and no other owner holds it."""
        claim = {"the_name": name, "the_owner": owner, "the_ttl": milliseconds(ttl)}
        row = {"the_app": app_id, "the_instance": instance_id, "the_version": version}
        return (await self._execute(self._writes.claim_unchanged, claim | row)).count > 0

    async def replace_and_release(
        self, record: Record, *, expected: str, name: str, owner: str
    ) -> bool:
        """Write `record` only if the stored version is `expected`, and free `name` only then."""
        values, durations = from_record(record)
        claim = {"the_name": name, "the_owner": owner}
        done = await self._execute_all(
            self._writes.replace_and_release,
            values | claim | {"the_expected": expected},
            durations,
            again=self._writes.replace_and_release_again,
        )
        return done.count > 0

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        """Remove this installation, unless it was made at or after `installed_before`."""
        key: dict[str, object] = {"the_app": app_id, "the_instance": instance_id}
        if installed_before is None:
            return (await self._execute(self._writes.delete, key)).count > 0
        before = {"the_moment": moment(installed_before)}
        return (await self._execute(self._writes.delete_before, key | before)).count > 0

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        """Return one page of records, in the order of their ids.

        Rows that cannot be read are left out, and told in the log.
        """
        records: list[Record] = []
        start, left_out = encode_key(after), list[str]()
        while (room := limit - len(records)) > 0:
            page = {"the_app": app_id, "the_start": start, "the_limit": room}
            rows = (await self._execute(SCAN, page)).rows
            for row in rows:
                try:
                    records.append(to_record(row))
                except RowUnreadable as exc:
                    left_out.append(str(exc))
            if len(rows) < room:
                break
            start = rows[-1].instance_id
        if left_out:
            logger.warning(
                "%d installations of app %s cannot be read and are left out; "
                "their ids in hexadecimal are %s",
                len(left_out),
                app_id,
                ", ".join(left_out[:_SHOWN_ROWS]),
            )
        return records

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        """Claim `name` for `owner` unless another owner holds it."""
        claim = {"the_name": name, "the_owner": owner, "the_ttl": milliseconds(ttl)}
        return (await self._execute(self._writes.claim, claim)).count > 0

    async def release(self, name: str, owner: str) -> None:
        """Free `name` if `owner` holds it."""
        await self._execute(self._writes.release, {"the_name": name, "the_owner": owner})

    async def claim_owner(self, name: str) -> str | None:
        """Return the owner that has `name` now, or None."""
        found = await self._execute(OWNER, {"the_name": name})
        return str(found.rows[0].owner) if found.rows else None

    async def purge(self) -> int:
        """Remove expired claims for some seconds, unless another purge is under way.

        Returns:
            The number of removed claims; 0 beside another purge.
        """
        return await self._purge(self._writes.purge)

    async def purge_events(self) -> int:
        """Remove ended events whose seconds are over, as `purge` does claims, and not beside it."""
        return await self._purge(self._event_writes.purge)

    async def _purge(self, statement: Executable) -> int:
        async def remove(rows: int) -> int:
            return (await self._execute(statement, {"the_limit": rows})).count

        owner = secrets.token_hex(8)
        if not await self.claim(_PURGER, owner, _PURGER_SECONDS):
            return 0
        try:
            removed = await self._purging.run(remove)
        except asyncio.CancelledError:
            await self.release(_PURGER, owner)
            raise
        # Not after a failure: a store that is down would cost the caller ten seconds more.
        await self.release(_PURGER, owner)
        return removed

    async def _make_missing(self, connection: AsyncConnection, *, indexes: bool) -> list[str]:
        found = await inspect_tables(
            connection,
            is_missing=self._is_missing,
            lacks_column=self._lacks_column,
            is_transient=self._is_transient,
        )
        if found.refusal:
            raise StorageUnavailable(f"{self._title} cannot be used: {found.refusal}.")
        # Creating an existing table would take a privilege that is not needed otherwise.
        for table in found.missing:
            await self._make_table(connection, table)
        made = [table.name for table in found.missing]
        if found.missing_columns:
            await self._add_columns(connection, found.missing_columns)
            added = [str(column) for column in found.missing_columns]
            logger.info("%s is of an older version, and got %s", self._title, ", ".join(added))
            made += added
        for index in found.missing_indexes:
            if indexes:
                await connection.execute(CreateIndex(index, if_not_exists=True))
                made.append(str(index.name))
            else:
                logger.warning(
                    "%s lacks the index %s, so that %s: `wix-asgi storage init` makes it",
                    self._title,
                    index.name,
                    _WITHOUT_KEY if index.unique else _WITHOUT_INDEX,
                )
        return made

    async def _make_table(self, connection: AsyncConnection, table: Table) -> None:
        for definition in definitions(table):
            await connection.execute(definition)


def _readable(row: SimpleNamespace) -> Record:
    """Return the record in a row.

    Raises:
        StorageUnavailable: The row cannot be read.
    """
    try:
        return to_record(row)
    except RowUnreadable as exc:
        raise StorageUnavailable(
            f"An installation in the storage cannot be read; its id in hexadecimal is {exc}."
        ) from exc
