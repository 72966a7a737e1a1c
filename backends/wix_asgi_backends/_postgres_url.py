"""Postgres URLs as they are pasted, made into what asyncpg takes."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from wix_asgi.errors import SettingsError

__all__ = ["Target", "parse_url"]

_SSL_MODES: Final = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
_SESSIONS: Final = {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}
_DRIVER: Final = "postgresql+asyncpg"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and how.

    Attributes:
        url: For SQLAlchemy; its repr hides the password.
        connect_args: For asyncpg.
    """

    url: URL
    connect_args: Mapping[str, Any] = field(repr=False)


def parse_url(text: str) -> Target:
    """Read a URL of Postgres.

    Raises:
        SettingsError: It is malformed, or has a parameter that means nothing here. The message
            names the parameter and shows no value.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise SettingsError("The storage URL of Postgres is malformed.") from None
    kept, arguments = _translate(url.query)
    return Target(url.set(drivername=_DRIVER, query=kept), arguments)


def _translate(
    query: Mapping[str, str | tuple[str, ...]],
) -> tuple[dict[str, str | tuple[str, ...]], dict[str, Any]]:
    """Split the parameters into those SQLAlchemy reads and asyncpg's own arguments."""
    kept: dict[str, str | tuple[str, ...]] = {}
    server: dict[str, str] = {}
    arguments: dict[str, Any] = {
        "timeout": 5.0,
        "command_timeout": 10.0,
        # Behind a pooler in transaction mode a statement's name is another session's.
        "statement_cache_size": 0,
        "server_settings": server,
    }
    kept["prepared_statement_cache_size"] = "0"
    for name, value in query.items():
        if name == "sslrootcert":
            continue
        if name in {"host", "port"}:
            kept[name] = value
        elif name in _IGNORED:
            continue
        elif name in _SERVER_SETTINGS:
            server[name] = _single(name, value)
        elif name in _ARGUMENTS:
            argument, read = _ARGUMENTS[name]
            arguments[argument] = read(name, _single(name, value))
        else:
            raise SettingsError(f"The storage URL has a parameter that is not known: {name!r}.")
    if "sslrootcert" in query:
        root = _single("sslrootcert", query["sslrootcert"])
        arguments["ssl"] = _verifying(root, arguments.get("ssl", "verify-full"))
    return kept, arguments


def _verifying(root: str, mode: str) -> ssl.SSLContext | str:
    """Return a context that trusts the certificates in the file `root`, or the system's own."""
    if mode == "disable":
        return mode
    try:
        context = ssl.create_default_context(cafile=None if root == "system" else root)
    except OSError:
        raise SettingsError("The storage URL's sslrootcert cannot be read.") from None
    context.check_hostname = mode == "verify-full"
    return context


def _single(name: str, value: str | tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"The storage URL has the parameter {name!r} more than once.")
    return value


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise SettingsError(f"The storage URL's parameter {name!r} must be seconds.")
    return seconds


def _one_of(choices: set[str]) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if value not in choices:
            known = ", ".join(sorted(choices))
            raise SettingsError(f"The storage URL's parameter {name!r} must be one of {known}.")
        return value

    return read


# What libpq or a hosting service knows and asyncpg settles by itself, or we do.
_IGNORED: Final = {
    "channel_binding",
    "gssencmode",
    "pgbouncer",
    "pool_mode",
    "prepared_statement_cache_size",
    "sslnegotiation",
    "sslsni",
    "statement_cache_size",
    "supa",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
}
_SERVER_SETTINGS: Final = {"application_name", "options", "search_path"}
_ARGUMENTS: Final[Mapping[str, tuple[str, Callable[[str, str], Any]]]] = {
    "command_timeout": ("command_timeout", _seconds),
    "connect_timeout": ("timeout", _seconds),
    "timeout": ("timeout", _seconds),
    "ssl": ("ssl", _one_of(_SSL_MODES)),
    "sslmode": ("ssl", _one_of(_SSL_MODES)),
    "target_session_attrs": ("target_session_attrs", _one_of(_SESSIONS)),
}
