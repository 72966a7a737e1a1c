"""Every operation as one SQL statement, built once for a dialect.

Times come from the database's clock alone: a writer gives milliseconds from now, and a reader gets
this moment beside the moments of a row. Parameter names begin with `the_`, because SQLAlchemy
reserves the column names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Executable,
    LargeBinary,
    Text,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from wix_asgi_backends._schema import CLAIMS, INSTALLATIONS, Key

if TYPE_CHECKING:
    # Each storage brings the dialect of its own.
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["OWNER", "READ", "SCAN", "NowMs", "Writes"]


class NowMs(FunctionElement[int]):
    """This moment by the database's clock, in milliseconds since 1970."""

    name = "now_ms"
    type = BigInteger()
    inherit_cache = True


@compiles(NowMs, "postgresql")
def _now_in_postgres(_element: NowMs, _compiler: SQLCompiler, **_: Any) -> str:
    # Not now(): a statement that waited for a lock must use the time after the wait.
    return "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)"


@compiles(NowMs, "sqlite")
def _now_in_sqlite(_element: NowMs, _compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


class BegunMs(NowMs):
    """The moment at which the statement began: the same for all rows, so that an index helps."""

    name = "begun_ms"
    inherit_cache = True


@compiles(BegunMs, "postgresql")
def _begun_in_postgres(_element: BegunMs, _compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(FLOOR(EXTRACT(EPOCH FROM statement_timestamp()) * 1000) AS BIGINT)"


_NOW: Final = NowMs()
_ROW: Final = INSTALLATIONS.c
_CLAIM: Final = CLAIMS.c
_APP: Final = bindparam("the_app", type_=Key)
_INSTANCE: Final = bindparam("the_instance", type_=Key)
_NAME: Final = bindparam("the_name", type_=Key)
_OF_APP: Final = _ROW.app_id == _APP
_OF_KEY: Final = _OF_APP & (_ROW.instance_id == _INSTANCE)


def _row() -> list[Any]:
    # As the driver gives them, and subtracted by the reader: a value in one row that cannot be
    # decoded, or whose difference overflows, would fail the statement for all rows.
    columns = [type_coerce(column, NullType()).label(column.key) for column in _ROW]
    return [*columns, _NOW.label("now")]


READ: Final = select(*_row()).where(_OF_KEY)
SCAN: Final = (
    select(*_row())
    .where(_OF_APP, _ROW.instance_id > bindparam("the_start", type_=LargeBinary))
    .order_by(_ROW.instance_id)
    .limit(bindparam("the_limit", type_=BigInteger))
)

OWNER: Final = select(_CLAIM.owner).where(_CLAIM.name == _NAME, _CLAIM.expires_at > _NOW)


def _later(name: str) -> Any:
    return _NOW + bindparam(name, type_=BigInteger)


def _contents() -> dict[str, Any]:
    return {
        "version": bindparam("the_version"),
        "refresh_token": bindparam("the_refresh_token"),
        "access_token": bindparam("the_access_token"),
        "lifetime": bindparam("the_lifetime"),
        "expires_at": _later("the_expires_in"),
        "failure": bindparam("the_failure"),
        "retry_at": _later("the_retry_in"),
        "grant_type": bindparam("the_grant_type"),
        "origin_instance_id": bindparam("the_origin", type_=Key),
        "owes_on_install": bindparam("the_debt"),
        "described_version": bindparam("the_version"),
    }


def _and_row(write: Any, *, returning: bool) -> tuple[Executable, ...]:
    """Return the statements that write a row, and then return it."""
    return (write.returning(*_row()),) if returning else (write, READ)


class Writes:
    """The statements that change something, for the dialect that `insert` belongs to.

    Several statements are executed together, on one connection. A tuple of them is one step: in
    SQLite a transaction, and in Postgres a single statement.

    Args:
        insert: The dialect's function.
        returning: Whether a statement returns the rows that it writes, and may contain others, as
            in Postgres: SQLite has `RETURNING` since 3.35 only, and no statements in a `WITH`.

    Attributes:
        replace_again: `replace` when it is not known whether an earlier attempt was carried out:
            it finds its own version, which is never used twice, as well as the expected one.
        restore: `add` with a given date.
        restore_over: `replace` with a given date.
        restore_over_again: `restore_over`, as `replace_again` is `replace`.
    """

    def __init__(
        self,
        insert: Callable[[Any], postgresql.Insert] | Callable[[Any], sqlite.Insert],
        *,
        returning: bool,
    ) -> None:
        key: dict[str, Any] = {"instance_id": _INSTANCE, "app_id": _APP}
        contents = _contents() | {"installed_at": _NOW}
        new_row = insert(INSTALLATIONS).values(key | contents)
        self.put: Final = new_row.on_conflict_do_update(index_elements=list(key), set_=contents)
        self.add: Final = new_row.on_conflict_do_nothing(index_elements=list(key))
        self.put_and_get: Final = _and_row(self.put, returning=returning)
        self.add_and_get: Final = _and_row(self.add, returning=returning)
        moment = bindparam("the_installed_at", type_=BigInteger)
        restored = _contents() | {"installed_at": func.coalesce(moment, _NOW)}
        self.restore: Final = (
            insert(INSTALLATIONS)
            .values(key | restored)
            .on_conflict_do_nothing(index_elements=list(key))
        )
        expected = _ROW.version == bindparam("the_expected")
        ours = _ROW.version == bindparam("the_version")
        change = update(INSTALLATIONS).values(_contents())
        self.replace: Final = change.where(_OF_KEY, expected)
        self.replace_again: Final = change.where(_OF_KEY, or_(expected, ours))
        restore_over = update(INSTALLATIONS).values(restored)
        self.restore_over: Final = restore_over.where(_OF_KEY, expected)
        self.restore_over_again: Final = restore_over.where(_OF_KEY, or_(expected, ours))
        self.delete: Final = delete(INSTALLATIONS).where(_OF_KEY)
        self.delete_before: Final = self.delete.where(_ROW.installed_at < bindparam("the_moment"))
        owner: Any = bindparam("the_owner", type_=Text)
        held: dict[str, Any] = {"owner": owner, "expires_at": _later("the_ttl")}

        def unless_held(claim: Any) -> Any:
            return claim.on_conflict_do_update(
                index_elements=["name"],
                set_=held,
                where=or_(_CLAIM.expires_at <= _NOW, _CLAIM.owner == owner),
            )

        self.claim: Final = unless_held(insert(CLAIMS).values({"name": _NAME} | held))
        # With the row's lock, or the row as it was when the statement began would be compared,
        # before the wait for the claim of an owner that is just replacing it.
        unchanged = (
            select(_NAME, *(value.label(name) for name, value in held.items()))
            .where(_OF_KEY, ours)
            .with_for_update(read=True)
        )
        self.claim_unchanged: Final = unless_held(
            insert(CLAIMS).from_select(["name", *held], unchanged)
        )
        self.release: Final = delete(CLAIMS).where(_CLAIM.name == _NAME, _CLAIM.owner == owner)

        def and_release(change: Any) -> tuple[Executable, ...]:
            if not returning:
                # The number of rows that the statement before it has changed.
                return change, self.release.where(func.changes() > literal_column("0"))
            # The release asks for the replacement, which so comes first: callers that claim have
            # the locks in the same order.
            replaced = change.returning(_ROW.version).cte("replaced")
            released = self.release.where(exists(select(replaced.c.version)))
            release = released.returning(_CLAIM.name).cte("released")
            return (select(replaced.c.version).add_cte(release),)

        self.replace_and_release: Final = and_release(self.replace)
        self.replace_and_release_again: Final = and_release(self.replace_again)
        batch = CLAIMS.alias("batch")
        oldest = (
            select(batch.c.name)
            .where(batch.c.expires_at <= BegunMs())
            # Makes every planner use the index, however many claims are expired.
            .order_by(batch.c.expires_at)
            .limit(bindparam("the_limit", type_=BigInteger))
        )
        # Compared again, since its owner may have renewed a claim after it was chosen; with a time
        # that no index helps to find, so that Postgres looks the chosen names up and does not join
        # all expired claims with them, even by statistics that are old.
        self.purge: Final = delete(CLAIMS).where(_CLAIM.name.in_(oldest), _CLAIM.expires_at <= _NOW)
