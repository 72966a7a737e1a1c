"""Reads the URLs that Postgres services hand out, and turns them into arguments of asyncpg."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from wix_asgi.errors import SettingsError

__all__ = ["Target", "parse_url"]

_ENCODE = "Write special characters of the user and password as in %40 for @, %2F for /, %3F for ?."
_DEFAULT_PORT, _COCKROACH_PORT = 5432, 26_257
# Port numbers have 16 bits (RFC 9293, 3.1).
_LAST_PORT = 65_535

# Connections of each process: ten workers then stay within the hundred connections that PostgreSQL
# allows by default (max_connections).
_POOL_SIZE: Final = 10

# Seconds for one statement. An operation has ten (`Retry.total`), so that a statement whose answer
# was lost on the way is sent once more while the caller waits.
_COMMAND_SECONDS: Final = 4.0

# Seconds for one connection, TLS and login included: half of the same ten, so that a server that
# does not answer the first attempt is tried once more.
_CONNECT_SECONDS: Final = 5.0

_CONTRADICTION = "ssl and sslmode in the storage URL contradict each other."
_NAME = r"[A-Za-z_][A-Za-z0-9_.\-]{0,39}"

# asyncpg reads these from its own URL only.
_TLS_FILES = {"sslcert", "sslkey", "sslcrl", "sslnegotiation", "sslpassword", "sslrootcert"}
_TLS_FILES |= {"ssl_min_protocol_version", "ssl_max_protocol_version"}
_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
_PLAIN_MODES = {"disable", "allow", "prefer"}
_SSL_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_SESSIONS = {"any", "primary", "standby", "prefer-standby", "read-write", "read-only"}

# Parameters of other clients: asyncpg negotiates, has no cache here, or has no such setting.
_IGNORED = {"channel_binding", "gssencmode", "pgbouncer", "sslsni", "supa", "uselibpqcompat"}
_IGNORED |= {"keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval"}


@dataclass(frozen=True, slots=True)
class Target:
    """The server to connect to, and the arguments for that.

    Attributes:
        name: The hosts and the database, for messages and `repr`.
        pool_size: The number of connections that a process may have.
        arguments: Keywords of `asyncpg.connect`, including the password.
        may_prepare: Whether statements may have names in a session that is not shared.
    """

    name: str
    pool_size: int
    arguments: dict[str, Any] = field(repr=False)
    may_prepare: bool = True


@dataclass(slots=True)
class _Draft:
    authority: list[tuple[str, int | None]]
    hosts: list[tuple[str, int | None]] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    pool_size: int = _POOL_SIZE
    tls: dict[str, str] = field(default_factory=dict)
    server: dict[str, str] = field(default_factory=lambda: {"application_name": "wix-asgi"})
    arguments: dict[str, Any] = field(default_factory=dict)


def parse_url(url: str) -> Target:
    """Return the target that `url` names; it may have the form of libpq, asyncpg or SQLAlchemy.

    Raises:
        SettingsError: The URL cannot be understood; the message names a parameter, but no value.
    """
    scheme, _, rest = url.partition("://")
    location, _, query = rest.partition("?")
    authority, _, database = location.partition("/")
    _refuse_unencoded(authority, database, query)
    user_info, _, hosts = authority.rpartition("@")
    draft = _Draft(_hosts(hosts))
    _take_user(draft, *user_info.partition(":")[::2])
    _take_text("database")(draft, unquote(database))
    for part in filter(None, query.split("&")):
        _take(draft, *part.partition("="))
    is_cockroach = scheme.lower().startswith("cockroachdb")
    return _finish(draft, _COCKROACH_PORT if is_cockroach else _DEFAULT_PORT)


def _refuse_unencoded(authority: str, database: str, query: str) -> None:
    """Refuse a URL that may be cut within the password: its rest would be taken for a host."""
    is_cut = authority and "@" not in authority and "@" in query
    if is_cut or "@" in database or "#" in database:
        raise SettingsError(f"The storage URL cannot be taken apart. {_ENCODE}")


def _take_user(draft: _Draft, user: str, password: str) -> None:
    _take_text("user")(draft, unquote(user))
    _take_text("password")(draft, unquote(password))


def _take(draft: _Draft, name: str, equals: str, value: str) -> None:
    if name in _IGNORED:
        return
    if name in _TLS_FILES:
        draft.tls[name] = unquote(value)
    elif name in _TAKERS:
        _TAKERS[name](draft, unquote(value))
    elif equals and "@" not in value and re.fullmatch(_NAME, name):
        raise SettingsError(f"The storage URL has a parameter that is not known: {name}.")
    else:
        # The name is not shown, since it may be the rest of a password.
        raise SettingsError(
            f"The storage URL has something behind its ? that is no parameter. {_ENCODE}"
        )


def _finish(draft: _Draft, default_port: int) -> Target:
    addresses = _addresses(draft)
    hosts = [host for host, _ in addresses if host]
    ports = [port for _, port in addresses]
    arguments = {
        "command_timeout": _COMMAND_SECONDS,
        "prepared_statement_cache_size": 0,
        "statement_cache_size": 0,
        "timeout": _CONNECT_SECONDS,
        **draft.arguments,
        "server_settings": draft.server,
    }
    if hosts:
        # asyncpg would take the missing ports from the environment, and only all of them at once.
        arguments |= {"host": hosts, "port": [port or default_port for port in ports]}
    elif ports[0]:
        arguments["port"] = ports[0]
    _settle_tls(draft, arguments)
    if draft.tls.get("sslrootcert") == "system":
        # As in libpq: the certificates of the machine, with the host's name verified.
        arguments["ssl"] = True
    elif draft.tls:
        arguments["dsn"] = f"postgresql://?{urlencode(draft.tls, quote_via=quote)}"
    host_names = ",".join(_shown(*address) for address in addresses)
    return Target(
        f"{host_names}/{arguments.get('database', '')}",
        draft.pool_size,
        arguments,
        # A URL with a size decides by itself which statements have names: 0 means none.
        may_prepare="statement_cache_size" not in draft.arguments,
    )


def _shown(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host or "localhost"
    return f"{name}:{port}" if port else name


def _settle_tls(draft: _Draft, arguments: dict[str, Any]) -> None:
    """Keep either `sslmode` or `ssl` if the URL has both."""
    mode = draft.tls.get("sslmode")
    if mode is None or "ssl" not in arguments:
        return
    if arguments["ssl"] != (mode not in _PLAIN_MODES):
        raise SettingsError(_CONTRADICTION)
    # The stricter one stays: for asyncpg `ssl` alone means that certificates are verified.
    if arguments["ssl"]:
        del draft.tls["sslmode"]
    else:
        del arguments["ssl"]


def _addresses(draft: _Draft) -> list[tuple[str, int | None]]:
    """Return the pairs of host and port, at least one; its host is empty if the URL has none."""
    # As in libpq the parameter `host` wins; the port then often stands alone, as in @:5433.
    authority = draft.authority or [("", None)]
    hosts = draft.hosts or authority
    ports: list[int | None] = [*draft.ports] or [authority[0][1] if draft.hosts else None]
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts) or (len(hosts) > 1 and not all(host for host, _ in hosts)):
        raise SettingsError("The storage URL has not as many hosts as ports.")
    return [(host, own or port) for (host, own), port in zip(hosts, ports, strict=True)]


def _hosts(text: str) -> list[tuple[str, int | None]]:
    return [_host(part) for part in text.split(",") if part]


def _host(text: str) -> tuple[str, int | None]:
    if text.startswith("/"):
        return text, None
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(\d{0,5}))?", text)
    if match is None:
        raise SettingsError(f"The storage URL has a host or a port that is none. {_ENCODE}")
    host, port = unquote(match[1].strip("[]")), int(match[2] or 0)
    if port > _LAST_PORT or not _is_name(host):
        raise SettingsError(f"The storage URL has a host or a port that is none. {_ENCODE}")
    return host, port or None


def _is_name(host: str) -> bool:
    """Return whether this can be a host: a name, an address, a directory, or an empty string."""
    if host.startswith("/") or ":" in host or not host:
        return host.isprintable()
    labels = host.removesuffix(".").split(".")
    is_plain = host.isprintable() and "@" not in host and "/" not in host
    return is_plain and all(0 < len(label) < 64 for label in labels)


def _take_hosts(draft: _Draft, value: str) -> None:
    draft.hosts += _hosts(value)


def _take_ports(draft: _Draft, value: str) -> None:
    draft.ports = [_integer("port", part) for part in value.split(",")]
    if max(draft.ports) > _LAST_PORT:
        raise SettingsError("port in the storage URL is over 65535.")


def _take_mode(draft: _Draft, value: str) -> None:
    # Node's name for libpq's mode "require".
    value = "require" if value == "no-verify" else value
    if value not in _MODES:
        raise SettingsError(f"sslmode in the storage URL is none of {', '.join(sorted(_MODES))}.")
    if draft.tls.setdefault("sslmode", value) != value:
        raise SettingsError(_CONTRADICTION)


def _take_ssl(draft: _Draft, value: str) -> None:
    if value.lower() in _SSL_FLAGS:
        draft.arguments["ssl"] = _SSL_FLAGS[value.lower()]
    else:
        _take_mode(draft, value)


def _take_session(draft: _Draft, value: str) -> None:
    if value not in _SESSIONS:
        known = ", ".join(sorted(_SESSIONS))
        raise SettingsError(f"target_session_attrs in the storage URL is none of {known}.")
    draft.arguments["target_session_attrs"] = value


def _take_pool_size(draft: _Draft, value: str) -> None:
    draft.pool_size = max(1, _integer("pool_size", value))


def _take_text(name: str) -> Callable[[_Draft, str], None]:
    def take(draft: _Draft, value: str) -> None:
        if value:
            draft.arguments[name] = value

    return take


def _take_seconds(name: str, argument: str) -> Callable[[_Draft, str], None]:
    def take(draft: _Draft, value: str) -> None:
        # In libpq 0 means to wait for ever, which a web request must not.
        if seconds := _integer(name, value):
            draft.arguments[argument] = float(seconds)

    return take


def _take_integer(name: str) -> Callable[[_Draft, str], None]:
    def take(draft: _Draft, value: str) -> None:
        draft.arguments[name] = _integer(name, value)

    return take


def _take_setting(name: str) -> Callable[[_Draft, str], None]:
    def take(draft: _Draft, value: str) -> None:
        draft.server[name] = value

    return take


def _integer(name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", value):
        raise SettingsError(f"{name} in the storage URL is not a whole number.")
    return int(value)


_TAKERS: Final[dict[str, Callable[[_Draft, str], None]]] = {
    "application_name": _take_setting("application_name"),
    "command_timeout": _take_seconds("command_timeout", "command_timeout"),
    "connect_timeout": _take_seconds("connect_timeout", "timeout"),
    "connection_limit": _take_pool_size,
    "database": _take_text("database"),
    "dbname": _take_text("database"),
    "fallback_application_name": _take_setting("application_name"),
    "host": _take_hosts,
    "options": _take_setting("options"),
    "passfile": _take_text("passfile"),
    "password": _take_text("password"),
    "pool_size": _take_pool_size,
    "port": _take_ports,
    "prepared_statement_cache_size": _take_integer("prepared_statement_cache_size"),
    "ssl": _take_ssl,
    "schema": _take_setting("search_path"),
    "search_path": _take_setting("search_path"),
    "sslmode": _take_mode,
    "statement_cache_size": _take_integer("statement_cache_size"),
    "target_session_attrs": _take_session,
    "timeout": _take_seconds("timeout", "timeout"),
    "user": _take_text("user"),
}
