"""The public names of the backends: the metadata of the tables, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wix_asgi_backends
from tests.limits import PATIENCE
from wix_asgi_backends.alembic import include_name


def loaded(code: str) -> list[str]:
    """Return the libraries for databases that `code` loads in a fresh interpreter."""
    heavy = ["aiosqlite", "alembic", "asyncpg", "sqlalchemy", "sqlmodel"]
    program = f"{code}\nimport sys\nprint(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import wix_asgi_backends", []),
        ("from wix_asgi_backends import METADATA", ["sqlalchemy", "sqlmodel"]),
        ("import wix_asgi_backends.alembic", ["sqlalchemy", "sqlmodel"]),
    ],
)
def test_imports_are_light(code: str, expected: list[str]) -> None:
    """No driver is loaded for the metadata, and no library at all for the package."""
    assert expected == loaded(code)


def test_sqlite_imports_no_dialect_of_postgres() -> None:
    """The storage on SQLite starts without SQLAlchemy's dialect and drivers of Postgres.

    Some releases of SQLModel import the dialect for types of their own.
    """
    code = (
        "import sys, sqlmodel\n"
        "before = 'sqlalchemy.dialects.postgresql' in sys.modules\n"
        "import wix_asgi_backends.sqlite\n"
        "print(before != ('sqlalchemy.dialects.postgresql' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )

    assert "False\n" == done.stdout


def test_partial_indexes_are_partial_in_both_dialects() -> None:
    """A tool that reads the metadata finds the condition of an index under each dialect."""
    indexes = wix_asgi_backends.METADATA.tables["wix_events"].indexes
    conditions = [dict(index.dialect_kwargs) for index in indexes]

    assert 5 == len(conditions)
    assert all(str(found["postgresql_where"]) == str(found["sqlite_where"]) for found in conditions)


def test_metadata_has_the_tables() -> None:
    """The tables are public under their names, apart from those of any application."""
    assert {"wix_claims", "wix_events", "wix_installations"} == set(
        wix_asgi_backends.METADATA.tables
    )


def test_other_attributes_are_missing() -> None:
    """A misspelt name is an AttributeError that names it."""
    with pytest.raises(AttributeError, match="no_such_name"):
        vars(wix_asgi_backends)["__getattr__"]("no_such_name")


@pytest.mark.parametrize(
    ("name", "type_", "table", "expected"),
    [
        ("wix_claims", "table", None, False),
        ("shops", "table", None, True),
        ("wix_claims_expires_at", "index", "wix_claims", False),
        ("owner", "column", "wix_claims", False),
        ("owner", "column", "shops", True),
        ("wix_events_due_at", "index", "wix_events", False),
        ("wix", "schema", None, True),
        (None, "schema", None, True),
    ],
)
def test_include_name(name: str | None, type_: str, table: str | None, *, expected: bool) -> None:
    """Our tables and all that is in them are left out, and nothing else."""
    parents: dict[str, str | None] = {} if type_ == "schema" else {"schema_name": None}
    if table is not None:
        parents["table_name"] = table

    assert expected == include_name(name, type_, parents)
