"""The two tables: their columns, and the statements that make them.

They have a registry of their own, so that an application's `create_all` leaves them alone. A tool
that compares a database with the application's models sees them all the same: `docs/migrations.md`.
"""

from __future__ import annotations

from typing import ClassVar, Final

from sqlalchemy import BigInteger, Dialect, Index, LargeBinary, Table, Text
from sqlalchemy.orm import registry
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

__all__ = [
    "CLAIMS",
    "INSTALLATIONS",
    "METADATA",
    "Key",
    "decode_key",
    "definitions",
    "encode_key",
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
    """A `Record`: durations in milliseconds, moments in milliseconds since 1970 in UTC."""

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


class ClaimRow(_Base, table=True):
    """The owner of a claimed name, and the end of the claim in milliseconds since 1970."""

    __tablename__: ClassVar[str] = "wix_claims"  # pyright: ignore[reportIncompatibleVariableOverride]
    __table_args__ = (Index("wix_claims_expires_at", "expires_at"),)

    name: bytes = Field(primary_key=True, sa_type=LargeBinary)
    owner: str = Field(sa_type=Text)
    expires_at: int = Field(sa_type=BigInteger)


INSTALLATIONS: Final = METADATA.tables["wix_installations"]
CLAIMS: Final = METADATA.tables["wix_claims"]


def definitions(table: Table) -> list[ExecutableDDLElement]:
    """Return the statements that make `table` and its indexes, unless they exist."""
    indexes = [CreateIndex(index, if_not_exists=True) for index in table.indexes]
    return [CreateTable(table, if_not_exists=True), *indexes]


def script(dialect: Dialect) -> str:
    """Return the same statements for all tables in `dialect`, as a text for an administrator."""
    statements = [
        str(definition.compile(dialect=dialect))
        for table in METADATA.sorted_tables
        for definition in definitions(table)
    ]
    return "".join(f"{_tidy(statement)};\n" for statement in statements)


def _tidy(statement: str) -> str:
    lines = statement.expandtabs(4).strip().splitlines()
    return "\n".join(line.rstrip() for line in lines)
