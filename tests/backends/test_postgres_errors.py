"""Which errors of Postgres are passing ones, after which a statement is repeated."""

from __future__ import annotations

import errno
import socket
import ssl

import asyncpg
import pytest
from sqlalchemy.exc import InvalidRequestError, OperationalError

from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends.postgres import PostgresStorage


def wrapped(error: Exception, *, cut: bool = False) -> OperationalError:
    """Return an error as SQLAlchemy passes it on."""
    return OperationalError("SELECT 1", {}, error, connection_invalidated=cut)


PASSING = [
    asyncpg.SerializationError("x"),
    asyncpg.DeadlockDetectedError("x"),
    asyncpg.ReadOnlySQLTransactionError("x"),
    asyncpg.TooManyConnectionsError("x"),
    asyncpg.AdminShutdownError("x"),
    asyncpg.CrashShutdownError("x"),
    asyncpg.CannotConnectNowError("x"),
    asyncpg.ConnectionDoesNotExistError("x"),
    asyncpg.exceptions.ProtocolViolationError("x"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("got result for unknown protocol state"),
    asyncpg.exceptions.TargetServerAttributeNotMatched("x"),
    ConnectionRefusedError("x"),
    ConnectionResetError("x"),
    FileNotFoundError("x"),
    TimeoutError("x"),
    OSError("Multiple exceptions: [Errno 111] …, [Errno 111] …"),
    OSError(errno.EHOSTUNREACH, "x"),
    socket.gaierror(socket.EAI_AGAIN, "x"),
    wrapped(ValueError("x"), cut=True),
]
LASTING = [
    asyncpg.InvalidPasswordError("x"),
    asyncpg.InvalidCatalogNameError("x"),
    asyncpg.UndefinedTableError("x"),
    asyncpg.UniqueViolationError("x"),
    asyncpg.InsufficientPrivilegeError("x"),
    asyncpg.InterfaceError("another operation is in progress"),
    PermissionError("x"),
    NotADirectoryError("x"),
    ssl.SSLCertVerificationError("x"),
    socket.gaierror(socket.EAI_NONAME, "x"),
    InvalidRequestError("x"),
    wrapped(ValueError("x")),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("wrap", [False, True])
def test_passing_errors(error: Exception, *, wrap: bool) -> None:
    """The errors of a restart, a failover or a race are repeated, wrapped by SQLAlchemy or not."""
    storage = PostgresStorage(parse_url("postgres://host/db"))

    assert storage._is_transient(wrapped(error) if wrap else error)


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("wrap", [False, True])
def test_lasting_errors(error: Exception, *, wrap: bool) -> None:
    """A statement whose error would be the same the next time is not repeated."""
    storage = PostgresStorage(parse_url("postgres://host/db"))

    assert not storage._is_transient(wrapped(error) if wrap else error)
