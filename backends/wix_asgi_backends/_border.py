"""The border: drivers' errors become StorageUnavailable here, and passing ones are tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from wix_asgi.errors import StorageUnavailable

__all__ = ["BUDGET", "across", "is_missing_table", "sqlstate"]

T = TypeVar("T")

BUDGET: Final = 10.0
"""Seconds for which a statement is tried again."""

_FIRST_WAIT: Final = 0.05
_LAST_WAIT: Final = 1.0
# Serialization and deadlock, a standby after a failover, a server that stops or starts.
_PASSING: Final = frozenset({"40001", "40P01", "25006", "57P01", "57P02", "57P03", "53300"})
_LOCKED: Final = ("database is locked", "database table is locked", "database schema is locked")


async def across(
    statement: Callable[[], Awaitable[T]], driver_errors: tuple[type[Exception], ...] = ()
) -> T:
    """Run one statement, again while its failure is passing; every statement may be repeated.

    Raises:
        StorageUnavailable: It failed for good, or for ten seconds; the driver's error is its cause.
    """
    caught: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, *driver_errors)
    until, wait = time.monotonic() + BUDGET, _FIRST_WAIT
    while True:
        try:
            return await statement()
        except caught as exc:
            pause = wait * random.uniform(0.5, 1)  # noqa: S311 - spreads, hides nothing
            if not _is_passing(exc, driver_errors) or time.monotonic() + pause > until:
                raise StorageUnavailable(f"The storage failed: {_name(exc)}.") from exc
        await anyio.sleep(pause)
        wait = min(2 * wait, _LAST_WAIT)


def _is_passing(exc: Exception, driver_errors: tuple[type[Exception], ...]) -> bool:
    state = sqlstate(exc)
    if state is not None:
        return state in _PASSING or state.startswith("08")
    if isinstance(exc, DBAPIError):
        text = str(exc.orig)
        return exc.connection_invalidated or any(locked in text for locked in _LOCKED)
    return isinstance(exc, OSError | PoolTimeoutError | driver_errors)


def sqlstate(exc: BaseException) -> str | None:
    """Return the SQLSTATE of a driver's error, also where SQLAlchemy wrapped it."""
    inner = exc.orig if isinstance(exc, DBAPIError) else exc
    state = getattr(inner, "sqlstate", None)
    return state if isinstance(state, str) else None


def is_missing_table(exc: BaseException | None) -> bool:
    """Whether a statement failed because its table was never made."""
    if not isinstance(exc, DBAPIError):
        return False
    return sqlstate(exc) == "42P01" or "no such table" in str(exc.orig)


def _name(exc: Exception) -> str:
    inner = exc.orig if isinstance(exc, DBAPIError) and exc.orig else exc
    cause = inner.__cause__ or inner
    return type(cause).__name__
