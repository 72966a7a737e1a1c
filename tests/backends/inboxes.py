"""Inboxes with many events that were written past a storage, and the statements sent to them."""

# ruff: noqa: S608 # the statements are the tests' own

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from wix_asgi.testing.storage_check.records import APP
from wix_asgi_backends._compiled import Call, Outcome
from wix_asgi_backends._sql import SQLStorage

__all__ = ["Sent", "add_ended", "sent"]

_NUMBERS: Final = {
    "sqlite": "WITH RECURSIVE numbers(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {number}) ",
    "postgresql": "WITH numbers AS (SELECT generate_series(1, {number}) AS n) ",
}
_KEYS: Final = {
    "sqlite": "CAST('{prefix}' || n AS BLOB)",
    "postgresql": "convert_to('{prefix}' || n, 'UTF8')",
}

Sent = list[tuple[str, Any]]
"""Statements of the driver with their parameters."""


async def add_ended(
    storage: SQLStorage, number: int, *, expires_at: int, state: str = "done"
) -> None:
    """Write events that have ended, each with an alias; `expires_at` is in milliseconds."""
    engine = await storage._engines.current()
    dialect = engine.dialect.name
    key = _KEYS[dialect]
    async with engine.connect() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO wix_events (event_id, app_id, alias, event_type, instance_id, "
            "issued_at, received_at, state, attempts, expires_at, outcomes) "
            f"{_NUMBERS[dialect].format(number=number)}"
            f"SELECT {key.format(prefix=state)}, X'{APP.encode().hex()}', "
            f"{key.format(prefix=f'{state}-alias')}, X'74', X'73', "
            f"0, 0, '{state}', 1, {expires_at}, '' FROM numbers".replace(
                "X'", "X'" if dialect == "sqlite" else "'\\x"
            )
        )


@contextmanager
def sent(
    storage: SQLStorage, after: Callable[[int], object] = lambda _number: None
) -> Iterator[Sent]:
    """Give the statements that are sent within a block; `after` is told when they were.

    It gets the number of statements up to then, and may raise an error in place of the answer.
    """
    statements: Sent = []
    send = storage._send

    async def note(connection: Any, calls: Sequence[Call]) -> Outcome:
        outcome = await send(connection, calls)
        statements.extend((call.compiled.text, tuple(call.arguments)) for call in calls)
        after(len(statements))
        return outcome

    vars(storage)["_send"] = note
    try:
        yield statements
    finally:
        del vars(storage)["_send"]
