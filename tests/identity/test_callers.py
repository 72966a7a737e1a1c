"""The caller: the places of a signed instance, and the answers of the app's own function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.identity.signing import CALLERS, CLAIMS, GOOD, sign
from tests.support import SITE
from wix_asgi import Identity, Unauthenticated
from wix_asgi.identity.callers import KnownCaller, RequestCaller, ResolveIdentity


def caller(
    query: str = "", authorization: str | None = None, resolve: ResolveIdentity | None = None
) -> RequestCaller:
    """Return the caller of a request with this query and this header."""
    headers = [(b"accept", b"*/*")]
    if authorization is not None:
        headers.append((b"authorization", authorization.encode("latin-1")))
    scope = {"type": "http", "query_string": query.encode(), "headers": headers}
    return RequestCaller(CALLERS, query.encode(), headers, resolve=resolve, scope=scope)


async def refused_for(asked: RequestCaller) -> str | None:
    """Return the reason for which a caller is refused, or None."""
    try:
        await asked.identify()
    except Unauthenticated as refusal:
        return refusal.reason.value
    return None


async def outcome(asked: RequestCaller) -> str | None:
    """Return the instance ID, or None for nobody; `identity` and `identify` must agree."""
    try:
        identity: Identity | None = await asked.identify()
    except Unauthenticated:
        identity = None
    assert identity == asked.identity
    return None if identity is None else identity.instance_id


AGAIN = sign({**CLAIMS, "uid": "user-2"})
OTHER = sign({**CLAIMS, "instanceId": "site-2"})
PLACES = {
    "nowhere": ("", None, None),
    "query": (f"instance={GOOD}", None, SITE),
    "query among others": (f"a=1&instance={GOOD}&b=%20", None, SITE),
    "escaped query": (f"instance={GOOD.replace('.', '%2E')}", None, SITE),
    "header": ("", GOOD, SITE),
    "header with Bearer": ("", f"Bearer {GOOD}", SITE),
    "header with bearer in small letters": ("", f"bearer {GOOD}", SITE),
    "query and header, of one site": (f"instance={GOOD}", AGAIN, SITE),
    "query and header, of two sites": (f"instance={GOOD}", OTHER, None),
    "query and a forged header": (f"instance={GOOD}", GOOD[:-2] + "AA", None),
    "query and a header of the app's own": (f"instance={GOOD}", "Bearer session-1", SITE),
    "same value twice": (f"instance={GOOD}&instance={GOOD}", None, None),
    "two values": (f"instance={GOOD}&instance={OTHER}", None, None),
    "two values, one name escaped": (f"instance={GOOD}&%69nstance={OTHER}", None, None),
    "two values and a header": (f"instance={GOOD}&instance={OTHER}", GOOD, None),
    "empty": ("instance=", None, None),
    "empty, and a header": ("instance=", GOOD, None),
    "forged, and a genuine header": ("instance=forged", GOOD, None),
    "another parameter": (f"myinstance={GOOD}", None, None),
    "another parameter, and a header": ("myinstance=1", GOOD, SITE),
    "name in capitals": (f"INSTANCE={GOOD}", None, None),
    "forged header": ("", GOOD[:-2] + "AA", None),
    "Bearer of the app's own": ("", "Bearer eyJhbGciOiJub25lIn0.e30.", None),
    "Basic": ("", "Basic dXNlcjpwYXNz", None),
    "header not ASCII": ("", "\xff\xfe", None),
}


@pytest.mark.parametrize(("query", "header", "expected"), PLACES.values(), ids=PLACES)
async def test_where_the_instance_may_be(
    query: str, header: str | None, expected: str | None
) -> None:
    """One signed instance in the query or the Authorization header names the site.

    Two that name different sites name none: a link with another's instance in it gets nothing.
    """
    assert expected == await outcome(caller(query, header))


def returning(value: Any) -> ResolveIdentity:
    """Return a `resolve_identity` that finds `value`."""
    return lambda connection: value


def returning_later(value: Any) -> Callable[[HTTPConnection], Awaitable[Any]]:
    """Return an async `resolve_identity` that finds `value`."""

    async def resolve(connection: HTTPConnection) -> Any:
        return value

    return resolve


STALE = sign({**CLAIMS, "signDate": "2020-01-01T00:00:00.000Z"})
REASONS = {
    "nowhere": ("", None, "no_identity"),
    "forged": ("instance=forged", None, "forged"),
    "too long a query": ("a=1&" * 17000, None, "forged"),
    "genuine": (f"instance={GOOD}", None, None),
    "two sites": (f"instance={GOOD}", OTHER, "two_sites"),
    "two sites, one too old": (f"instance={STALE}", OTHER, "two_sites"),
    "too old": (f"instance={STALE}", None, "too_old"),
    "too old twice": (f"instance={STALE}", STALE, "too_old"),
    "too old in the page, new in the header": (f"instance={STALE}", GOOD, None),
    "too old in the header, new in the page": (f"instance={GOOD}", STALE, None),
    "too old, and a forgery": (f"instance={STALE}", GOOD[:-2] + "AA", "forged"),
}


@pytest.mark.parametrize(("query", "header", "expected"), REASONS.values(), ids=REASONS)
async def test_refused_caller_is_told_the_reason(
    query: str, header: str | None, expected: str | None
) -> None:
    """Each refusal has its reason, and a new instance makes up for an old one of its site (R53)."""
    assert expected == await refused_for(caller(query, header))


BESIDE_STALE = [(SITE, None), ("site-9", "two_sites"), (None, "too_old"), ("", "too_old")]


@pytest.mark.parametrize(("found", "expected"), BESIDE_STALE)
@pytest.mark.parametrize("is_async", [False, True])
async def test_app_may_know_the_site_of_an_old_page(
    found: str | None, expected: str | None, is_async: bool
) -> None:
    """Beside an instance that is merely too old, `resolve_identity` may name its site (R53)."""
    resolve = returning_later(found) if is_async else returning(found)
    asked = caller(f"instance={STALE}", resolve=resolve)

    assert expected == await refused_for(asked)
    assert (None if expected or is_async else Identity(SITE)) == asked.identity


@pytest.mark.parametrize("change", [{"permissions": None}, {"aid": "visitor-1"}])
async def test_app_has_no_say_beside_another_refusal(change: dict[str, Any]) -> None:
    """Beside an instance that is refused for more than its age, the app is not asked (R53)."""
    value = sign({**CLAIMS, "signDate": "2020-01-01T00:00:00.000Z", **change})

    assert await outcome(caller(f"instance={value}", resolve=returning(SITE))) is None


FOUND = [("site-9", "site-9"), (Identity("site-9"), "site-9"), (None, None), ("", None)]


@pytest.mark.parametrize(("found", "expected"), FOUND)
async def test_app_says_who_is_calling(found: Any, expected: str | None) -> None:
    """Where there is no signed instance, `resolve_identity` names a site or nobody."""
    assert expected == await outcome(caller(resolve=returning(found)))


@pytest.mark.parametrize(("found", "expected"), FOUND)
async def test_app_says_who_is_calling_after_a_while(found: Any, expected: str | None) -> None:
    """An async `resolve_identity` is asked by `identify`, and `identity` does not wait for it."""
    asked = caller(resolve=returning_later(found))
    try:
        identity: Identity | None = await asked.identify()
    except Unauthenticated:
        identity = None

    assert expected == (identity and identity.instance_id)
    assert asked.identity is None


async def test_coroutine_that_is_not_waited_for_is_closed() -> None:
    """A plain function that returns a coroutine is asked by `identify`, without a warning else."""
    later = returning_later("site-9")

    def resolve(connection: HTTPConnection) -> Awaitable[Any]:
        return later(connection)

    asked = caller(resolve=resolve)

    assert asked.identity is None
    assert Identity("site-9") == await asked.identify()


class Later:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Any:
        yield from ()
        return "site-9"


async def test_any_awaitable_is_waited_for() -> None:
    """`resolve_identity` may return any awaitable."""
    asked = caller(resolve=returning(Later()))

    assert asked.identity is None
    assert Identity("site-9") == await asked.identify()


async def test_resolve_gets_the_connection() -> None:
    """`resolve_identity` is called with the request: its headers, cookies and query."""
    seen: list[HTTPConnection] = []
    asked = caller("a=1", "Bearer session", resolve=seen.append)

    assert await outcome(asked) is None
    assert [("Bearer session", "1")] * 2 == [
        (connection.headers["authorization"], connection.query_params["a"]) for connection in seen
    ]


async def test_resolve_that_refuses_means_nobody() -> None:
    """Where `resolve_identity` raises Unauthenticated, nobody is calling."""

    def refuse(connection: HTTPConnection) -> None:
        raise Unauthenticated

    assert await outcome(caller(resolve=refuse)) is None


@pytest.mark.parametrize(
    "query", ["instance=forged", f"instance={GOOD}&instance={GOOD}"], ids=["forged", "twice"]
)
async def test_forged_instance_is_final(query: str) -> None:
    """After a forgery the app's own function is not asked (R41, R47)."""
    asked = caller(query, resolve=returning(SITE))

    assert await outcome(asked) is None


async def test_signed_instance_wins_over_resolve() -> None:
    """A genuine signed instance goes before the answer of the app's own function."""
    assert SITE == await outcome(caller(f"instance={GOOD}", resolve=returning("site-9")))


async def test_known_caller_is_the_one_named() -> None:
    """A client for a named installation is never anybody else."""
    known = KnownCaller(SITE)

    assert known.identity == await known.identify() == Identity(SITE)
