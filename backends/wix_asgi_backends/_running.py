"""Runs statements on a database that SQLAlchemy can use, and repeats them while it fails."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Final, TypeVar

from sqlalchemy import Executable, PoolProxiedConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wix_asgi.errors import StorageUnavailable
from wix_asgi_backends._compiled import Call, Outcome
from wix_asgi_backends._engines import Engines
from wix_asgi_backends._pooled import Pooled
from wix_asgi_backends._retry import Retry, RetryLog, forget_locals
from wix_asgi_backends._rows import milliseconds

__all__ = ["Runner"]

T = TypeVar("T")


class Runner(ABC):
    """A database on asyncio: its engines, and the statements that are repeated on them."""

    _survives_fork: ClassVar[bool] = True
    _driver_errors: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, *, retry: Retry | None = None) -> None:
        """Prepare without connecting; `retry` bounds the repetition of statements."""
        self._retry: Final = retry or Retry()
        self._retry_log: Final = RetryLog()
        self._engines: Final = Engines(self._make_engine, survive_fork=self._survives_fork)
        self._border: Final[tuple[type[Exception], ...]] = (
            SQLAlchemyError,
            OSError,
            *self._driver_errors,
        )

    @property
    @abstractmethod
    def _title(self) -> str:
        """The kind and the place of the store, to begin a message with."""

    @abstractmethod
    def _make_engine(self) -> AsyncEngine:
        """Return a new engine, not connected yet."""

    @abstractmethod
    def _is_transient(self, error: Exception) -> bool:
        """Return whether the same statement may succeed on another attempt."""

    @abstractmethod
    def _explain(self, error: Exception) -> str:
        """Return the message for an error, a sentence or more.

        It names the store; it contains no user, no password, no text of the driver and no value.
        """

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self._engines.dispose()

    @abstractmethod
    async def _send(self, connection: PoolProxiedConnection, calls: Sequence[Call]) -> Outcome:
        """Execute statements by the driver of a connection of the pool."""

    def _is_simple(self) -> bool:
        """Return whether an idle connection can be taken without waiting for anything."""
        return True

    async def _execute(
        self,
        statement: Executable,
        values: Mapping[str, object],
        durations: Mapping[str, float] | None = None,
        *,
        again: Executable | None = None,
    ) -> Outcome:
        """Execute `statement`; from the second attempt on, `again` takes its place if there is one.

        An attempt that failed may have been carried out all the same, which `again` allows for.
        Durations are seconds from now, and run down during the attempts.
        """
        repeated = None if again is None else (again,)
        return await self._execute_all((statement,), values, durations, again=repeated)

    async def _execute_all(
        self,
        statements: Sequence[Executable],
        values: Mapping[str, object],
        durations: Mapping[str, float] | None = None,
        *,
        again: Sequence[Executable] | None = None,
    ) -> Outcome:
        """Execute several statements on one connection, as `_execute` does one."""
        begun = time.monotonic()

        async def work(pooled: Pooled, attempt: int) -> Outcome:
            passed = time.monotonic() - begun
            left = {name: milliseconds(end - passed) for name, end in (durations or {}).items()}
            chosen = again if again is not None and attempt else statements
            return await pooled.send(
                self._send, chosen, {**values, **left}, is_simple=self._is_simple()
            )

        return await self._repeat(work, self._is_transient)

    async def _attempt(
        self,
        work: Callable[[AsyncConnection, int], Awaitable[T]],
        passes: Callable[[Exception], bool],
    ) -> T:
        """Do `work` on a connection, and repeat it after the errors for which `passes` is true."""

        async def connect(pooled: Pooled, attempt: int) -> T:
            async with pooled.engine.connect() as connection:
                return await work(connection, attempt)

        return await self._repeat(connect, passes)

    async def _repeat(
        self,
        work: Callable[[Pooled, int], Awaitable[T]],
        passes: Callable[[Exception], bool],
    ) -> T:
        """Do `work` in its turn, and again after the errors for which `passes` is true."""
        pooled = await self._engines.pooled()
        attempt, reason, began = 0, None, time.monotonic()
        try:
            async with asyncio.timeout(self._retry.total):
                while True:
                    try:
                        async with pooled.turns:
                            done = await work(pooled, attempt)
                        if self._retry_log.is_failing:
                            self._retry_log.note_answer(
                                self._title, self._retry, is_repeated=attempt > 0
                            )
                        return done  # noqa: TRY300
                    except self._border as exc:
                        if not passes(exc):
                            raise
                        reason = exc
                    if (seconds := time.monotonic() - began) >= self._retry.quiet:
                        self._retry_log.tell(self._explain(reason), self._retry, seconds=seconds)
                    await self._retry.pause(attempt)
                    attempt += 1
        except self._border as exc:
            # After a time-out, the error of the last attempt says more than the time-out itself.
            cause = reason if reason and isinstance(exc, TimeoutError) else exc
            if cause is exc and isinstance(exc, TimeoutError):
                # The first attempt has hung all the time: an outage that no attempt could tell.
                self._retry_log.tell(self._explain(exc), self._retry, seconds=self._retry.total)
            raise self._unavailable(cause) from cause
        finally:
            reason = None

    def _unavailable(self, error: Exception) -> StorageUnavailable:
        forget_locals(error)
        return StorageUnavailable(self._explain(error))
