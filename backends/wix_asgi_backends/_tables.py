"""Checks existing tables by one query of the database's catalogue, before the first install.

A table of another program under our names would fail the first install, or take it and lose it. A
table of a newer version may have columns that are unknown here, provided that an `INSERT` without
them succeeds, and a table of an older version lacks the later columns of ours: versions run side by
side while an app is deployed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, Dialect, Index, Row, Table, TextClause, bindparam, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from wix_asgi_backends._schema import METADATA, later_columns

__all__ = ["Inspection", "inspect_tables"]

# Both give a row for each pair of a column and an index. `pg_table_is_visible` finds the table
# that a name without a schema means. Privileges of a single column count for the table: that all
# columns have them is not worth a query for each.
_IN_POSTGRES: Final = """
SELECT c.relname AS table_name, CAST(c.relkind AS text) AS kind,
    a.attnum AS number, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
    a.attnotnull AS not_null, a.atthasdef OR CAST(a.attidentity AS text) <> '' AS has_default,
    CAST(i.indkey AS text) AS index_columns, i.indnkeyatts AS index_length,
    i.indisunique AND i.indimmediate AS is_unique, i.indpred IS NOT NULL AS is_partial,
    has_any_column_privilege(c.oid, 'SELECT') AS "SELECT",
    has_any_column_privilege(c.oid, 'INSERT') AS "INSERT",
    has_any_column_privilege(c.oid, 'UPDATE') AS "UPDATE",
    has_table_privilege(c.oid, 'DELETE') AS "DELETE"
FROM pg_catalog.pg_class AS c
LEFT JOIN pg_catalog.pg_attribute AS a
    ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_index AS i
    ON i.indrelid = c.oid AND i.indisvalid AND i.indexprs IS NULL
WHERE c.relname IN :names AND pg_table_is_visible(c.oid)
"""

# Names have no case in SQLite. A key of one column of the type INTEGER numbers its rows itself.
_IN_SQLITE: Final = """
SELECT lower(m.name) AS table_name, m.type AS kind,
    c.cid AS number, lower(c.name) AS name, c.type AS type,
    c."notnull" AS not_null,
    c.dflt_value IS NOT NULL OR c.hidden OR (c.pk AND upper(c.type) = 'INTEGER') AS has_default,
    (SELECT group_concat(p.cid, ' ') FROM pragma_index_info(i.name) AS p) AS index_columns,
    (SELECT count(*) FROM pragma_index_info(i.name)) AS index_length,
    i."unique" AS is_unique, i.partial AS is_partial,
    1 AS "SELECT", 1 AS "INSERT", 1 AS "UPDATE", 1 AS "DELETE"
FROM sqlite_master AS m
LEFT JOIN pragma_table_xinfo(m.name) AS c
LEFT JOIN pragma_index_list(m.name) AS i
WHERE lower(m.name) IN :names AND m.type <> 'trigger'
"""

_PRIVILEGES: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")

# Of `pg_class.relkind` (PostgreSQL, "pg_class") and of `sqlite_master.type`; a partitioned table is
# a table. A kind that is not listed is told by its letter.
_TABLES: Final = {"r", "p", "table"}
_KINDS: Final = {
    "c": "composite type",
    "f": "foreign table",
    "i": "index",
    "m": "materialized view",
    "S": "sequence",
    "v": "view",
}

# Without a length a `varchar` of Postgres is a `text`; object mappers write either.
_SAME_IN_POSTGRES: Final = {"character varying": "text"}

_RENAME: Final = (
    "Rename them, or put this storage into another database; "
    "`wix-asgi storage sql` prints the right tables"
)
_NAMES: Final = ", ".join(sorted(METADATA.tables))
_GRANT: Final = f"An administrator may GRANT {', '.join(_PRIVILEGES)} ON {_NAMES} to it"


@dataclass(slots=True)
class Inspection:
    """The differences between the tables in a database and ours."""

    missing: list[Table] = field(default_factory=list)
    missing_columns: list[Column[Any]] = field(default_factory=list)
    """Later columns that an existing table of an older version lacks."""

    missing_indexes: list[Index] = field(default_factory=list)
    """Indexes that existing tables lack."""

    refusal: str | None = None
    """The faults of existing tables and the remedy, as sentences without the last full stop."""


async def inspect_tables(
    connection: AsyncConnection,
    *,
    is_missing: Callable[[Exception], bool],
    lacks_column: Callable[[Exception], bool],
    is_transient: Callable[[Exception], bool],
) -> Inspection:
    """Compare the tables in the database with ours, in one query.

    Where an engine has another catalogue, or keeps it from this user, each table is read instead:
    then it is only known whether it and its later columns are there. `is_missing` tells the error
    of a missing table, `lacks_column` that of a missing column, and `is_transient` an error after
    which the same statement may succeed.

    Raises:
        DBAPIError: The database failed, or this user may not read a table.
    """
    try:
        found = await _read_catalogue(connection)
    except DBAPIError as exc:
        if is_transient(exc):
            raise
        done = Inspection()
        for ours in METADATA.sorted_tables:
            later = later_columns(ours)
            first = [column for column in ours.columns if column not in {*later}]
            if await _fails(connection, first, is_missing):
                done.missing.append(ours)
            else:
                done.missing_columns += [
                    column for column in later if await _fails(connection, [column], lacks_column)
                ]
        return done
    return _compare(found, connection.dialect)


async def _fails(
    connection: AsyncConnection,
    columns: Sequence[Column[Any]],
    expected: Callable[[Exception], bool],
) -> bool:
    """Return whether reading the columns fails in the expected way."""
    try:
        await connection.execute(select(*columns).limit(0))
    except DBAPIError as exc:
        if not expected(exc):
            raise
        return True
    return False


def _compare(found: dict[str, _Table], dialect: Dialect) -> Inspection:
    done, wrong, denied = Inspection(), list[str](), list[str]()
    for ours in METADATA.sorted_tables:
        theirs = found.get(ours.name)
        if theirs is None:
            done.missing.append(ours)
            continue
        wrong += [f"{ours.name} {fault}" for fault in theirs.faults(ours, dialect)]
        if theirs.denied:
            denied.append(f"{ours.name} does not let this user {', '.join(theirs.denied)}")
        done.missing_columns += [c for c in later_columns(ours) if c.name not in theirs.columns]
        done.missing_indexes += theirs.missing_indexes(ours)
    if wrong or denied:
        done.refusal = f"{'; '.join(wrong + denied)}. {_RENAME if wrong else _GRANT}"
    return done


@dataclass(slots=True)
class _Column:
    type: str
    is_not_null: bool
    has_default: bool


@dataclass(slots=True)
class _Table:
    """A relation in the database that has the name of a table of ours."""

    kind: str
    denied: list[str]
    """Privileges that this user lacks."""

    columns: dict[str, _Column] = field(default_factory=dict)
    unique: set[frozenset[str]] = field(default_factory=set)
    """The sets of columns that a unique index covers, of all rows or of some."""

    keys: set[frozenset[str]] = field(default_factory=set)
    """The sets of columns that a unique index of all rows covers."""

    indexes: set[tuple[str, ...]] = field(default_factory=set)

    def faults(self, ours: Table, dialect: Dialect) -> Iterator[str]:
        """Yield the reasons for which this cannot be used as `ours`, as ends of a sentence."""
        if self.kind not in _TABLES:
            yield f"is no table ({_KINDS.get(self.kind, self.kind)})"
            return
        later = {column.name for column in later_columns(ours)}
        for column in ours.columns:
            if column.name in self.columns or column.name not in later:
                yield from self._faults_of(column, dialect)
        for name in sorted(self.columns.keys() - ours.columns.keys()):
            if self.columns[name].is_not_null and not self.columns[name].has_default:
                yield f"has a column {_shown(name)}, NOT NULL and without a default"
        key = [column.name for column in ours.primary_key.columns]
        if frozenset(key) not in self.keys:
            yield f"has no primary key ({', '.join(key)})"

    def _faults_of(self, column: Column[Any], dialect: Dialect) -> Iterator[str]:
        found = self.columns.get(column.name)
        if found is None:
            yield f"has no column {column.name}"
            return
        wanted = column.type.compile(dialect=dialect).lower()
        if _kind_of(found.type, dialect) != _kind_of(wanted, dialect):
            yield f"has a column {column.name} of the type {_shown(found.type)}, not {wanted}"
        if column.nullable and found.is_not_null:
            yield f"has a column {column.name} that is NOT NULL"

    def missing_indexes(self, ours: Table) -> Iterator[Index]:
        """Yield the indexes of `ours` for which no index here begins with the same columns.

        For a unique index there must be one with these columns alone.
        """
        for index in sorted(ours.indexes, key=lambda index: str(index.name)):
            wanted = tuple(column.name for column in index.columns)
            begins = any(found[: len(wanted)] == wanted for found in self.indexes)
            if not (frozenset(wanted) in self.unique if index.unique else begins):
                yield index


async def _read_catalogue(connection: AsyncConnection) -> dict[str, _Table]:
    """Return the relations of the database under the names of our tables, by these names."""
    statement = _IN_SQLITE if connection.dialect.name == "sqlite" else _IN_POSTGRES
    rows = (await connection.execute(_with_names(statement))).all()
    by_table = defaultdict[str, list[Row[Any]]](list)
    for row in rows:
        by_table[row.table_name].append(row)
    return {name: _table(of_table) for name, of_table in by_table.items()}


def _with_names(statement: str) -> TextClause:
    # Written out, so that Postgres compares names and looks them up in an index.
    names: Any = bindparam("names", list(METADATA.tables), expanding=True, literal_execute=True)
    return text(statement).bindparams(names)


def _table(rows: list[Row[Any]]) -> _Table:
    first = rows[0]._mapping
    found = _Table(first["kind"], [name for name in _PRIVILEGES if not first[name]])
    names = {row.number: row.name for row in rows}
    for row in rows:
        found.columns[row.name] = _Column(row.type, bool(row.not_null), bool(row.has_default))
        if row.index_columns is not None:
            numbers = map(int, re.findall(r"-?\d+", row.index_columns))
            columns = tuple(names.get(number, "") for number in numbers)[: row.index_length]
            found.indexes.add(columns)
            if row.is_unique:
                found.unique.add(frozenset(columns))
                if not row.is_partial:
                    found.keys.add(frozenset(columns))
    return found


def _kind_of(type_: str, dialect: Dialect) -> str:
    """Return a name that is the same for types which keep the same values."""
    if dialect.name != "sqlite":
        return _SAME_IN_POSTGRES.get(type_, type_)
    return _affinity(type_.upper())


def _affinity(type_: str) -> str:
    """Return the affinity by which SQLite converts values ("Datatypes In SQLite", 3.1)."""
    for affinity, parts in (
        ("INTEGER", ("INT",)),
        ("TEXT", ("CHAR", "CLOB", "TEXT")),
        ("BLOB", ("BLOB",)),
    ):
        if any(part in type_ for part in parts):
            return affinity
    return "NUMERIC" if type_ else "BLOB"


def _shown(name: str) -> str:
    """Return a name out of the database on one line, in printable ASCII."""
    return ascii(name)[1:-1]
