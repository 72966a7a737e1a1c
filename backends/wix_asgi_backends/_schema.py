"""The two tables, and the database's own clock.

Times are epoch milliseconds in BIGINT: no type of a time means the same on every engine.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import registry
from sqlalchemy.sql.expression import FunctionElement
from sqlmodel import Field, SQLModel

__all__ = ["CLAIMS", "INSTALLATIONS", "METADATA", "now_ms"]

# Postgres compares by the rules of a language unless told otherwise; SQLite by bytes anyway.
_KEY = Text().with_variant(Text(collation="C"), "postgresql")


class _Base(SQLModel, registry=registry()):
    """Tables of their own: an app's SQLModel.metadata never sees them."""


class InstallationRow(_Base, table=True):
    """The app on one site, with its tokens sealed."""

    __tablename__ = "wix_installations"

    instance_id: str = Field(sa_column=Column(_KEY, primary_key=True))
    app_id: str = Field(sa_column=Column(_KEY, primary_key=True))
    version: str = Field(sa_column=Column(Text, nullable=False))
    refresh_token: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    access_token: bytes | None = Field(sa_column=Column(LargeBinary))
    lifetime: int = Field(sa_column=Column(BigInteger, nullable=False))
    expires_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    failure: str | None = Field(sa_column=Column(Text))
    retry_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    installed_at: int = Field(sa_column=Column(BigInteger, nullable=False))


class ClaimRow(_Base, table=True):
    """A name that one owner has for some seconds."""

    __tablename__ = "wix_claims"

    name: str = Field(sa_column=Column(_KEY, primary_key=True))
    owner: str = Field(sa_column=Column(Text, nullable=False))
    expires_at: int = Field(sa_column=Column(BigInteger, nullable=False))


METADATA = _Base.metadata
INSTALLATIONS: Table = METADATA.tables["wix_installations"]
CLAIMS: Table = METADATA.tables["wix_claims"]


class now_ms(FunctionElement[int]):  # noqa: N801 - it is a function of SQL
    """The database's clock in epoch milliseconds, at the moment the statement runs."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "postgresql")
def _now_on_postgres(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(now_ms, "sqlite")
def _now_on_sqlite(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
