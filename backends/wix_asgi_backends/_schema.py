"""The three tables: their columns, and the statements that make them.

They have a registry of their own, so that an application's `create_all` leaves them alone. A tool
that compares a database with the application's models sees them all the same: `docs/migrations.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from sqlalchemy import BigInteger, Boolean, Column, Dialect, Index, LargeBinary, Table, Text, text
from sqlalchemy.orm import registry
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

__all__ = [
    "CLAIMS",
    "EVENTS",
    "INSTALLATIONS",
    "METADATA",
    "Key",
    "additions",
    "complete_for_postgres",
    "create_indexes",
    "decode_key",
    "definitions",
    "encode_key",
    "later_columns",
    "script",
]

_REGISTRY: Final = registry()
METADATA: Final = _REGISTRY.metadata


def encode_key(text: str) -> bytes:
    """Return the bytes that are stored for a key, of lone surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def decode_key(stored: bytes) -> str:
    """Return the key for stored bytes.

    Raises:
        UnicodeDecodeError: They were not stored by `encode_key`.
    """
    return stored.decode("utf-8", "surrogatepass")


class Key(TypeDecorator[str]):
    """The type of a parameter for a key: text that is compared and ordered by its code points.

    Columns keep it as bytes, under any collation of the database: CockroachDB has no columns of
    collation "C", PostgreSQL no text with a NUL. It is no type of a column, since a migration that
    a tool writes for an application may name types of SQLAlchemy alone.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Encode the text, lone surrogates included."""
        del dialect
        return None if value is None else encode_key(value)


class _Base(SQLModel, registry=_REGISTRY):
    pass


class InstallationRow(_Base, table=True):
    """A `Record`: durations in milliseconds, moments in milliseconds since 1970 in UTC.

    The columns behind `installed_at` came later: tables of an older version get them when they are
    opened. Workers of that version, which may run beside ours or after us, write rows and leave
    these columns as they are. They give each row that they write another `version`, so that
    `described_version` tells whether the columns are of the same write as the rest of the row.
    """

    # SQLModel declares a function under this name, for classes that do not name their table.
    __tablename__: ClassVar[str] = "wix_installations"  # pyright: ignore[reportIncompatibleVariableOverride]

    instance_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    app_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    version: str = Field(sa_type=Text)
    refresh_token: bytes = Field(sa_type=LargeBinary)
    access_token: bytes | None = Field(default=None, sa_type=LargeBinary)
    lifetime: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    failure: str | None = Field(default=None, sa_type=Text)
    retry_at: int = Field(sa_type=BigInteger)
    installed_at: int = Field(sa_type=BigInteger)
    grant_type: str | None = Field(default=None, sa_type=Text)
    origin_instance_id: bytes | None = Field(default=None, sa_type=LargeBinary)
    owes_on_install: bool | None = Field(default=None, sa_type=Boolean)
    described_version: str | None = Field(default=None, sa_type=Text)


class ClaimRow(_Base, table=True):
    """The owner of a claimed name, and the end of the claim in milliseconds since 1970."""

    __tablename__: ClassVar[str] = "wix_claims"  # pyright: ignore[reportIncompatibleVariableOverride]
    __table_args__ = (Index("wix_claims_expires_at", "expires_at"),)

    name: bytes = Field(primary_key=True, sa_type=LargeBinary)
    owner: str = Field(sa_type=Text)
    expires_at: int = Field(sa_type=BigInteger)


def _partial(name: str, *columns: str, where: str, is_unique: bool = False) -> Index:
    """Return an index of the rows for which `where` is true; its text is the same in a query."""
    return Index(name, *columns, unique=is_unique, sqlite_where=text(where))


class EventRow(_Base, table=True):
    """An `EventRecord`: moments in milliseconds since 1970 in UTC.

    A waiting event alone has `due_at`, an ended one alone `expires_at`, so that the indexes of due
    events hold no ended ones. A taken event alone has `taken_due_at`, the moment at which it was
    due. `owner` is the owner that took the event last; it stays when the event is given back or
    ends, so that a repeated statement knows its earlier attempt.
    """

    __tablename__: ClassVar[str] = "wix_events"  # pyright: ignore[reportIncompatibleVariableOverride]
    __table_args__ = (
        _partial("wix_events_alias", "alias", "app_id", where="alias IS NOT NULL", is_unique=True),
        # With the moment of receipt, so that counting reads the index alone.
        _partial(
            "wix_events_due_at", "app_id", "due_at", "received_at", where="due_at IS NOT NULL"
        ),
        _partial("wix_events_expires_at", "expires_at", where="expires_at IS NOT NULL"),
        _partial("wix_events_owner", "owner", "app_id", where="taken_due_at IS NOT NULL"),
        # For lists and counts; done events are too many, and are listed by the primary key.
        _partial(
            "wix_events_state",
            "app_id",
            "state",
            "event_id",
            "expires_at",
            where="state <> 'done'",
        ),
    )

    event_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    app_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    alias: bytes | None = Field(default=None, sa_type=LargeBinary)
    event_type: bytes = Field(sa_type=LargeBinary)
    instance_id: bytes = Field(sa_type=LargeBinary)
    payload: bytes | None = Field(default=None, sa_type=LargeBinary)
    issued_at: int = Field(sa_type=BigInteger)
    received_at: int = Field(sa_type=BigInteger)
    state: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=BigInteger)
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    taken_due_at: int | None = Field(default=None, sa_type=BigInteger)
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    owner: str | None = Field(default=None, sa_type=Text)
    outcomes: str = Field(sa_type=Text)
    failure: str | None = Field(default=None, sa_type=Text)


INSTALLATIONS: Final = METADATA.tables["wix_installations"]
CLAIMS: Final = METADATA.tables["wix_claims"]
EVENTS: Final = METADATA.tables["wix_events"]


def complete_for_postgres() -> None:
    """Give the partial indexes their conditions for Postgres; calling it again changes nothing.

    It is a step of its own, since naming such a condition has SQLAlchemy import its dialect and
    drivers of Postgres: a twentieth of the start of an app on SQLite.
    """
    for index in EVENTS.indexes:
        index.dialect_kwargs["postgresql_where"] = index.dialect_kwargs["sqlite_where"]


_LATER: Final = ("grant_type", "origin_instance_id", "owes_on_install", "described_version")


def definitions(table: Table) -> list[ExecutableDDLElement]:
    """Return the statements that make `table` and its indexes, unless they exist."""
    return [CreateTable(table, if_not_exists=True), *create_indexes(table, if_not_exists=True)]


def create_indexes(table: Table, *, if_not_exists: bool) -> list[CreateIndex]:
    """Return the statements that make the indexes of `table`, in the order of their names."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    return [CreateIndex(index, if_not_exists=if_not_exists) for index in indexes]


def later_columns(table: Table) -> list[Column[Any]]:
    """Return the columns of `table` that tables of an older version lack: all may be NULL."""
    return [column for column in table.columns if column.name in _LATER]


def additions(columns: Sequence[Column[Any]], dialect: Dialect) -> list[str]:
    """Return the statements that add columns to their table in `dialect`.

    In Postgres it is one, which leaves columns alone that are there: it needs the lock once. SQLite
    has no such words, and adds one column at a time.
    """
    table = columns[0].table.name
    parts = [f"{column.name} {column.type.compile(dialect=dialect)}" for column in columns]
    if dialect.name == "sqlite":
        return [f"ALTER TABLE {table} ADD COLUMN {part}" for part in parts]
    adding = ",\n".join(f"    ADD COLUMN IF NOT EXISTS {part}" for part in parts)
    return [f"ALTER TABLE {table}\n{adding}"]


def script(dialect: Dialect) -> str:
    """Return the same statements for all tables in `dialect`, as a text for an administrator.

    It brings tables of an older version up to date, too, and may be run again. In SQLite, where a
    column cannot be added unless it is there, that part is a comment.
    """
    tables = METADATA.sorted_tables
    made = [str(one.compile(dialect=dialect)) for table in tables for one in definitions(table)]
    added = [
        statement
        for table in tables
        if (columns := later_columns(table))
        for statement in additions(columns, dialect)
    ]
    if dialect.name != "sqlite":
        return _as_script(made + added)
    hint = "Tables of an older version get these columns when they are opened:"
    comment = "".join(f"-- {line}\n" for line in [hint, *_as_script(added).splitlines()])
    return _as_script(made) + comment


def _as_script(statements: Sequence[str]) -> str:
    return "".join(f"{_tidy(statement)};\n" for statement in statements)


def _tidy(statement: str) -> str:
    lines = statement.expandtabs(4).strip().splitlines()
    return "\n".join(line.rstrip() for line in lines)
