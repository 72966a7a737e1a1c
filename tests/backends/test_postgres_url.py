"""The arguments for asyncpg from the URLs that services hand out."""

from __future__ import annotations

import inspect
from typing import Any

import asyncpg
import pytest

from wix_asgi.errors import SettingsError
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends.postgres import PostgresStorage

CANARY = "test-canary-password"
LOGIN = {"user": "u", "password": "p", "database": "db"}
AT_HOST = LOGIN | {"host": ["host"], "port": [5432]}
NEON = "ep-cool-name-123-pooler.eu-central-1.aws.neon.tech"
SUPABASE = "aws-0-eu-central-1.pooler.supabase.com"


def tls(**parameters: str) -> dict[str, str]:
    """Return the argument by which asyncpg is told of TLS."""
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return {"dsn": f"postgresql://?{query}"}


def settings(**values: str) -> dict[str, dict[str, str]]:
    """Return the argument by which the server is told of `values`."""
    return {"server_settings": {"application_name": "wix-asgi"} | values}


URLS: list[tuple[str, dict[str, Any]]] = [
    ("postgresql://u:p@host/db", AT_HOST),
    ("postgres://u:p@host/db", AT_HOST),
    ("postgresql+asyncpg://u:p@host/db", AT_HOST),
    ("POSTGRES://u:p@host:5432/db", AT_HOST),
    ("postgres://u:p@host:6543/db", AT_HOST | {"port": [6543]}),
    ("postgres://u@host/db", {"user": "u", "host": ["host"], "port": [5432], "database": "db"}),
    ("postgres://host", {"host": ["host"], "port": [5432]}),
    ("postgres://", {}),
    ("postgres:///db", {"database": "db"}),
    ("postgres://:6543/db", {"database": "db", "port": 6543}),
    ("postgres://u:p%40s%3As%2Fw%3F@host/db", AT_HOST | {"password": "p@s:s/w?"}),
    ("postgres://u:p@ss@host/db", AT_HOST | {"password": "p@ss"}),
    ("postgres://u:p#s:s+w@host/db", AT_HOST | {"password": "p#s:s+w"}),
    ("postgres://me%40tenant:p@host/db", AT_HOST | {"user": "me@tenant"}),
    ("postgres://u:p@host/my%20db", AT_HOST | {"database": "my db"}),
    ("postgres://u:p@[::1]/db", AT_HOST | {"host": ["::1"]}),
    ("postgres://u:p@[fe80::1]:6543/db", AT_HOST | {"host": ["fe80::1"], "port": [6543]}),
    ("postgres://u:p@a,b:6543/db", AT_HOST | {"host": ["a", "b"], "port": [5432, 6543]}),
    ("postgres://u:p@/db?host=a:1&host=b:2", AT_HOST | {"host": ["a", "b"], "port": [1, 2]}),
    ("postgres://u:p@/db?host=a,b&port=1,2", AT_HOST | {"host": ["a", "b"], "port": [1, 2]}),
    ("postgres://u:p@/db?host=a,b&port=6543", AT_HOST | {"host": ["a", "b"], "port": [6543] * 2}),
    ("postgres://u:p@/db?host=/run/postgresql", AT_HOST | {"host": ["/run/postgresql"]}),
    ("postgres://u:p@%2Frun%2Fpostgresql/db", AT_HOST | {"host": ["/run/postgresql"]}),
    ("postgres://u:p@:6543/db?host=/run", AT_HOST | {"host": ["/run"], "port": [6543]}),
    ("postgres://u:p@ignored/db?host=/cloudsql/p:r:i", AT_HOST | {"host": ["/cloudsql/p:r:i"]}),
    ("postgres://host/?user=u&password=p&dbname=db", AT_HOST),
    ("postgres://host?user=u&password=p%26&database=db", AT_HOST | {"password": "p&"}),
    ("postgres://u:p@host/db?passfile=/pass", AT_HOST | {"passfile": "/pass"}),
    ("postgres://u:p@host/db?sslmode=require", AT_HOST | tls(sslmode="require")),
    ("postgres://u:p@host/db?sslmode=disable", AT_HOST | tls(sslmode="disable")),
    ("postgres://u:p@host/db?ssl=verify-full", AT_HOST | tls(sslmode="verify-full")),
    ("postgres://u:p@host/db?ssl=true", AT_HOST | {"ssl": True}),
    ("postgres://u:p@host/db?ssl=0", AT_HOST | {"ssl": False}),
    ("postgres://u:p@host/db?ssl=1&sslmode=require", AT_HOST | {"ssl": True}),
    ("postgres://u:p@host/db?sslmode=require&ssl=require", AT_HOST | tls(sslmode="require")),
    ("cockroachdb://u:p@host/db", AT_HOST | {"port": [26257]}),
    ("postgres://u:p@host/db?sslmode=prefer&ssl=false", AT_HOST | tls(sslmode="prefer")),
    ("postgres://u:p@host/db?sslmode=no-verify", AT_HOST | tls(sslmode="require")),
    ("postgres://u:p@db.example./db", AT_HOST | {"host": ["db.example."]}),
    (
        "postgres://u:p@host/db?sslmode=verify-ca&sslrootcert=/my%20certs/ca.pem",
        AT_HOST | tls(sslmode="verify-ca", sslrootcert="%2Fmy%20certs%2Fca.pem"),
    ),
    ("postgres://u:p@host/db?sslmode=verify-full&sslrootcert=system", AT_HOST | {"ssl": True}),
    (
        f"postgresql://u:p@{NEON}/db?sslmode=require&channel_binding=require",
        AT_HOST | {"host": [NEON]} | tls(sslmode="require"),
    ),
    (
        "postgres://u:p@host/db?options=endpoint%3Dep-cool-name-123",
        AT_HOST | settings(options="endpoint=ep-cool-name-123"),
    ),
    (
        f"postgres://u.ref:p@{SUPABASE}:6543/db?pgbouncer=true&connection_limit=1",
        AT_HOST | {"user": "u.ref", "host": [SUPABASE], "port": [6543]},
    ),
    (
        f"postgres://u:p@{SUPABASE}:6543/db?sslmode=require&supa=base-pooler.x",
        AT_HOST | {"host": [SUPABASE], "port": [6543]} | tls(sslmode="require"),
    ),
    ("postgres://u:p@host/db?application_name=shop", AT_HOST | settings(application_name="shop")),
    (
        "cockroachdb://u:p@shop.cockroachlabs.cloud:26257/db?options=--cluster%3Dshop-123",
        AT_HOST
        | {"host": ["shop.cockroachlabs.cloud"], "port": [26257]}
        | settings(options="--cluster=shop-123"),
    ),
    ("postgres://u:p@host/db?search_path=wix", AT_HOST | settings(search_path="wix")),
    ("postgres://u:p@host/db?schema=wix", AT_HOST | settings(search_path="wix")),
    ("postgres://u:p@host/db?connect_timeout=10", AT_HOST | {"timeout": 10.0}),
    ("postgres://u:p@host/db?connect_timeout=0", AT_HOST),
    (
        "postgres://u:p@host/db?timeout=3&command_timeout=20",
        AT_HOST | {"timeout": 3.0, "command_timeout": 20.0},
    ),
    (
        "postgres://u:p@host/db?statement_cache_size=100&prepared_statement_cache_size=50",
        AT_HOST | {"statement_cache_size": 100, "prepared_statement_cache_size": 50},
    ),
    (
        "postgres://u:p@host/db?target_session_attrs=read-write",
        AT_HOST | {"target_session_attrs": "read-write"},
    ),
    ("postgres://u:p@host/db?keepalives=1&keepalives_idle=30&gssencmode=disable&", AT_HOST),
]

DEFAULTS = {
    "command_timeout": 4.0,
    "prepared_statement_cache_size": 0,
    "statement_cache_size": 0,
    "timeout": 5.0,
} | settings()


@pytest.mark.parametrize(("url", "expected"), URLS, ids=[url for url, _ in URLS])
def test_url(url: str, expected: dict[str, Any]) -> None:
    """A URL is translated to arguments of asyncpg, with bounds on time and no cached statements."""
    assert DEFAULTS | expected == parse_url(url).arguments


def test_asyncpg_knows_all_arguments() -> None:
    """Every argument is accepted by asyncpg, except for the argument that SQLAlchemy removes."""
    known = set(inspect.signature(asyncpg.connect).parameters)
    used = {name for url, _ in URLS for name in parse_url(url).arguments}

    assert {"prepared_statement_cache_size"} == used - known


def test_pool_size() -> None:
    """The size of the pool may be set, also as Prisma writes it."""
    sizes = [
        parse_url(f"postgres://host/db?{p}").pool_size
        for p in ("", "pool_size=3", "connection_limit=0")
    ]

    assert [10, 3, 1] == sizes


WRONG = [
    ("postgres://u:p@host/db?shema=public", "not known: shema"),
    (f"postgres://u:{CANARY}@host/db?sslmode=test-canary", "sslmode in the storage URL is none of"),
    ("postgres://host/db?target_session_attrs=master", "target_session_attrs .* none of any"),
    ("postgres://host/db?connect_timeout=soon", "connect_timeout .* not a whole number"),
    ("postgres://host/db?port=x", "port .* not a whole number"),
    ("postgres://host/db?statement_cache_size=-1", "statement_cache_size .* not a whole number"),
    ("postgres://host/db?pool_size=many", "pool_size .* not a whole number"),
    ("postgres://a,b/db?port=1,2,3", "hosts as ports"),
    ("postgres://u:p@:1,:2/db", "hosts as ports"),
    (f"postgres://u:{CANARY}/x@host/db", "cannot be taken apart"),
    (f"postgres://u:12?{CANARY}=x@host/db", "cannot be taken apart"),
    (f"postgres://u:p@host/db?{CANARY}%40x", "no parameter"),
    (f"postgres://u:p@{CANARY}/w@host/db", "cannot be taken apart"),
    (f"postgres://u:p@x?{CANARY}=w@host/db", "no parameter"),
    (f"postgres://host/db?user=u&password=a&{CANARY}", "no parameter"),
    ("postgres://u:p@host/db#fragment", "cannot be taken apart"),
    ("postgres://u:p@host/db?sslmode=require&ssl=0", "contradict each other"),
    ("postgres://u:p@host/db?ssl=false&sslmode=verify-full", "contradict each other"),
    ("postgres://u:p@host/db?ssl=true&sslmode=disable", "contradict each other"),
    ("postgres://u:p@host/db?sslmode=verify-full&ssl=require", "contradict each other"),
    (f"postgres://u:p@h?host={CANARY}@c/db", "a host or a port that is none"),
    (f"postgres://u:p@h?host={CANARY}/db", "a host or a port that is none"),
    ("postgres://u:p@host:65536/db", "a host or a port that is none"),
    ("postgres://u:p@host/db?port=65536", "port .* is over 65535"),
    (f"postgres://u:p@{'x' * 64}.example/db", "a host or a port that is none"),
    ("postgres://u:p@a..example/db", "a host or a port that is none"),
    ("postgres://u:p@a%00b/db", "a host or a port that is none"),
    (f"postgres://u:{CANARY}", "a host or a port that is none"),
    ("postgres://u:p@host:123456/db", "a host or a port that is none"),
    ("postgres://u:p@[::1/db", "a host or a port that is none"),
]


@pytest.mark.parametrize(("url", "message"), WRONG)
def test_wrong_url(url: str, message: str) -> None:
    """A part that cannot be understood is named, and its value is never shown (R35)."""
    with pytest.raises(SettingsError, match=message) as caught:
        PostgresStorage.from_url(url)

    assert "canary" not in str(caught.value)
    assert "u:" not in str(caught.value)


def test_repr_shows_no_password() -> None:
    """A storage is shown by its hosts and its database (R35)."""
    target = parse_url(f"postgres://user:{CANARY}@a,b/db?application_name=x")

    assert "<PostgresStorage a,b/db>" == repr(PostgresStorage(target))
    assert "<PostgresStorage localhost/db>" == repr(PostgresStorage(parse_url("postgres:///db")))
    assert CANARY not in repr(target)
