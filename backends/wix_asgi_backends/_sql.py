"""What the SQL backends share: every method of the contract is one statement of its own.

The engines run in autocommit, so a statement is a transaction, and a round trip. The classes of
`_schema` describe the tables; the statements are built once.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from sqlalchemy import (
    BigInteger,
    Executable,
    Row,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import CreateTable

from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi_backends._border import across, is_missing_table, sqlstate
from wix_asgi_backends._engines import Engines
from wix_asgi_backends._schema import CLAIMS, INSTALLATIONS, now_ms

__all__ = ["SQLStorage"]

T = TypeVar("T")

_NEVER: Final = 2**62
# Another worker made the same table, or its type, at the same moment.
_MADE_BY_ANOTHER: Final = frozenset({"23505", "42P07", "42710"})


def _milliseconds(name: str) -> Any:
    return bindparam(name, type_=BigInteger)


def _text(name: str) -> Any:
    return bindparam(name, type_=Text)


_ROW = INSTALLATIONS.c
_COLUMNS = [
    _ROW.app_id,
    _ROW.instance_id,
    _ROW.version,
    _ROW.refresh_token,
    _ROW.access_token,
    _ROW.lifetime,
    (_ROW.expires_at - now_ms()).label("expires_in"),
    _ROW.failure,
    (_ROW.retry_at - now_ms()).label("retry_in"),
    _ROW.installed_at,
]
_THIS = and_(_ROW.instance_id == _text("the_instance"), _ROW.app_id == _text("the_app"))
_WRITTEN = {
    "version": _text("version"),
    "refresh_token": bindparam("refresh_token", type_=_ROW.refresh_token.type),
    "access_token": bindparam("access_token", type_=_ROW.access_token.type),
    "lifetime": _milliseconds("lifetime"),
    "expires_at": now_ms() + _milliseconds("expires_in"),
    "failure": _text("failure"),
    "retry_at": now_ms() + _milliseconds("retry_in"),
}
_GET = select(*_COLUMNS).where(_THIS)
_REPLACE = update(INSTALLATIONS).where(_THIS, _ROW.version == _text("expected")).values(_WRITTEN)
_DELETE = delete(INSTALLATIONS).where(_THIS, _ROW.installed_at < _milliseconds("before"))
_SCAN = (
    select(*_COLUMNS)
    .where(_ROW.app_id == _text("the_app"), _ROW.instance_id > _text("after"))
    .order_by(_ROW.instance_id)
    .limit(bindparam("page", type_=BigInteger))
)
_RELEASE = delete(CLAIMS).where(CLAIMS.c.name == _text("the_name"), CLAIMS.c.owner == _text("by"))
_PURGE = delete(CLAIMS).where(CLAIMS.c.expires_at <= now_ms())


class SQLStorage:
    """The contract over SQLAlchemy Core; a backend brings its engines and its INSERT."""

    driver_errors: tuple[type[Exception], ...] = ()
    """What the driver raises past SQLAlchemy."""

    def __init__(self, make_engine: Callable[[], AsyncEngine], insert: Callable[..., Any]) -> None:
        """Use `insert` of the dialect, which knows ON CONFLICT."""
        self._engines = Engines(make_engine)
        self._put, self._claim = _put_statement(insert), _claim_statement(insert)

    async def open(self) -> None:
        """Make the tables that are missing; a user who may not make any can use those there are."""
        await self._run(self._prepared())
        for table in (INSTALLATIONS, CLAIMS):
            if not await self._exists(table):
                await self._run(self._making(table))

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._engines.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
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
        rows = await self._rows(_GET, the_app=app_id, the_instance=instance_id)
        return _record(rows[0]) if rows else None

    async def put(self, record: Record) -> None:
        """Write `record` whatever was there."""
        key = {"app_id": record.app_id, "instance_id": record.instance_id}
        await self._count(self._put, **key, **_parameters(record))

    async def replace(self, record: Record, *, expected: str) -> bool:
        """Write `record` only where the stored version is `expected`."""
        written = await self._count(
            _REPLACE,
            the_app=record.app_id,
            the_instance=record.instance_id,
            expected=expected,
            **_parameters(record),
        )
        # Nothing was written: it lost, or it is a repetition of a statement whose outcome was lost.
        return written > 0 or await self._is_stored(record)

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        """Remove this installation, unless it was made at or after `installed_before`."""
        before = _NEVER if installed_before is None else _epoch_ms(installed_before)
        removed = await self._count(
            _DELETE, the_app=app_id, the_instance=instance_id, before=before
        )
        return removed > 0

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        """Return one page of this app's records, behind `after`."""
        rows = await self._rows(_SCAN, the_app=app_id, after=after, page=limit)
        return [_record(row) for row in rows]

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        """Take `name` for `owner`, unless another owner has it."""
        rows = await self._rows(self._claim, name=name, owner=owner, ttl=round(ttl * 1000))
        return bool(rows)

    async def release(self, name: str, owner: str) -> None:
        """Free `name` if `owner` has it."""
        await self._count(_RELEASE, the_name=name, by=owner)

    async def purge(self) -> int:
        """Remove the claims whose seconds are over."""
        return await self._count(_PURGE)

    async def _rows(self, statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
        async def run() -> Sequence[Row[Any]]:
            async with self._engines.here().connect() as connection:
                return (await connection.execute(statement, parameters)).all()

        return await self._run(run)

    async def _count(self, statement: Executable, **parameters: Any) -> int:
        async def run() -> int:
            async with self._engines.here().connect() as connection:
                result = await connection.execute(statement, parameters)
                return cast("CursorResult[Any]", result).rowcount

        return await self._run(run)

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        return await across(work, self.driver_errors)

    async def _is_stored(self, record: Record) -> bool:
        stored = await self.get(record.app_id, record.instance_id)
        return stored is not None and stored.version == record.version

    async def _exists(self, table: Table) -> bool:
        try:
            await self._rows(select(literal_column("1")).select_from(table).limit(1))
        except StorageUnavailable as exc:
            if is_missing_table(exc.__cause__):
                return False
            raise
        return True

    def _making(self, table: Table) -> Callable[[], Awaitable[None]]:
        async def make() -> None:
            try:
                async with self._engines.here().connect() as connection:
                    await connection.execute(CreateTable(table, if_not_exists=True))
            except DBAPIError as exc:
                # IF NOT EXISTS does not help where two workers do it at the same moment.
                if sqlstate(exc) not in _MADE_BY_ANOTHER:
                    raise

        return make

    def _prepared(self) -> Callable[[], Awaitable[None]]:
        """Return what is to be done before the first connection."""

        async def nothing() -> None: ...

        return nothing


def _put_statement(insert: Callable[..., Any]) -> Executable:
    values = {
        "app_id": _text("app_id"),
        "instance_id": _text("instance_id"),
        **_WRITTEN,
        "installed_at": now_ms(),
    }
    statement = insert(INSTALLATIONS).values(values)
    changed = {name: statement.excluded[name] for name in (*_WRITTEN, "installed_at")}
    put: Executable = statement.on_conflict_do_update(
        index_elements=[_ROW.instance_id, _ROW.app_id], set_=changed
    )
    return put


def _claim_statement(insert: Callable[..., Any]) -> Executable:
    values = {
        "name": _text("name"),
        "owner": _text("owner"),
        "expires_at": now_ms() + _milliseconds("ttl"),
    }
    statement = insert(CLAIMS).values(values)
    new = statement.excluded
    claim: Executable = statement.on_conflict_do_update(
        index_elements=[CLAIMS.c.name],
        set_={"owner": new.owner, "expires_at": new.expires_at},
        where=or_(CLAIMS.c.expires_at <= now_ms(), CLAIMS.c.owner == new.owner),
    ).returning(CLAIMS.c.name)
    return claim


def _parameters(record: Record) -> dict[str, Any]:
    return {
        "version": record.version,
        "refresh_token": record.refresh_token,
        "access_token": record.access_token,
        "lifetime": round(record.lifetime * 1000),
        "expires_in": round(record.expires_in * 1000),
        "failure": record.failure,
        "retry_in": round(record.retry_in * 1000),
    }


def _record(row: Row[Any]) -> Record:
    return Record(
        app_id=row.app_id,
        instance_id=row.instance_id,
        version=row.version,
        refresh_token=row.refresh_token,
        access_token=row.access_token,
        lifetime=row.lifetime / 1000,
        expires_in=row.expires_in / 1000,
        failure=row.failure,
        retry_in=row.retry_in / 1000,
        installed_at=datetime.fromtimestamp(row.installed_at / 1000, UTC),
    )


def _epoch_ms(moment: datetime) -> int:
    return math.ceil(moment.timestamp() * 1000)
