"""Row level security of the tables in Postgres: made with them, and looked at when they open.

Hosts that publish the schema `public` over HTTP (Supabase and others, by PostgREST) grant all on
every new table in it to the roles of strangers. Row level security shows them no row. The owner of
a table is exempt from it; a role that is not needs a policy, or it sees an empty store.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Row, Table, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable, ExecutableDDLElement

from wix_asgi.errors import StorageUnavailable
from wix_asgi_backends._postgres_dialect import Dialect as Postgres
from wix_asgi_backends._postgres_dialect import send_together
from wix_asgi_backends._schema import METADATA, create_indexes

__all__ = ["administrator_sql", "check_access", "create_table"]

logger = logging.getLogger("wix_asgi")

# The roles for which PostgREST acts when strangers ask (Supabase, "Postgres Roles"). Its
# `service_role` is for servers, and bypasses row level security.
_STRANGERS: Final = "'anon', 'authenticated'"

_STRANGERS_HERE: Final = text(
    "SELECT string_agg(CAST(rolname AS text), ', ') FROM pg_roles "  # noqa: S608 # ours alone
    f"WHERE rolname IN ({_STRANGERS})"
)

_FOUND: Final = ", ".join(f"CAST(to_regclass('{name}') AS oid)" for name in METADATA.tables)

# PostgreSQL's own `row_security_active` reads the same columns (`check_enable_rls` in rls.c).
# CockroachDB has the columns, and is not known to have the function.
_TABLES_HERE: Final = text(
    f"""
    SELECT
        quote_ident(spaces.nspname) || '.' || quote_ident(tables.relname) AS name,
        tables.relrowsecurity AS is_secured,
        (tables.relforcerowsecurity OR NOT pg_has_role(tables.relowner, 'USAGE')) AND NOT (
            SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user
        ) AS needs_policy,
        (
            SELECT string_agg(
                CASE grantee WHEN 'public' THEN 'PUBLIC' ELSE CAST(grantee AS text) END, ' '
            )
            FROM (
                SELECT rolname AS grantee FROM pg_roles WHERE rolname IN ({_STRANGERS})
                UNION ALL SELECT 'public'
            ) AS grantees
            WHERE has_table_privilege(
                grantee, tables.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE'
            )
        ) AS strangers,
        policies.permissive, policies.cmd, policies.qual, policies.with_check
    FROM pg_class AS tables
    JOIN pg_namespace AS spaces ON spaces.oid = tables.relnamespace
    LEFT JOIN pg_policies AS policies
        ON policies.schemaname = spaces.nspname AND policies.tablename = tables.relname
        AND EXISTS (
            SELECT 1 FROM unnest(policies.roles) AS granted
            WHERE CASE WHEN granted = 'public' THEN true ELSE pg_has_role(granted, 'USAGE') END
        )
    WHERE tables.oid IN ({_FOUND})
    ORDER BY 1
    """  # noqa: S608 # the names are ours
)

_COMMANDS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")

# Seconds. A worker's statement has four (`_COMMAND_SECONDS` in _postgres_url.py), and is repeated.
_LOCK_SECONDS: Final = 2

# Not the name of the role that is connected: messages tell no user.
_SAMPLE_ROLE: Final = "app_role"
_AS_SAMPLE: Final = f" with the app's role in place of {_SAMPLE_ROLE}"


async def create_table(connection: AsyncConnection, table: Table) -> None:
    """Create `table` and its indexes with row level security, in one transaction.

    A table that is there already is an error, and is left alone. Strangers lose the rights that
    row level security does not cover.
    """
    statements: list[ExecutableDDLElement] = [
        CreateTable(table),
        *create_indexes(table, if_not_exists=False),
    ]
    script = [str(statement.compile(dialect=connection.dialect)) for statement in statements]
    script.append(f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY")
    if strangers := (await connection.execute(_STRANGERS_HERE)).scalar():
        rights = "TRUNCATE, REFERENCES, TRIGGER"
        script.append(f"REVOKE {rights} ON {table.name} FROM {strangers}, PUBLIC")
    await send_together(connection, script)


async def check_access(connection: AsyncConnection, store: str) -> None:
    """Warn of tables that are open to strangers; `store` names the database in messages.

    Raises:
        StorageUnavailable: Row level security may hide rows from this role.
    """
    found = (await connection.execute(_TABLES_HERE)).all()
    tables = {name: list(rows) for name, rows in groupby(found, key=lambda row: str(row.name))}
    _refuse_hidden(tables, store)
    opened = {name: row for name, (row, *_) in tables.items() if _is_open(row)}
    if opened:
        logger.warning(
            "%s: row level security is off for %s, with grants to %s. Where the host publishes the "
            "schema, strangers may read and delete rows. As the owner run%s: %s",
            store,
            _listed([*opened]),
            ", ".join(sorted({role for row in opened.values() for role in row.strangers.split()})),
            _AS_SAMPLE if any(row.needs_policy for row in opened.values()) else "",
            " ".join(_remedy(name, row) for name, row in opened.items()),
        )


def _refuse_hidden(tables: dict[str, list[Row[Any]]], store: str) -> None:
    hidden = [
        name
        for name, rows in tables.items()
        if rows[0].is_secured and rows[0].needs_policy and not _shows_all(rows)
    ]
    if hidden:
        raise StorageUnavailable(
            f"{store} cannot be used: row level security may hide rows of {_listed(hidden)} "
            f"from this app's role. As the owner run{_AS_SAMPLE}: "
            f"{' '.join(_policy(name, _SAMPLE_ROLE) for name in hidden)} "
            "No restrictive policy may apply to the role."
        )


def administrator_sql(tables: str, role: str | None) -> str:
    """Return the SQL by which an administrator makes the tables, in one transaction.

    It may be run again, and for further roles: every role has a policy of its own name. While it
    waits for a lock of another session, the statements of the app wait behind it, so that it gives
    up early.

    Args:
        tables: The statements that create the tables unless they exist, and bring those of an older
            version up to date, each with its semicolon.
        role: The role as which the app logs in. None if it is to own the tables.
    """
    statements = [f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;" for table in METADATA.tables]
    if role is not None:
        dialect: Any = Postgres()  # type: ignore[no-untyped-call] # SQLAlchemy says nothing of it
        quoted: str = dialect.identifier_preparer.quote(role)
        for table in METADATA.tables:
            statements += [
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {quoted};",
                f"DROP POLICY IF EXISTS {quoted} ON {table};",
                _policy(table, quoted),
            ]
    begin = ["BEGIN;", f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s';"]
    return "\n".join([*begin, tables.strip(), *statements, "COMMIT;", ""])


def _listed(names: Sequence[str]) -> str:
    """Return the names as a part of a sentence."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _is_open(table: Row[Any]) -> bool:
    return bool(table.strangers) and not table.is_secured


def _remedy(name: str, table: Row[Any]) -> str:
    secured = f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
    # The policy first: without it a running app has no installations from the same moment.
    return f"{_policy(name, _SAMPLE_ROLE)} {secured}" if table.needs_policy else secured


def _policy(table: str, role: str) -> str:
    return f"CREATE POLICY {role} ON {table} TO {role} USING (true) WITH CHECK (true);"


def _shows_all(policies: Sequence[Row[Any]]) -> bool:
    """Return whether the policies for this role let it read and write all rows of their table.

    Of a condition other than `true` that is not known, and it does not count.
    """
    return all(_is_unrestricted(policies, command) for command in _COMMANDS)


def _is_unrestricted(policies: Sequence[Row[Any]], command: str) -> bool:
    # PostgreSQL writes PERMISSIVE, and CockroachDB permissive.
    given = [
        (policy.permissive.upper() == "PERMISSIVE", _is_true(policy, command))
        for policy in policies
        if policy.cmd in {command, "ALL"}
    ]
    return (True, True) in given and (False, False) not in given


def _is_true(policy: Row[Any], command: str) -> bool:
    # A policy without WITH CHECK checks new rows by USING (PostgreSQL, "CREATE POLICY").
    written = policy.with_check or policy.qual
    conditions = {
        "SELECT": [policy.qual],
        "INSERT": [written],
        "UPDATE": [policy.qual, written],
        "DELETE": [policy.qual],
    }
    return all(condition == "true" for condition in conditions[command])
