"""`require_identity` through whole apps: who is let in, how the others are answered, and CORS."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket

from tests.client.clients import install
from tests.middleware.probes import CALLBACK, INSTALL, Probe, call, http_scope
from tests.support import PUBLIC_URL, SITE, Browser, make_wix
from wix_asgi import SettingsError, StorageUnavailable, WixMiddleware, WixMisconfigured
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

_, OTHER, _ = DEMO_SITES
ORIGIN = "https://site.example"


async def who(request: Request) -> Response:
    """Say who is calling."""
    identity = await request.state.wix.identify()
    return JSONResponse({"site": identity.instance_id, "user": identity.user_id})


async def live(websocket: WebSocket) -> None:
    """Accept a websocket."""
    await websocket.accept()
    await websocket.close()


def make_api() -> Starlette:
    """Return an app with a route and a websocket that are protected, and a route that is not."""
    return Starlette(
        routes=[
            Route("/api/who", who),
            WebSocketRoute("/api/live", live),
            Route("/public", lambda _: Response("public")),
        ]
    )


async def ask(app: Any, path: str = "/api/who", method: str = "GET", **headers: str) -> Any:
    """Send a request to `app`, and return its answer."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await http.request(method, path, headers=named)


async def connect(app: Any, query: bytes, **more: Any) -> list[Message]:
    """Open a websocket of `app`, and return what is sent to its client."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/api/live", "query_string": query, "headers": []}
    await app({**scope, **more}, receive, send)
    return sent


@pytest.mark.parametrize("setting", [["/api"], True])
async def test_caller_from_a_site_with_the_app_is_let_in(fake: FakeWix, setting: Any) -> None:
    """A signed instance or an access token of a site that has the app reaches the app."""
    async with make_wix(fake) as wix:
        await install(wix, fake)
        app = WixMiddleware(make_api(), wix, require_identity=setting)
        token = fake.issue_access_token(subject_type="USER", subject_id="user-1")
        answers = [
            await ask(app, authorization=proof)
            for proof in (fake.signed_instance(SITE), token, f"Bearer {token}")
        ]
        public = await ask(app, "/public")

    assert [200] * 3 == [answer.status_code for answer in answers]
    assert {"site": SITE, "user": "user-1"} == answers[1].json() == answers[2].json()
    assert (401 if setting is True else 200) == public.status_code


@pytest.mark.parametrize("accept", ["*/*", "application/json", ""])
async def test_nobody_is_answered_401_before_the_app(
    fake: FakeWix, probe: Probe, accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer says why, no cache keeps it, and its incident is in the log (R47, R58)."""
    caplog.set_level(logging.DEBUG, "wix_asgi")
    async with make_wix(fake) as wix:
        app = WixMiddleware(probe, wix, require_identity=["/api"])
        answer = await ask(app, accept=accept)
    body = answer.json()

    assert (401, 'Wix error="no_identity"') == (
        answer.status_code,
        answer.headers["WWW-Authenticate"],
    )
    assert ("no_identity", {"error", "message", "incident"}) == (body["error"], set(body))
    assert "no-store" == answer.headers["Cache-Control"]
    assert "frame-ancestors https://*.wix.com" in answer.headers["Content-Security-Policy"]
    assert body["incident"] in caplog.text
    assert [] == probe.scopes


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "no_identity"),
        ("OauthNG.JWS.made-up", "forged"),
        ("A" * 43 + ".e30", "forged"),
        ("Bearer eyJhbGciOiJub25lIn0.e30.", "no_identity"),
    ],
)
async def test_browser_is_shown_a_page(fake: FakeWix, authorization: str, code: str) -> None:
    """Whoever accepts HTML sees what to do, and the code (R53, R54)."""
    async with make_wix(fake) as wix:
        app = WixMiddleware(make_api(), wix, require_identity=["/api"])
        answer = await ask(app, accept="text/html,*/*;q=0.8", authorization=authorization)

    assert (401, f'Wix error="{code}"') == (answer.status_code, answer.headers["WWW-Authenticate"])
    assert "text/html; charset=utf-8" == answer.headers["Content-Type"]
    assert f"<code>{code}</code>" in answer.text
    assert "This page opens from Wix" in answer.text


async def test_site_without_the_app_is_answered_403(
    fake: FakeWix, probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    """A token has to be had, as for a call; the log names the site, once (R58)."""
    async with make_wix(fake, recover=False) as wix:
        app = WixMiddleware(probe, wix, require_identity=["/api"])
        proof = fake.signed_instance(OTHER)
        told = await ask(app, authorization=proof)
        page = await ask(app, accept="text/html", authorization=proof)
    lines = [record for record in caplog.records if "not_installed" in record.getMessage()]

    assert (403, "not_installed") == (told.status_code, told.json()["error"])
    assert (403, True) == (page.status_code, "The app is not on this site" in page.text)
    assert "WWW-Authenticate" not in told.headers
    assert 1 == len(lines)
    assert [] == probe.scopes


async def test_token_cache_is_asked_first(fake: FakeWix) -> None:
    """Once a token is in memory, a request costs neither Wix nor the storage a question."""
    async with make_wix(fake) as wix:
        await install(wix, fake)
        app = WixMiddleware(make_api(), wix, require_identity=["/api"])
        proof = fake.signed_instance(SITE)
        first = await ask(app, authorization=proof)
        fake.calls.clear()
        await wix.storage.delete(wix.settings.app_id, SITE)
        second = await ask(app, authorization=proof)

    assert [200, 200] == [first.status_code, second.status_code]
    assert [] == fake.calls


@pytest.mark.parametrize("broken", ["wix", "storage"])
async def test_failure_lets_nobody_in(
    fake: FakeWix, probe: Probe, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Wix or the storage fails, the answer is 503 with Retry-After (R47)."""
    async with make_wix(fake) as wix:
        app = WixMiddleware(probe, wix, require_identity=["/api"])
        proof = fake.signed_instance(SITE)
        if broken == "wix":
            proof = fake.issue_access_token()
            fake.fail("/oauth2/token-info", status=429, headers={"Retry-After": "30"})
        else:

            async def fail(*_: object) -> None:
                raise StorageUnavailable("no disk")

            monkeypatch.setattr(wix.storage, "get", fail)
        answer = await ask(app, authorization=proof)

    assert (503, f"{broken}_unavailable") == (answer.status_code, answer.json()["error"])
    assert 1 <= int(answer.headers["Retry-After"])
    assert [] == probe.scopes


async def test_error_lets_nobody_in(
    fake: FakeWix, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is no answer is raised, and the app is not reached (R47)."""
    async with make_wix(fake) as wix:
        app = WixMiddleware(probe, wix, require_identity=["/api"])

        async def fail(_: str) -> None:
            raise WixMisconfigured

        monkeypatch.setattr(wix.clients.tokens, "get", fail)
        with pytest.raises(WixMisconfigured):
            await ask(app, authorization=fake.signed_instance(SITE))

    assert [] == probe.scopes


async def test_spellings_do_not_reach_the_app(fake: FakeWix, probe: Probe) -> None:
    """Whatever a server makes of a target, the app behind is not reached by it (R58)."""
    async with make_wix(fake) as wix:
        app = WixMiddleware(probe, wix, require_identity=["/api"])
        for raw, path in ((b"/%61pi/x", "/api/x"), (b"//api/x", "//api/x"), (b"/api", "/")):
            await call(app, http_scope(path, raw_path=raw))

    assert [] == probe.scopes


async def test_own_paths_need_no_identity(fake: FakeWix) -> None:
    """An install begins and ends without a caller, whatever is protected."""
    async with make_wix(fake) as wix:
        app = WixMiddleware(make_api(), wix, require_identity=True)
        done = await Browser(app).install(fake)
        begun = await ask(app, INSTALL)
        lost = await ask(app, CALLBACK)

    assert [303, 303, 400] == [done.status_code, begun.status_code, lost.status_code]


@pytest.mark.parametrize("can_answer", [True, False])
async def test_websocket_is_refused_before_it_is_accepted(fake: FakeWix, can_answer: bool) -> None:
    """A stranger's websocket is never open: it is answered 401, or closed with the reason (R58)."""
    async with make_wix(fake) as wix:
        app = WixMiddleware(make_api(), wix, require_identity=["/api"])
        sent = await connect(
            app, b"", extensions={"websocket.http.response": {}} if can_answer else {}
        )
    first = sent[0]

    if can_answer:
        assert ("websocket.http.response.start", 401) == (first["type"], first["status"])
        assert (b"www-authenticate", b'Wix error="no_identity"') in first["headers"]
    else:
        assert ("websocket.close", 1008) == (first["type"], first["code"])
        assert first["reason"].startswith("Nobody is known to be calling")


async def test_websocket_of_a_site_with_the_app_is_accepted(fake: FakeWix) -> None:
    """The proof of a websocket is in its query, as a browser can send it."""
    wix = make_wix(fake)
    await install(wix, fake)
    app = WixMiddleware(make_api(), wix, require_identity=["/api"])
    sent = await connect(app, f"instance={fake.signed_instance(SITE)}".encode())
    await wix.aclose()

    assert ["websocket.accept", "websocket.close"] == [message["type"] for message in sent]


def test_wrong_setting_stops_the_start(fake: FakeWix) -> None:
    """A path that is no list of paths is told when the middleware is made (R47)."""
    wrong: Any = "/api"
    with pytest.raises(SettingsError, match="require_identity"):
        WixMiddleware(make_api(), make_wix(fake), require_identity=wrong)


def cors(app: Any, wix: Any) -> Any:
    """Return the app of docs/callers.md: CORS in front of the middleware."""
    api = WixMiddleware(app, wix, require_identity=["/api"])
    return CORSMiddleware(api, allow_origins=[ORIGIN], allow_headers=["Authorization"])


async def test_front_end_of_another_origin(fake: FakeWix) -> None:
    """A preflight is answered, and the request behind it, refused or not, can be read (R54)."""
    async with make_wix(fake) as wix:
        await install(wix, fake)
        app = cors(make_api(), wix)
        preflight = await ask(
            app,
            method="OPTIONS",
            origin=ORIGIN,
            access_control_request_method="GET",
            access_control_request_headers="authorization",
        )
        token = fake.issue_access_token(subject_type="USER")
        answers = [
            await ask(app, origin=ORIGIN, authorization=authorization)
            for authorization in (token, "", fake.issue_access_token(OTHER))
        ]

    assert 200 == preflight.status_code
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert [200, 401, 403] == [answer.status_code for answer in answers]
    assert [ORIGIN] * 4 == [
        answer.headers["Access-Control-Allow-Origin"] for answer in (preflight, *answers)
    ]


async def test_preflight_reaches_the_app(fake: FakeWix) -> None:
    """An app that answers preflights by itself, behind the middleware, gets them."""
    inner = CORSMiddleware(make_api(), allow_origins=[ORIGIN], allow_headers=["Authorization"])
    async with make_wix(fake) as wix:
        app = WixMiddleware(inner, wix, require_identity=["/api"])
        preflight = await ask(
            app, method="OPTIONS", origin=ORIGIN, access_control_request_method="GET"
        )
        plain = await ask(app, method="OPTIONS", origin=ORIGIN)

    assert [200, 401] == [preflight.status_code, plain.status_code]
    assert ORIGIN == preflight.headers["Access-Control-Allow-Origin"]
