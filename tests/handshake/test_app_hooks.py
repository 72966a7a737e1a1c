"""The app's own functions around an install: their arguments, their responses, their errors."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    CLOSE_WINDOW,
    FlowUnderTest,
    begin,
    call_back,
    cookies_set,
    reason_of,
)
from tests.support import SITE, Browser, make_wix, running, without_add
from wix_asgi import WixClient, WixMiddleware
from wix_asgi.errors import (
    GrantRefused,
    HandshakeRefused,
    Reason,
    StorageUnavailable,
    WixUnavailable,
)
from wix_asgi.hooks import Hook
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import GrantType, Installation
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")

OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"


def noting(seen: list[Any], *, parameters: int, is_async: bool) -> Hook:
    """Return a hook of this form, which notes its arguments."""

    def one(first: object) -> None:
        seen.append((first,))

    def two(first: object, second: object) -> None:
        seen.append((first, second))

    async def async_one(first: object) -> None:
        seen.append((first,))

    async def async_two(first: object, second: object) -> None:
        seen.append((first, second))

    hooks: dict[tuple[int, bool], Hook] = {
        (1, False): one,
        (2, False): two,
        (1, True): async_one,
        (2, True): async_two,
    }
    return hooks[parameters, is_async]


def interrupted(_: object) -> None:
    """Be stopped by the operator."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("parameters", [1, 2])
@pytest.mark.parametrize("is_async", [False, True])
async def test_on_install_gets_the_installation(
    flow: FlowUnderTest, parameters: int, is_async: bool
) -> None:
    """A hook gets the installation, and the request if it takes two; the redirect is as ever."""
    fake = FakeWix()
    seen: list[Any] = []
    hook = noting(seen, parameters=parameters, is_async=is_async)
    grant = GrantType.REFRESH_TOKEN if flow.is_advanced else GrantType.CLIENT_CREDENTIALS
    async with running(fake, on_install=hook) as app:
        answer = await Browser(app).install(fake)
        (stored,) = [found async for found in app.wix.installations()]

    assert answer.headers["Location"].startswith(CLOSE_WINDOW)
    assert 1 == len(seen)
    assert Installation(fake.app_id, SITE, stored.installed_at, None, grant) == stored == seen[0][0]
    assert [Request] * (parameters - 1) == [type(value) for value in seen[0][1:]]


@pytest.mark.parametrize("parameters", [1, 2])
@pytest.mark.parametrize("is_async", [False, True])
async def test_on_error_gets_the_refusal(parameters: int, is_async: bool) -> None:
    """A hook gets the refusal, and the request if it takes two; the refusal is as ever."""
    seen: list[Any] = []
    hook = noting(seen, parameters=parameters, is_async=is_async)
    async with running(FakeWix(), on_error=hook) as app:
        answer = await call_back(Browser(app), "/wix/callback")

    assert (400, "state_missing") == reason_of(answer)
    assert [Reason.STATE_MISSING] == [values[0].reason for values in seen]
    assert [Request] * (parameters - 1) == [type(value) for value in seen[0][1:]]


async def test_decorators_register_hooks() -> None:
    """Hooks that decorators register are called too, in their order, and stay plain functions."""
    fake = FakeWix()
    seen: list[str] = []
    wix = make_wix(fake, on_install=lambda _: seen.append("keyword"))

    @wix.on_install
    def first(_: Installation) -> None:
        seen.append("first")

    @wix.on_install
    async def second(_: Installation, request: Request) -> None:
        seen.append(f"second {request.url.path}")

    @wix.on_error
    def failed(refusal: HandshakeRefused) -> None:
        seen.append(refusal.reason)

    async with wix:
        browser = Browser(WixMiddleware(PlainTextResponse("app"), wix))
        await browser.install(fake)
        await browser.http.get("/wix/callback")
    first(Installation(fake.app_id, SITE, None))  # type: ignore[arg-type] # it looks at nothing

    assert ["keyword", "first", "second /wix/callback", "state_missing", "first"] == seen


async def test_client_in_a_hook_is_the_new_sites(flow: FlowUnderTest) -> None:
    """In on_install `request.state.wix` speaks as the site that was just installed."""
    fake = FakeWix()
    called: list[tuple[object, int]] = []

    async def hook(_: Installation, request: Request) -> None:
        client = request.state.wix
        assert isinstance(client, WixClient)
        answer = await client.get("/echo")
        called.append((client.identity, answer.status_code))

    async with running(fake, on_install=hook) as app:
        browser = Browser(app)
        for site in (SITE, OTHER_SITE):
            assert 303 == (await browser.install(fake, site)).status_code

    assert [SITE, OTHER_SITE] == [identity.instance_id for identity, _ in called]  # type: ignore[attr-defined] # not None
    assert [200, 200] == [status for _, status in called]
    assert 2 == fake.count(flow.grants)


async def test_hook_sees_the_servers_state() -> None:
    """A hook sees the state of the app's lifespan, and the server's own state is not changed."""
    fake = FakeWix()
    seen: list[object] = []
    servers_state = {"database": object()}

    async with running(
        fake, on_install=lambda _, request: seen.append(request.state.database)
    ) as app:

        async def server(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": servers_state}, receive, send)

        answer = await Browser(server).install(fake)

    assert 303 == answer.status_code
    assert [servers_state["database"]] == seen
    assert {"database"} == set(servers_state)


@pytest.mark.parametrize("is_async", [False, True])
async def test_response_of_on_install_is_sent(is_async: bool) -> None:
    """The first Response that a hook returns is sent, once every hook was called."""
    fake = FakeWix()
    seen: list[str] = []

    def page(installation: Installation) -> Response:
        return HTMLResponse(f"Welcome, {installation.instance_id}", 201, {"X-Own": "kept"})

    async def async_page(installation: Installation) -> Response:
        return page(installation)

    wix = make_wix(fake, on_install=async_page if is_async else page)
    wix.on_install(lambda _: PlainTextResponse("second"))
    wix.on_install(lambda _: seen.append("third"))
    async with wix:
        answer = await Browser(WixMiddleware(PlainTextResponse("app"), wix)).install(fake)

    assert (201, f"Welcome, {SITE}") == (answer.status_code, answer.text)
    assert "kept" == answer.headers["X-Own"]
    assert "Location" not in answer.headers
    assert ["third"] == seen


@pytest.mark.parametrize("returned", [True, "text", {"a": 1}, 0, b"x", ()], ids=repr)
async def test_other_results_are_ignored(returned: object) -> None:
    """A result of any other type than Response does not change the response."""
    fake = FakeWix()
    async with running(fake, on_install=lambda _: returned) as app:
        answer = await Browser(app).install(fake)

    assert answer.headers["Location"].startswith(CLOSE_WINDOW)


async def test_response_may_be_given_every_time() -> None:
    """A Response that the app returns every time is not changed by it (R27)."""
    fake = FakeWix()
    page = PlainTextResponse("Welcome", headers={"X-Frame-Options": "DENY"})
    before = list(page.headers.items())
    async with running(fake, on_install=lambda _: page, on_error=lambda _: page) as app:
        browser = Browser(app)
        answers = [await browser.install(fake) for _ in range(3)]
        refused = await browser.http.get("/wix/callback")

    assert [1, 1, 1, 0] == [len(cookies_set(answer)) for answer in (*answers, refused)]
    assert before == list(page.headers.items())
    assert ["Welcome"] * 4 == [answer.text for answer in (*answers, refused)]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("broken"),
        StorageUnavailable("down"),
        WixUnavailable("down", unsent=True),
        GrantRefused("no"),
        HTTPException(401),
        HandshakeRefused(Reason.BAD_REQUEST),
        HandshakeRefused(Reason.STORAGE_UNAVAILABLE),
        ExceptionGroup("several", [ValueError("one")]),
        StopAsyncIteration(),
        SystemExit(3),
    ],
    ids=repr,
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_on_install_raises(
    error: BaseException, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """For every error of a hook the browser gets a 500, and the installation stays (R47)."""
    fake = FakeWix()
    storage = FlakyStorage()

    def hook(_: Installation) -> None:
        raise error

    async def async_hook(_: Installation) -> None:
        raise error

    async with running(fake, storage=storage, on_install=async_hook if is_async else hook) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        answer = await call_back(browser, url)
        again = await call_back(browser, url)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]

    assert (500, "internal") == reason_of(answer)
    assert answer.json()["incident"] in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert [("", "0")] == [(c.value, c.attributes["Max-Age"]) for c in cookies_set(answer)]
    assert (409, "state_reused") == reason_of(again)
    assert [SITE] == await storage.sites(fake.app_id)
    assert "Retry-After" not in answer.headers


async def test_on_install_is_interrupted() -> None:
    """The interrupt of an operator is not taken for an error of the hook."""
    storage = without_add(FlakyStorage)()
    async with running(FakeWix(), storage=storage, on_install=interrupted) as app:
        stored = StoredInstallation(SITE, "v1", "", None, None, 0.0, datetime.now(UTC))
        with pytest.raises(KeyboardInterrupt):
            await app.wix.handshake.on_install.tell(stored, Request({"type": "http"}))


async def test_hook_of_too_many_parameters() -> None:
    """A hook with a third parameter is refused as a hook that raises."""
    fake = FakeWix()
    async with running(fake, on_install=lambda _one, _two, _three: None) as app:
        browser = Browser(app)
        answer = await call_back(browser, await begin(browser, fake))

    assert (500, "internal") == reason_of(answer)


async def test_response_of_on_error_is_sent() -> None:
    """A Response of on_error is sent instead of the refusal; the flow ends all the same."""
    fake = FakeWix()

    async def hook(refusal: HandshakeRefused, request: Request) -> Response:
        return JSONResponse({"why": refusal.reason, "path": request.url.path}, 418)

    async with running(fake, on_error=hook) as app:
        browser = Browser(app)
        refused = await browser.http.get(fake.cancel(await browser.begin(fake)) or "")

    assert (418, {"why": "denied", "path": "/wix/callback"}) == (
        refused.status_code,
        refused.json(),
    )
    assert 1 == len(cookies_set(refused))
    assert not browser.http.cookies


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit("broken")])
async def test_on_error_raises(
    is_async: bool, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the hook is logged, and the response is the same as without a hook (R47)."""

    def hook(_: HandshakeRefused) -> None:
        raise error

    async def async_hook(_: HandshakeRefused) -> None:
        raise error

    async with running(FakeWix(), on_error=async_hook if is_async else hook) as app:
        answer = await call_back(Browser(app), "/wix/callback?state=forged.state.signature")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]

    assert (400, "state_invalid") == reason_of(answer)
    assert record.exc_info is not None
    assert "broken" == str(record.exc_info[1])
    assert "signature" not in caplog.text


async def test_on_error_is_told_of_failing_hooks() -> None:
    """The error of on_install is the `__cause__` of the refusal that on_error gets."""
    fake = FakeWix()
    error = RuntimeError("broken")
    seen: list[HandshakeRefused] = []

    def hook(_: Installation) -> None:
        raise error

    async with running(fake, on_install=hook, on_error=seen.append) as app:
        answer = await Browser(app).install(fake)

    assert 500 == answer.status_code
    assert [(Reason.INTERNAL, error)] == [(refusal.reason, refusal.__cause__) for refusal in seen]
