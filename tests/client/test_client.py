"""The client: an httpx.AsyncClient in all it does, and built on first use."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.client.clients import API, Internet, install, installed
from tests.support import SITE, make_wix
from wix_asgi import Identity, MiddlewareMissing, Unauthenticated, WixClient, get_wix
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix


def is_built(client: WixClient) -> bool:
    """Whether the httpx part is there."""
    return bool(vars(client))


@pytest.fixture
def fake() -> FakeWix:
    """Return a Wix at the real one's address."""
    return FakeWix(url=API)


def request_client(fake: FakeWix, query: str = "", **options: Any) -> WixClient:
    """Return the client of a request with this query."""
    scope = {"type": "http", "query_string": query.encode(), "headers": []}
    client: WixClient = make_wix(fake, **options).clients.for_request(scope)
    return client


async def test_client_is_an_httpx_client_from_the_start(fake: FakeWix) -> None:
    """It is an AsyncClient before and after its httpx part is built, which its first use does."""
    async with installed(fake) as (_, client):
        before = isinstance(client, httpx.AsyncClient), is_built(client)
        answer = await client.get("/x")
        after = isinstance(client, httpx.AsyncClient), is_built(client)

    assert ((True, False), (True, True)) == (before, after)
    assert 200 == answer.status_code


def test_unused_client_is_not_built(fake: FakeWix) -> None:
    """To show it, to look for its type or for its identity builds nothing."""
    client = request_client(fake, f"instance={fake.signed_instance(SITE)}")

    assert "<WixClient>" == repr(client)
    assert client.identity is not None
    assert SITE == client.identity.instance_id
    assert not is_built(client)


def test_missing_attribute_is_missing(fake: FakeWix) -> None:
    """An attribute that httpx does not have either is an AttributeError that names it."""
    client = request_client(fake)
    for _ in range(2):
        with pytest.raises(AttributeError, match="'WixClient' object has no attribute 'nonsense'"):
            _ = client.nonsense


def test_error_of_the_apps_function_is_shown(fake: FakeWix) -> None:
    """An AttributeError within `resolve_identity` is not taken for a missing attribute."""

    def resolve(connection: HTTPConnection) -> str:
        return connection.nonsense  # type: ignore[attr-defined,no-any-return] # a mistake

    client = request_client(fake, resolve_identity=resolve)
    with pytest.raises(AttributeError, match="'HTTPConnection' object has no attribute 'nonsense'"):
        _ = client.identity


async def ignore(_: Any) -> None:
    """Be an event hook that does nothing."""


SET_EARLY: dict[str, tuple[Any, Callable[[WixClient], Any]]] = {
    "headers": ({"x-mine": "1"}, lambda client: client.headers["x-mine"]),
    "timeout": (7.0, lambda client: client.timeout.read),
    "follow_redirects": (True, lambda client: client.follow_redirects),
    "max_redirects": (3, lambda client: client.max_redirects),
    "cookies": ({"mine": "1"}, lambda client: client.cookies["mine"]),
    "params": ({"mine": "1"}, lambda client: client.params["mine"]),
    "event_hooks": ({"request": [ignore]}, lambda client: client.event_hooks["request"]),
    "base_url": ("https://other.example/api/", lambda client: str(client.base_url)),
    "trust_env": (None, lambda client: client.trust_env),
}


@pytest.mark.parametrize("name", SET_EARLY)
async def test_early_setting_survives(fake: FakeWix, name: str) -> None:
    """An attribute that is set before the first use holds after it."""
    value, read = SET_EARLY[name]
    client = request_client(fake)
    if value is not None:
        setattr(client, name, value)
    was_built = is_built(client) and "_built" in vars(client)
    early = read(client)
    _ = client.auth

    assert not was_built
    assert early == read(client)
    if value is not None:
        assert early in (value, *(value.values() if isinstance(value, dict) else ()))


async def test_early_setting_is_sent(fake: FakeWix) -> None:
    """Headers, cookies and params that are set before the first use go with each call."""
    seen: list[str] = []

    async def note(request: httpx.Request) -> None:
        seen.append(request.url.path)

    async with installed(fake) as (_, client):
        client.headers = httpx.Headers({"x-mine": "1"})
        client.cookies = httpx.Cookies({"mine": "2"})
        client.params = httpx.QueryParams({"mine": "3"})
        client.event_hooks = {"request": [note]}
        echo = (await client.get("/x")).json()

    assert {"x-mine": "1", "cookie": "mine=2"}.items() <= echo["headers"].items()
    assert {"mine": "3"} == echo["query"]
    assert ["/x"] == seen


@pytest.mark.parametrize("method", ["get", "options", "head", "delete", "post", "put", "patch"])
async def test_every_verb(fake: FakeWix, method: str) -> None:
    """All methods of httpx work, as the calling site."""
    async with installed(fake) as (_, client):
        answer = await getattr(client, method)("/x", params={"a": "1"})

    assert (200, method.upper()) == (answer.status_code, answer.request.method)
    assert method == "head" or SITE == answer.json()["instanceId"]


async def test_request_and_stream(fake: FakeWix) -> None:
    """`request` and `stream` work, and a stream is read as it comes."""
    async with installed(fake) as (_, client):
        plain = await client.request("GET", "/x")
        async with client.stream("POST", "/echo", json={"a": 1}) as streamed:
            body = b"".join([chunk async for chunk in streamed.aiter_bytes()])

    assert "/x" == plain.json()["path"]
    assert {"a": 1} == json.loads(body)["body"]


async def test_same_request_twice(fake: FakeWix) -> None:
    """A request that is built once may be sent again, also with another token."""
    async with installed(fake) as (_, client):
        request = client.build_request("GET", "/x")
        answers = [await client.send(request)]
        fake.expire_access_tokens()
        answers += [await client.send(request), await client.send(request)]

    assert [200, 200, 200] == [answer.status_code for answer in answers]
    assert 4 == fake.count("/x")


async def test_request_of_another_make(fake: FakeWix) -> None:
    """A plain httpx.Request to Wix is sent with the token, too."""
    async with installed(fake) as (_, client):
        answer = await client.send(httpx.Request("GET", f"{API}/x"))

    assert SITE == answer.json()["instanceId"]


async def test_closing_leaves_the_pool(fake: FakeWix) -> None:
    """The client's end, by `async with` or `aclose`, is not that of the pool."""
    internet = Internet(fake)
    async with installed(fake, transport=internet) as (wix, client):
        async with client as same:
            await same.get("/x")
        other = wix.client(SITE)
        await other.aclose()
        third = await wix.client(SITE).get("/x")

    assert same is client
    assert client.is_closed
    assert other.is_closed
    assert 200 == third.status_code
    assert not internet.closed


async def test_closed_client_is_closed(fake: FakeWix) -> None:
    """As with httpx, a client that was closed is not used again."""
    async with installed(fake) as (_, client):
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.get("/x")


@pytest.mark.parametrize("use", [False, True])
def test_no_cycle_keeps_the_scope(fake: FakeWix, use: bool) -> None:
    """A request is freed by its last reference: client and scope are in no cycle."""

    class Scope(dict[str, Any]):
        """A dict that can be watched."""

    scope = Scope(type="http", query_string=b"", headers=[])
    factory = make_wix(fake).clients
    state = {"wix": factory.for_request(scope)}
    inner = Scope(scope, state=state)
    if use:
        _ = state["wix"].headers
    alive = weakref.ref(scope), weakref.ref(inner), weakref.ref(state["wix"])
    gc.collect()
    gc.disable()
    try:
        del scope, inner, state
        left = [reference() for reference in alive]
    finally:
        gc.enable()

    assert [None, None, None] == left


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy])
def test_client_is_not_copied(fake: FakeWix, copying: Callable[[object], object]) -> None:
    """A client cannot be pickled or copied, and says to pass the instance id instead."""
    with pytest.raises(TypeError, match="pass the instance id"):
        copying(request_client(fake))


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        (API, "/stores/v1/products", f"{API}/stores/v1/products"),
        (API, "stores", f"{API}/stores"),
        (API, "", f"{API}/"),
        (f"{API}/", "/x?a=1", f"{API}/x?a=1"),
        ("http://127.0.0.1:9", "/x", "http://127.0.0.1:9/x"),
        ("http://127.0.0.1:9/fake", "/x", "http://127.0.0.1:9/fake/x"),
    ],
)
def test_base_url(fake: FakeWix, base: str, path: str, expected: str) -> None:
    """Relative paths are under `api_url`."""
    client = request_client(fake, api_url=base)

    assert expected == str(client.build_request("GET", path).url)


async def test_environment_is_not_used(fake: FakeWix, monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the environment gets to see a token (R39)."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with installed(fake) as (_, client):
        answer = await client.get("/x")

    assert 200 == answer.status_code
    assert not client.trust_env


async def test_cookies_are_not_shared(fake: FakeWix) -> None:
    """A cookie that one client gets is sent by that client alone."""
    internet = Internet(
        fake, lambda _: httpx.Response(200, headers={"Set-Cookie": "session=site-1; Path=/"})
    )
    async with installed(fake, transport=internet) as (wix, client):
        await client.get("https://elsewhere.example/")
        await client.get("https://elsewhere.example/")
        await wix.client(SITE).get("https://elsewhere.example/")

    sent = [request.headers.get("Cookie") for request in internet.requests]
    assert [None, "session=site-1", None] == sent


async def test_identity_agrees_with_identify(fake: FakeWix) -> None:
    """`identity` says at once the same as `identify` says after a while."""
    known = request_client(fake, f"instance={fake.signed_instance(SITE)}")
    nobody = request_client(fake)

    assert known.identity == await known.identify()
    assert nobody.identity is None
    with pytest.raises(Unauthenticated):
        await nobody.identify()


async def test_resolve_identity_names_the_site(fake: FakeWix) -> None:
    """The client works for the site that `resolve_identity` finds in the request."""

    async def resolve(connection: HTTPConnection) -> Identity | None:
        site = connection.query_params.get("site")
        return Identity(site) if site else None

    async with make_wix(fake, resolve_identity=resolve) as wix:
        await install(wix, fake)
        scope = {"type": "http", "query_string": f"site={SITE}".encode(), "headers": []}
        client = wix.clients.for_request(scope)
        answer = await client.get("/x")
        identity = client.identity, await client.identify()

    assert SITE == answer.json()["instanceId"]
    assert (None, Identity(SITE)) == identity


@pytest.mark.parametrize("state", [{}, {"state": {}}, {"state": {"wix": "another thing"}}])
def test_missing_middleware_says_how_to_add_it(state: dict[str, Any]) -> None:
    """Without the middleware `get_wix` says how to add it."""
    with pytest.raises(MiddlewareMissing, match=r"app\.add_middleware"):
        get_wix(HTTPConnection({"type": "http", **state}))


def test_get_wix_returns_the_client(fake: FakeWix) -> None:
    """With the middleware `get_wix` returns the client of the request."""
    client = request_client(fake)

    assert client is get_wix(HTTPConnection({"type": "websocket", "state": {"wix": client}}))


@pytest.mark.parametrize("value", [None, 1, "text", {}, object()])
def test_get_wix_takes_connections_only(value: Any) -> None:
    """A value that is neither a request nor a websocket is refused, with what to pass instead."""
    with pytest.raises(TypeError, match=f"request or websocket .* {type(value).__name__!r}"):
        get_wix(value)
