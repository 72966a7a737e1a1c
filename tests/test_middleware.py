"""The middleware: however it is put in front of an app, all but its own paths passes through."""

from __future__ import annotations

import copy
import hashlib
import re
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest
from clients import install
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from support import PUBLIC_URL, SITE, make_app, make_wix

from wix_asgi import (
    BackendNotFound,
    SettingsError,
    StorageUnavailable,
    Wix,
    WixClient,
    WixMiddleware,
    get_wix,
    middleware as middleware_module,
    wix as wix_module,
)
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

ENVIRONMENT = {
    "WIX_APP_ID": "app-1",
    "WIX_APP_SECRET": "test-app-secret-number-one",
    "WIX_PUBLIC_URL": PUBLIC_URL,
    "WIX_STORAGE": "memory://",
}
INSTALL, CALLBACK = "/wix/install", "/wix/callback"
MEGABYTE = 1024 * 1024


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set all that is required in the environment."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


class Probe:
    """An ASGI app that answers 204, and keeps what it was called with."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})


def http_scope(path: str, **more: Any) -> Scope:
    """Return the scope of a GET, as servers make it."""
    return {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"app.example.com")],
        **more,
    }


async def call(app: Any, scope: Scope) -> list[Message]:
    """Call `app` with an empty body; return what it sends."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def is_ours(app: Any, scope: Scope) -> bool:
    """Whether the middleware answers this scope itself."""
    return 204 != (await call(app, scope))[0]["status"]


WAYS: dict[str, Callable[[Any, Wix], Any]] = {
    "wrap": lambda app, wix: WixMiddleware(app, wix),
    "add_middleware": lambda app, wix: app.add_middleware(WixMiddleware, wix) or app,
    "Middleware": lambda app, wix: Starlette(
        routes=app.routes, middleware=[Middleware(WixMiddleware, wix)]
    ),
    "Mount": lambda app, wix: Starlette(routes=[Mount("/", app=WixMiddleware(app, wix))]),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_is_the_same(way: Callable[[Any, Wix], Any]) -> None:
    """However it is added, it answers its paths, and routes have the caller's client."""
    fake = FakeWix()
    wix = make_wix(fake)
    anyio.run(install, wix, fake)
    app = way(make_app(), wix)
    with TestClient(app, base_url=PUBLIC_URL, follow_redirects=False) as browser:
        statuses = [browser.get(path).status_code for path in (INSTALL, CALLBACK, "/plain", "/no")]
        echo = browser.get("/echo", params={"instance": fake.signed_instance(SITE)})

    assert [303, 400, 200, 404] == statuses
    assert SITE == echo.json()["instanceId"]


def test_environment_is_enough(environment: None) -> None:
    """With the variables set, `WixMiddleware(app)` is all there is to it."""
    wrapped = WixMiddleware(make_app())
    added = make_app()
    added.add_middleware(WixMiddleware)
    for app in (wrapped, added):
        browser = TestClient(app, base_url=PUBLIC_URL, follow_redirects=False)

        assert 303 == browser.get(INSTALL).status_code
    assert "app-1" == wrapped.wix.settings.app_id


def test_keywords_win_over_the_environment(environment: None) -> None:
    """Keywords are those of Wix."""
    app = WixMiddleware(make_app(), install_path="/begin", app_id="app-2")
    browser = TestClient(app, base_url=PUBLIC_URL, follow_redirects=False)

    assert [303, 404] == [browser.get(path).status_code for path in ("/begin", INSTALL)]
    assert "app-2" == app.wix.settings.app_id


def test_wix_and_keywords_are_a_mistake() -> None:
    """A Wix that was made before takes no keywords: they would be ignored."""
    with pytest.raises(TypeError, match="not both"):
        WixMiddleware(make_app(), make_wix(FakeWix()), finish_setup=True)


def test_wrong_settings_stop_it_at_once() -> None:
    """A wrapper with wrong settings is not made; the error names each of them (R47)."""
    with pytest.raises(SettingsError) as caught:
        WixMiddleware(make_app())

    assert all(name in str(caught.value) for name in ("WIX_APP_ID", "WIX_PUBLIC_URL"))


def star() -> Starlette:
    """Return a Starlette app with a route."""
    return make_app()


def api() -> FastAPI:
    """Return a FastAPI app with a route."""
    app = FastAPI()

    @app.get("/plain")
    async def plain() -> str:
        return "plain"

    return app


async def start(app: Any) -> list[Message]:
    """Begin the lifespan of `app`, as a server does; return what it sends."""
    return await call_lifespan(app, ["lifespan.startup"])


async def call_lifespan(app: Any, messages: list[str]) -> list[Message]:
    """Run the lifespan of `app` with these messages."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": messages.pop(0)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return sent


@pytest.mark.parametrize("make", [star, api])
async def test_wrong_settings_stop_the_server(make: Callable[[], Any]) -> None:
    """Where the framework makes it during the start, the server hears why it cannot (R47)."""
    app = make()
    app.add_middleware(WixMiddleware, public_url="nonsense")
    sent = await start(app)

    assert ["lifespan.startup.failed"] == [message["type"] for message in sent]
    assert "WIX_APP_ID" in sent[0]["message"]
    assert "public_url" in sent[0]["message"]


@pytest.mark.parametrize("make", [star, api])
def test_wrong_settings_without_a_lifespan_serve_nothing(make: Callable[[], Any]) -> None:
    """With the lifespan off each request fails, and none gets through to the app (R47)."""
    app = make()
    app.add_middleware(WixMiddleware)
    quiet, loud = TestClient(app, raise_server_exceptions=False), TestClient(app)
    answers = [quiet.get(path) for path in ("/plain", INSTALL, CALLBACK)]
    depths = []
    for _ in range(3):
        with pytest.raises(SettingsError, match="WIX_APP_ID") as caught:
            loud.get("/plain")
        depths.append(len(caught.traceback))

    assert [500, 500, 500] == [answer.status_code for answer in answers]
    assert 1 == len(set(depths))


def find_no_driver(url: str) -> Any:
    """Be an installation without the driver of a storage."""
    raise BackendNotFound("The storage backend needs the module 'nodriver'.")


async def test_missing_driver_stops_the_server(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is missing is told like a wrong setting (R47)."""
    monkeypatch.setattr(wix_module, "open_storage", find_no_driver)
    app = make_app()
    app.add_middleware(WixMiddleware)
    sent = await start(app)
    with pytest.raises(BackendNotFound, match="nodriver"):
        WixMiddleware(make_app())

    assert ["lifespan.startup.failed"] == [message["type"] for message in sent]
    assert "nodriver" in sent[0]["message"]


def test_where_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of a short stack nobody is building: it does not look beyond."""
    assert not middleware_module._is_built_late()

    class Frame:
        """The first frame of a thread."""

        f_back = None
        f_code = _code_of(test_where_it_is_built)

    monkeypatch.setattr(middleware_module.sys, "_getframe", lambda depth: Frame())
    assert not middleware_module._is_built_late()


def _code_of(function: Any) -> Any:
    return function.__code__


def test_attributes_are_the_apps() -> None:
    """`app = WixMiddleware(FastAPI())` goes on being a FastAPI app: `@app.get` and all."""
    fake = FakeWix()
    app = WixMiddleware(FastAPI(title="Mine"), make_wix(fake))

    @app.get("/who")
    async def who(request: Request) -> str:
        return (await get_wix(request).identify()).instance_id

    app.state.mine = 1
    answer = TestClient(app).get("/who", params={"instance": fake.signed_instance(SITE)})

    assert SITE == answer.json()
    assert ("Mine", 1) == (app.title, app.app.state.mine)


@pytest.mark.parametrize("name", ["nonsense", "_private", "__wrapped__"])
def test_missing_attributes_are_missing(name: str) -> None:
    """What the app does not have either, or keeps to itself, is an AttributeError."""
    app = WixMiddleware(make_app(), make_wix(FakeWix()))
    with pytest.raises(AttributeError, match=name):
        getattr(app, name)


def test_half_made_middleware_does_not_loop() -> None:
    """An instance without an app, as copy makes one, misses its attributes and no more."""
    for name in ("app", "wix", "anything"):
        with pytest.raises(AttributeError):
            getattr(WixMiddleware.__new__(WixMiddleware), name)


@pytest.fixture
def probe() -> Probe:
    """Return an app that sees what comes through."""
    return Probe()


@pytest.fixture
def guarded(probe: Probe) -> WixMiddleware:
    """Return the probe behind the middleware."""
    return WixMiddleware(probe, make_wix(FakeWix()))


OWN_SCOPES = {
    "plain": http_scope(INSTALL),
    "callback": http_scope(CALLBACK),
    "raw path": http_scope(INSTALL, raw_path=b"/wix/install"),
    "raw path with a query": http_scope(INSTALL, raw_path=b"/wix/install?token=%2F"),
    "empty root": http_scope(INSTALL, root_path=""),
    "root and full path": http_scope("/sub/wix/install", root_path="/sub"),
    "root, full path, full raw": http_scope(
        "/sub/wix/install", root_path="/sub", raw_path=b"/sub/wix/install"
    ),
    "root, full path, raw without": http_scope(
        "/sub/wix/install", root_path="/sub", raw_path=b"/wix/install"
    ),
    "root and path without": http_scope(INSTALL, root_path="/sub"),
    "root and path without, raw": http_scope(INSTALL, root_path="/sub", raw_path=b"/wix/install"),
    "two roots": http_scope("/a/b/wix/install", root_path="/a/b"),
    "root of escapes": http_scope(
        "/caf\xe9/wix/install", root_path="/caf\xe9", raw_path=b"/caf%C3%A9/wix/install"
    ),
    "hostile Host": http_scope(INSTALL, headers=[(b"host", b"evil.example/x?y=#")]),
    "no Host": http_scope(INSTALL, headers=[]),
    "HEAD": {**http_scope(INSTALL), "method": "HEAD"},
    "POST": {**http_scope(INSTALL), "method": "POST"},
}


@pytest.mark.parametrize("scope", OWN_SCOPES.values(), ids=OWN_SCOPES)
async def test_own_paths(guarded: WixMiddleware, probe: Probe, scope: Scope) -> None:
    """Its paths are its own below any mount, as servers and frameworks write them (R45)."""
    assert await is_ours(guarded, copy.deepcopy(scope))
    assert [] == probe.scopes


OTHER_PATHS = [
    "",
    "/",
    "*",
    "wix/install",
    "/wix",
    "/wix/",
    "/wix/install/",
    "/wix/install/x",
    "/wix/installs",
    "/wix/instal",
    "/Wix/install",
    "/WIX/INSTALL",
    "/wix/İnstall",
    "//wix/install",
    "/wix//install",
    "/./wix/install",
    "/wix/./install",
    "/wix/../wix/install",
    "/x/../wix/install",
    "/wix/install;x",
    "/wix;x/install",
    "/wix/install?x",
    "/wix/install#x",
    "/wix/install\0",
    "/wix/install ",
    " /wix/install",
    "/wix/install\n",
    "/wix/install%20",
    "/wix%2Finstall",
    "\\wix\\install",
    "/wix\\install",
    "/sub/wix/install",
    "@evil.example/wix/install",
    "https://app.example.com/wix/install",
    "//app.example.com/wix/install",
]


@pytest.mark.parametrize("path", OTHER_PATHS)
@pytest.mark.parametrize("root_path", ["", "/sub/x"])
async def test_other_paths_are_the_apps(guarded: WixMiddleware, path: str, root_path: str) -> None:
    """What is not exactly its path is the app's (R45)."""
    assert not await is_ours(guarded, http_scope(path, root_path=root_path))


RAW_PATHS = [
    b"/wix%2Finstall",
    b"/wix%2finstall",
    b"/%77ix/install",
    b"/wix/%69nstall",
    b"/wix/install%00",
    b"/wix/install%20",
    b"/wix/./install",
    b"/wix//install",
    b"//wix/install",
    b"/x/../wix/install",
    b"/wix/install;x",
    b"/wix/install/",
    b"/WIX/install",
    b"https://app.example.com/wix/install",
    b"//app.example.com/wix/install",
    b"*",
    b"",
    b"?/wix/install",
    b"/sub/wix/install",
    b"/wix/install\xff",
]


@pytest.mark.parametrize("raw_path", RAW_PATHS)
@pytest.mark.parametrize("root_path", ["", "/other"])
async def test_other_spellings_are_the_apps(
    guarded: WixMiddleware, raw_path: bytes, root_path: str
) -> None:
    """A target that only unescapes to its path, or is another form of it, is the app's (R45)."""
    scope = http_scope(INSTALL, raw_path=raw_path, root_path=root_path)

    assert not await is_ours(guarded, scope)


@pytest.mark.parametrize(
    ("root_path", "path"),
    [
        ("/sub", "/subwix/install"),
        ("/sub", "/sub2/wix/install"),
        ("/sub", "/Sub/wix/install"),
        ("/sub", "/x/sub/wix/install"),
        ("/sub", "/sub/sub/wix/install"),
        ("/sub/", "/sub/x/wix/install"),
        ("/wix", "/wix/installx"),
        ("/wix/install", "/wix/install/"),
    ],
)
async def test_mount_ends_at_a_segment(guarded: WixMiddleware, root_path: str, path: str) -> None:
    """A prefix counts at the edge of a segment only (R45)."""
    assert not await is_ours(guarded, http_scope(path, root_path=root_path))


def test_mounted_app() -> None:
    """An app that is mounted with its middleware answers below its mount, without a lifespan."""
    fake = FakeWix()
    wix = make_wix(fake, public_url=f"{PUBLIC_URL}/sub")
    anyio.run(install, wix, fake)
    anyio.run(wix.aclose)
    inner = make_app()
    inner.add_middleware(WixMiddleware, wix)
    app = Starlette(routes=[Mount("/sub", app=inner)])
    browser = TestClient(app, base_url=PUBLIC_URL, follow_redirects=False)
    paths = ("/sub/wix/install", "/wix/install", "/sub/sub/wix/install", "/sub/plain")
    statuses = [browser.get(path).status_code for path in paths]
    echo = browser.get("/sub/echo", params={"instance": fake.signed_instance(SITE)})

    assert [303, 404, 404, 200] == statuses
    assert SITE == echo.json()["instanceId"]


def test_behind_a_prefix() -> None:
    """With the server's `root_path`, as a proxy needs it, its paths are below the prefix."""
    app = WixMiddleware(make_app(), make_wix(FakeWix()))
    browser = TestClient(app, base_url=PUBLIC_URL, root_path="/sub", follow_redirects=False)

    assert [303, 303, 200] == [
        browser.get(path).status_code for path in ("/sub/wix/install", INSTALL, "/sub/plain")
    ]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("state", [{}, {"state": {"mine": [1]}}])
async def test_scope_of_the_server_is_untouched(
    guarded: WixMiddleware, probe: Probe, kind: str, state: dict[str, Any]
) -> None:
    """The app gets a copy of scope and state with its client; the server's stay as they are."""
    scope = {**http_scope("/x", root_path="/sub", raw_path=b"/x"), "type": kind, **state}
    before = copy.deepcopy(scope)
    await call(guarded, scope)
    (inner,) = probe.scopes
    client = inner["state"].pop("wix")

    assert before == scope
    assert {"state": {}, **before} == inner
    assert isinstance(client, WixClient)
    assert inner is not scope
    assert inner["state"] is not scope.get("state")
    assert all(inner[name] is scope[name] for name in scope if name != "state")


async def test_each_request_has_its_own_client(guarded: WixMiddleware, probe: Probe) -> None:
    """Requests that share the server's state share no client (R40)."""
    state: dict[str, Any] = {}
    for _ in range(2):
        await call(guarded, http_scope("/x", state=state))
    one, other = (scope["state"]["wix"] for scope in probe.scopes)

    assert one is not other
    assert {} == state


@pytest.mark.parametrize("kind", ["lifespan2", "http3.datagram", ""])
async def test_unknown_scopes_pass(guarded: WixMiddleware, probe: Probe, kind: str) -> None:
    """A scope of a type to come passes as the very object it is (R46)."""
    scope = {"type": kind, "path": INSTALL}
    await call(guarded, scope)

    assert probe.scopes[0] is scope
    assert {"type": kind, "path": INSTALL} == scope


async def test_receive_and_send_are_the_servers() -> None:
    """Nothing is put between the app and the server: no body is read, no header added (R46)."""
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend((receive, send))

    async def receive() -> Message:
        raise AssertionError("nobody reads")

    async def send(message: Message) -> None:
        raise AssertionError("nobody answers")

    await WixMiddleware(app, make_wix(FakeWix()))(http_scope("/x"), receive, send)

    assert [receive, send] == seen


async def test_websocket_on_an_own_path_is_the_apps(guarded: WixMiddleware, probe: Probe) -> None:
    """The handshake is HTTP: a websocket on one of its paths passes."""
    await call(guarded, {**http_scope(INSTALL), "type": "websocket"})

    assert 1 == len(probe.scopes)


async def talk(websocket: WebSocket) -> None:
    """Answer each message with what Wix says to it."""
    await websocket.accept()
    async for text in websocket.iter_text():
        answer = await get_wix(websocket).post("/x", json=text)
        await websocket.send_json(answer.json()["body"])


def test_websocket_has_a_client() -> None:
    """A websocket can call Wix for as long as it is open."""
    fake = FakeWix()
    wix = make_wix(fake)
    anyio.run(install, wix, fake)
    app = WixMiddleware(Starlette(routes=[WebSocketRoute("/ws", talk)]), wix)
    url = f"/ws?instance={fake.signed_instance(SITE)}"
    with TestClient(app) as browser, browser.websocket_connect(url) as websocket:
        answers = []
        for text in ("one", "two"):
            websocket.send_text(text)
            answers.append(websocket.receive_json())

    assert ["one", "two"] == answers


async def test_streams_flow_both_ways() -> None:
    """Each chunk passes as it comes: the answer to the first is there before the second."""
    order: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})
            if not more:
                return

    async def receive() -> Message:
        number = len(order) // 2
        order.append(f"in {number}")
        return {"type": "http.request", "body": b"%d" % number, "more_body": number < 2}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            order.append(f"out {message['body'].decode()}")

    await WixMiddleware(app, make_wix(FakeWix()))(http_scope("/x"), receive, send)

    assert ["in 0", "out 0", "in 1", "out 1", "in 2", "out 2"] == order


async def digest(request: Request) -> Response:
    """Answer the digest of a body of any size."""
    sha = hashlib.sha256()
    async for chunk in request.stream():
        sha.update(chunk)
    return PlainTextResponse(sha.hexdigest())


async def test_upload_of_100_megabytes_in_bounded_memory() -> None:
    """A large upload goes through in chunks, and is never held (R46)."""
    chunk = b"x" * MEGABYTE
    left = 100

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": chunk + b"", "more_body": left > 0}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    app = WixMiddleware(Starlette(routes=[Route("/x", digest)]), make_wix(FakeWix()))
    tracemalloc.start()
    try:
        await app(http_scope("/x"), receive, send)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert hashlib.sha256(chunk * 100).hexdigest().encode() == sent[1]["body"]
    assert peak < 10 * MEGABYTE


async def events() -> AsyncIterator[str]:
    """Be a stream of server-sent events."""
    for number in range(5):
        yield f"data: {number}\n\n"


async def fail(request: Request) -> Response:
    """Fail as the storage does."""
    raise StorageUnavailable("The test database is down.")


def various() -> Starlette:
    """Return an app that answers in many ways."""
    headers = {"Set-Cookie": "a=1", "X-Frame-Options": "DENY", "Cache-Control": "public"}
    return Starlette(
        routes=[
            Route("/plain", lambda _: PlainTextResponse("plain", headers=headers)),
            Route("/empty", lambda _: Response(status_code=204)),
            Route("/bytes", lambda _: Response(bytes(range(256)) * 100)),
            Route("/sse", lambda _: StreamingResponse(events(), media_type="text/event-stream")),
            Route("/wix/other", lambda _: PlainTextResponse("not ours")),
            Route("/digest", digest, methods=["POST", "PUT"]),
            Route("/down", fail),
        ]
    )


def requests() -> Iterator[httpx.Request]:
    """Yield 500 requests."""
    paths = ("/plain", "/empty", "/bytes", "/sse", "/wix/other", "/digest", "/down", "/none", "/")
    for number in range(500):
        path = paths[number % len(paths)]
        method = ("GET", "POST", "HEAD", "OPTIONS", "PUT")[number % 5]
        url = f"{PUBLIC_URL}{path}?number={number}&instance=x"
        yield httpx.Request(method, url, content=b"x" * number, headers={"Cookie": f"a={number}"})


async def test_answers_are_the_same_bytes() -> None:
    """500 answers of an app are the same with and without the middleware (R46)."""
    bare = httpx.ASGITransport(various())
    behind = httpx.ASGITransport(WixMiddleware(various(), make_wix(FakeWix())))
    different = []
    for request in requests():
        answers = [await transport.handle_async_request(request) for transport in (bare, behind)]
        seen = [
            (answer.status_code, answer.headers.raw, await answer.aread()) for answer in answers
        ]
        if seen[0] != seen[1]:
            different.append((request.url, seen))

    assert [] == different


def test_errors_are_answered_by_the_framework() -> None:
    """Nobody is 401, not installed is 403, and what is down is 503 with Retry-After."""
    fake = FakeWix()
    wix = make_wix(fake)
    anyio.run(install, wix, fake)
    app = WixMiddleware(make_app(), wix)
    with TestClient(app) as browser:
        nobody = browser.get("/echo")
        forged = browser.get("/echo", params={"instance": "forged.instance"})
        unknown = browser.get("/echo", params={"instance": fake.signed_instance("site-unknown")})
        fake.expire_access_tokens()
        fake.fail("/oauth/access", status=503, times=None)
        down = browser.get("/echo", params={"instance": fake.signed_instance(SITE)})
        wix.storage.get = _raise  # type: ignore[method-assign] # a database that is down
        lost = browser.get("/echo", params={"instance": fake.signed_instance("site-2")})

    answers = (nobody, forged, unknown, down, lost)
    assert [401, 401, 403, 503, 503] == [answer.status_code for answer in answers]
    assert all(re.fullmatch(r"[1-9][0-9]*", one.headers["Retry-After"]) for one in (down, lost))
    assert "Retry-After" not in nobody.headers


async def _raise(app_id: str, instance_id: str) -> None:
    raise StorageUnavailable("The test database is down.")


def test_given_wix_that_is_open_stays_open() -> None:
    """A Wix that its owner has opened is not closed with the app."""
    wix = make_wix(FakeWix())
    anyio.run(wix.open)
    with TestClient(WixMiddleware(make_app(), wix)) as browser:
        browser.get("/plain")

    assert wix.is_open
