"""An install while things fail: what is spent, what is kept, what is said, and what is logged."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from traceback import TracebackException
from typing import Any, Final, NoReturn
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
import stamina
from anyio.lowlevel import checkpoint
from starlette.responses import PlainTextResponse

from tests.handshaking import (
    ACCESS,
    CLOSE_WINDOW,
    JSON,
    TOKEN_INFO,
    FlakyStorage,
    app_of,
    ask,
    begin,
    call_back,
    cookies_of,
    query_of,
    reason_of,
    split_url,
    state_of,
)
from tests.support import SITE, Browser, make_wix, running
from wix_asgi import WixMiddleware
from wix_asgi._detached import Detached
from wix_asgi._http import httpx
from wix_asgi.answers import Answers
from wix_asgi.client import ClientFactory
from wix_asgi.endpoints import Endpoints
from wix_asgi.errors import Reason, StorageUnavailable
from wix_asgi.hooks import Hooks
from wix_asgi.installations import Installations
from wix_asgi.oauth import OAuth
from wix_asgi.state import Flow, StateSigner
from wix_asgi.testing import Clock, FakeWix
from wix_asgi.tokens import Tokens

HTML: Final = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(autouse=True)
def _retries_wait_for_nothing() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


class Broken(Exception):
    """What no code of ours expects."""


def broken(*args: object, **kwargs: object) -> NoReturn:
    """Fail in a way that no code of ours expects."""
    del args, kwargs
    raise Broken("broken for a test")


async def test_storage_is_down() -> None:
    """Without storage nothing is spent: once it is back, the same address works (R24)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        storage.down = {"claim"}
        refused = [await call_back(browser, url) for _ in range(3)]
        assert fake.count(ACCESS) == 0
        storage.down = set()
        finished = await browser.http.get(url)

    assert [(503, "storage_unavailable")] * 3 == [reason_of(answer) for answer in refused]
    assert "5" == refused[0].headers["Retry-After"]
    assert finished.status_code == 303
    assert [SITE] == await storage.sites(fake.app_id)


async def test_storage_cannot_be_opened() -> None:
    """An app without a lifespan whose storage is down at first works once it is back (R24)."""
    fake = FakeWix()
    storage = FlakyStorage()
    storage.down = {"open"}
    wix = make_wix(fake, storage=storage)
    browser = Browser(WixMiddleware(PlainTextResponse("app"), wix))
    url = await begin(browser, fake)
    refused = await call_back(browser, url)
    storage.down = set()
    finished = await browser.http.get(url)
    await wix.aclose()

    assert reason_of(refused) == (503, "storage_unavailable")
    assert finished.status_code == 303


@pytest.mark.parametrize("step", ["put", "get"])
async def test_storage_fails_after_the_exchange(step: str) -> None:
    """When the code is spent, nobody is told to load the page again: the flow is over (R24)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        storage.down = {step}
        refused = await call_back(browser, url)
        storage.down = set()
        again = await call_back(browser, url)

    assert reason_of(refused) == (500, "internal")
    assert "Retry-After" not in refused.headers
    assert not browser.http.cookies
    assert reason_of(again) == (409, "state_reused")
    assert fake.count(ACCESS) == 1


async def test_installation_is_gone_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A success is told only of what can be read back."""
    fake = FakeWix()

    async def nothing(*_: object) -> None:
        await checkpoint()

    async with running(fake) as app:
        monkeypatch.setattr(Installations, "get", nothing)
        browser = Browser(app)
        answer = await call_back(browser, await begin(browser, fake))

    assert reason_of(answer) == (500, "internal")


@pytest.mark.parametrize("step", ["settled", "purge"])
async def test_what_is_only_housekeeping_may_fail(step: str) -> None:
    """An install does not depend on the note for reloads, nor on the purge of old states."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        storage.down = {step}
        answer = await Browser(app).install(fake)

    assert answer.headers["Location"].startswith(CLOSE_WINDOW)


async def test_used_states_are_purged() -> None:
    """After an install the storage is asked to forget the states of long ago (R8)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        await Browser(app).install(fake)

    assert storage.steps.count("purge") == 1


@pytest.mark.parametrize("path", [ACCESS, TOKEN_INFO])
async def test_browser_hangs_up(path: str) -> None:
    """A browser that leaves while Wix is asked does not cost the site owner the install (R25)."""
    fake = FakeWix()
    storage = FlakyStorage()
    seen: list[object] = []
    async with running(fake, storage=storage, on_install=seen.append) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        gate = fake.hold(path)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(browser.http.get, url)
            await gate.arrived()
            tasks.cancel_scope.cancel()
        assert not await storage.sites(fake.app_id)
        gate.release()
        # Leaving waits for what is under way.

    assert [SITE] == await storage.sites(fake.app_id)
    assert len(seen) == 1
    assert fake.count(ACCESS) == 1


async def test_shutdown_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that outlasts the shutdown is cut off, and its browser told (R25, R47)."""
    fake = FakeWix()
    monkeypatch.setattr("wix_asgi.wix._GRACE", 0)
    answers: list[httpx.Response] = []
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)

        async def load() -> None:
            answers.append(await call_back(browser, url))

        with fake.hold(ACCESS) as gate:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load)
                await gate.arrived()
                with anyio.fail_after(10):
                    await app.wix.aclose()

    assert [(500, "internal")] == [reason_of(answer) for answer in answers]


@pytest.mark.parametrize("kind", ["drop", "answer"])
async def test_exchange_is_never_repeated(kind: Any) -> None:
    """Once Wix may have seen the code it is not sent again, by us or by a reload (R26)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(ACCESS, kind=kind)
        refused = await call_back(browser, url)
        again = await call_back(browser, url)
        restarted = await browser.install(fake)

    assert reason_of(refused) == (503, "wix_unavailable")
    assert "Retry-After" in refused.headers
    assert "Add to Site" in refused.json()["message"]
    assert reason_of(again) == (409, "state_reused")
    assert fake.count(ACCESS, code=query_of(url)["code"]) == 1
    assert restarted.status_code == 303


async def test_exchange_that_was_never_sent_may_be_repeated() -> None:
    """While Wix refuses connections nothing is spent: the same address works later (R26)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(ACCESS, kind="refuse", times=None)
        refused = [reason_of(await call_back(browser, url)) for _ in range(2)]
        fake.heal()
        finished = await browser.http.get(url)

    assert refused == [(503, "wix_unavailable")] * 2
    assert finished.status_code == 303
    assert fake.count(ACCESS) == 1


async def test_connection_is_refused_once() -> None:
    """A connection that fails once is tried again at once, unseen by the site owner (R26)."""
    fake = FakeWix()
    async with running(fake) as app:
        fake.fail(ACCESS, kind="refuse")
        answer = await Browser(app).install(fake)

    assert answer.status_code == 303
    assert fake.count(ACCESS) == 1


async def test_state_that_cannot_be_freed_stays_used() -> None:
    """When neither Wix nor the storage can be reached, the state is not good twice (R4)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(ACCESS, kind="refuse", times=None)
        storage.down = {"release"}
        refused = await call_back(browser, url)
        fake.heal()
        again = await call_back(browser, url)

    assert reason_of(refused) == (503, "wix_unavailable")
    assert reason_of(again) == (409, "state_reused")


@pytest.mark.parametrize("kind", ["drop", "answer", "refuse"])
async def test_token_info_is_down(kind: Any) -> None:
    """A token that cannot be proved stores nothing, and the flow is over: its code is spent (R21)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(TOKEN_INFO, kind=kind, times=None)
        refused = await call_back(browser, url)
        cookies_left = len(browser.http.cookies)
        fake.heal()
        again = await call_back(browser, url)

    assert reason_of(refused) == (503, "wix_unavailable")
    assert cookies_left == 0
    assert reason_of(again) == (409, "state_reused")
    assert not await storage.sites(fake.app_id)


@pytest.mark.parametrize("kind", ["drop", "answer", "refuse"])
async def test_token_info_fails_once(kind: Any) -> None:
    """The question whose token it is may be asked again, so it is."""
    fake = FakeWix()
    fake.fail(TOKEN_INFO, kind=kind)
    async with running(fake) as app:
        answer = await Browser(app).install(fake)

    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "invalid_grant"}, (502, "exchange_rejected")),
        (401, {"error": "invalid_client"}, (502, "exchange_rejected")),
        (403, None, (502, "exchange_rejected")),
        (500, None, (503, "wix_unavailable")),
        (429, None, (503, "wix_unavailable")),
        (200, b"not json", (503, "wix_unavailable")),
        (200, {}, (503, "wix_unavailable")),
        (200, {"access_token": "test-access-token-0123"}, (502, "exchange_rejected")),
        (200, {"access_token": 1, "refresh_token": 2}, (503, "wix_unavailable")),
        (302, None, (503, "wix_unavailable")),
    ],
)
async def test_answers_of_wix(status: int, body: Any, expected: tuple[int, str]) -> None:
    """Whatever Wix answers instead of a grant ends the flow, and stores nothing (R47)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(ACCESS, status=status, body=body, headers={"Location": "https://evil.example"})
        refused = await call_back(browser, url)
        again = await call_back(browser, url)

    assert reason_of(refused) == expected
    assert reason_of(again) == (409, "state_reused")
    assert fake.count(ACCESS) == 1
    assert not await storage.sites(fake.app_id)


BEFORE_STORING: Final = [
    (StateSigner, "check"),
    (Flow, "is_bound_to"),
    (Detached, "start"),
    (FlakyStorage, "claim"),
    (OAuth, "exchange"),
    (OAuth, "token_info"),
    (Installations, "put"),
]
AFTER_STORING: Final = [
    (Installations, "get"),
    (Tokens, "adopt"),
    (ClientFactory, "for_instance"),
    (Hooks, "installed"),
    (Endpoints, "close_window_url"),
    (Answers, "unbind"),
]


@pytest.mark.parametrize(("owner", "name"), BEFORE_STORING + AFTER_STORING)
@pytest.mark.parametrize("headers", [JSON, HTML], ids=["json", "html"])
async def test_anything_breaks_at_the_callback(
    owner: type,
    name: str,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever breaks is a 500 with an incident that the log knows, never a success (R47)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        monkeypatch.setattr(owner, name, broken)
        answer = await browser.http.get(url, headers=headers)

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    incident = record.__dict__["incident"]
    assert answer.status_code == 500
    assert "Location" not in answer.headers
    assert "broken for a test" not in answer.text
    assert incident in answer.text
    assert incident in record.getMessage()
    assert bool(await storage.sites(fake.app_id)) == ((owner, name) in AFTER_STORING)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(StateSigner, "mint"), (Endpoints, "installer_url"), (Answers, "bind")],
)
async def test_anything_breaks_at_the_install_path(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An install that cannot begin is a 500, without a cookie and without a redirect (R47)."""
    async with running(FakeWix()) as app:
        monkeypatch.setattr(owner, name, broken)
        answer = await ask(app, "/wix/install")

    assert answer.status == 500
    assert answer.one("Location") is None
    assert not answer.all("Set-Cookie")


Scenario = Callable[[Browser, FakeWix, Any], Awaitable[str]]


async def _bad_request(browser: Browser, fake: FakeWix, _app: Any) -> str:
    url = await begin(browser, fake)
    return f"{url}&state={state_of(url)}"


async def _state_missing(_browser: Browser, _fake: FakeWix, _app: Any) -> str:
    return "/wix/callback?code=x"


async def _state_invalid(_browser: Browser, _fake: FakeWix, _app: Any) -> str:
    return "/wix/callback?code=x&state=y"


async def _state_expired(_browser: Browser, fake: FakeWix, app: Any) -> str:
    clock = Clock(1_000_000_000)
    signer = StateSigner(app.wix.settings, clock=clock.now)
    return f"/wix/callback?code={fake.issue_code()}&state={signer.mint().state}"


async def _state_reused(browser: Browser, fake: FakeWix, _app: Any) -> str:
    url = await begin(browser, fake)
    await browser.http.get(url)
    return url


async def _browser_mismatch(browser: Browser, fake: FakeWix, _app: Any) -> str:
    url = await begin(browser, fake)
    browser.http.cookies.clear()
    return url


async def _denied(browser: Browser, fake: FakeWix, _app: Any) -> str:
    return fake.cancel(await browser.begin(fake)) or ""


async def _exchange_rejected(browser: Browser, fake: FakeWix, _app: Any) -> str:
    state = state_of(await browser.begin(fake))
    return f"/wix/callback?code=unknown-code-0123456789&state={state}"


async def _wix_unavailable(browser: Browser, fake: FakeWix, _app: Any) -> str:
    fake.fail(ACCESS)
    return await begin(browser, fake)


async def _instance_mismatch(browser: Browser, fake: FakeWix, _app: Any) -> str:
    fake.token_info_override = lambda info: {**info, "clientId": "another-app"}
    return await begin(browser, fake)


async def _storage_unavailable(browser: Browser, fake: FakeWix, app: Any) -> str:
    app.wix.storage.down = {"claim"}
    return await begin(browser, fake)


async def _internal(browser: Browser, fake: FakeWix, app: Any) -> str:
    app.wix.on_install(broken)
    return await begin(browser, fake)


REASONS: Final[dict[Reason, tuple[int, Scenario]]] = {
    Reason.BAD_REQUEST: (400, _bad_request),
    Reason.STATE_MISSING: (400, _state_missing),
    Reason.STATE_INVALID: (400, _state_invalid),
    Reason.STATE_EXPIRED: (400, _state_expired),
    Reason.STATE_REUSED: (409, _state_reused),
    Reason.BROWSER_MISMATCH: (403, _browser_mismatch),
    Reason.DENIED: (403, _denied),
    Reason.EXCHANGE_REJECTED: (502, _exchange_rejected),
    Reason.WIX_UNAVAILABLE: (503, _wix_unavailable),
    Reason.INSTANCE_MISMATCH: (403, _instance_mismatch),
    Reason.STORAGE_UNAVAILABLE: (503, _storage_unavailable),
    Reason.INTERNAL: (500, _internal),
}


def test_every_reason_has_a_scenario() -> None:
    """The table above is complete."""
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("headers", [JSON, HTML], ids=["json", "html"])
async def test_every_reason_is_reached(
    reason: Reason, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Each reason has its status, its form, the headers of all, and one incident in the log."""
    status, scenario = REASONS[reason]
    fake = FakeWix()
    async with running(fake, storage=FlakyStorage()) as app:
        browser = Browser(app)
        url = await scenario(browser, fake, app)
        caplog.clear()
        answer = await browser.http.get(url, headers=headers)

    (record,) = [record for record in caplog.records if record.name == "wix_asgi"]
    incident = record.__dict__["incident"]
    assert answer.status_code == status
    assert record.__dict__["reason"] == reason.value
    assert record.levelno == (logging.ERROR if status >= 500 else logging.WARNING)
    assert f"incident {incident}" in record.getMessage()
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert answer.headers["Cache-Control"] == "no-store"
    if headers is JSON:
        body = answer.json()
        assert answer.headers["Content-Type"] == "application/json"
        assert set(body) == {"error", "message", "incident"}
        assert (body["error"], body["incident"]) == (reason.value, incident)
    else:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert incident in answer.text
        assert reason.value in answer.text


def secrets_in(browser: Browser, url: str, fake: FakeWix) -> set[str]:
    """Return what must be in no log after an install that began so."""
    query = parse_qs(urlsplit(url).query)
    return {
        *query.get("code", []),
        *query["state"],
        *browser.http.cookies.values(),
        fake.app_secret,
    }


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return all that any log handler can see of the records, locals of tracebacks included."""
    seen = [caplog.text]
    for record in caplog.records:
        seen.append(repr(record.__dict__))
        if record.exc_info and record.exc_info[1] is not None:
            seen += TracebackException.from_exception(record.exc_info[1], capture_locals=True).format()
    return "".join(seen)


async def load_unlogged(app: Any, browser: Browser, url: str) -> Any:
    """Load `url` with no HTTP library on our side, which would log it."""
    path, query = split_url(url)
    return await ask(app, path, query, headers=cookies_of(browser))


async def test_an_install_logs_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, no logger of any library is told a code, state, cookie, token or secret (R35)."""
    fake = FakeWix()
    async with running(fake, finish_setup=True) as app:
        browser = Browser(app)
        install_token = fake.install_token()
        url = await begin(browser, fake)
        hidden = secrets_in(browser, url, fake) | {install_token}
        caplog.clear()
        caplog.set_level(logging.DEBUG)
        begun = await ask(app, "/wix/install", f"token={install_token}".encode())
        answer = await load_unlogged(app, browser, url)
        again = await load_unlogged(app, browser, url)
        hidden.add((await app.wix._tokens.get(SITE)).value)
        text = logged(caplog)

    assert [303, 303, 409] == [begun.status, answer.status, again.status]
    assert "installed" in text
    assert len(hidden) == 6
    assert [] == [value for value in hidden if value in text]


@pytest.mark.parametrize("reason", [reason for reason in Reason if "state" not in reason])
async def test_a_refusal_logs_no_secret(
    reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor when an install stops, nor in what on_error is given, with locals (R35)."""
    fake = FakeWix()
    refusals: list[BaseException] = []
    async with running(fake, storage=FlakyStorage(), on_error=refusals.append) as app:
        browser = Browser(app)
        url = await REASONS[reason][1](browser, fake, app)
        hidden = secrets_in(browser, url, fake)
        caplog.clear()
        caplog.set_level(logging.DEBUG)
        answer = await load_unlogged(app, browser, url)
        text = logged(caplog)

    for refusal in refusals:
        text += "".join(TracebackException.from_exception(refusal, capture_locals=True).format())
    assert answer.status == REASONS[reason][0]
    assert reason.value in text
    assert len(refusals) == 1
    assert [] == [value for value in hidden if value in text]


@pytest.mark.parametrize(("owner", "name"), BEFORE_STORING + AFTER_STORING)
async def test_a_breakdown_logs_no_secret(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor in the traceback of what nobody expected, with the locals of its frames (R35)."""
    fake = FakeWix()
    async with running(fake, storage=FlakyStorage()) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        hidden = secrets_in(browser, url, fake)
        caplog.clear()
        caplog.set_level(logging.DEBUG)
        monkeypatch.setattr(owner, name, broken)
        answer = await load_unlogged(app, browser, url)
        text = logged(caplog)

    assert answer.status == 500
    assert "broken for a test" in text
    assert [] == [value for value in hidden if value in text]


@pytest.mark.parametrize(
    "hostile", ["%0a", "%0d%0a", "%1b[2J", "%e2%80%a8", "%c2%85", "%00", "%f0%9f%98%80", "%25s%25d"]
)
@pytest.mark.parametrize("name", ["code", "state", "instanceId", "error", "error_description", "x"])
async def test_hostile_characters_stay_in_one_line(
    hostile: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No parameter can begin a line of the log, or say anything in it (R19, R36)."""
    fake = FakeWix()
    value = f"{hostile}forged-entry"
    async with running(fake) as app:
        browser = Browser(app)
        state = state_of(await browser.begin(fake))
        caplog.clear()
        with_state = f"/wix/callback?state={state}&{name}={value}&{name}2={value}"
        for url in (f"/wix/callback?{name}={value}", f"/wix/install?{name}={value}", with_state):
            await load_unlogged(app, browser, url)

    messages = [record.getMessage() for record in caplog.records]
    assert messages
    assert all(message.isprintable() for message in messages)
    assert "forged-entry" not in caplog.text


async def test_errors_of_backends_stay_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """What a driver says over several lines is logged in one (R36)."""
    fake = FakeWix()
    storage = FlakyStorage()

    async def down(*_: object) -> bool:
        raise StorageUnavailable("first line\nsecond line\r\x1b[2J\u2028third line")

    storage.claim = down  # type: ignore[method-assign] # this one is broken
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        await browser.http.get(await begin(browser, fake))

    (message,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert message.isprintable()
    assert "first line second line" in message


async def test_refused_code_is_logged_with_the_request_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What Wix's support asks for first is in the log line of the incident."""
    fake = FakeWix()
    async with make_wix(fake) as wix:
        browser = Browser(app_of(wix))
        state = state_of(await browser.begin(fake))
        await browser.http.get(f"/wix/callback?code=unknown-code-0123456789&state={state}")

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "invalid_grant (x-wix-request-id " in record.getMessage()


async def test_a_broken_part_is_never_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused after a breakdown leaves no token in the process, either (R47)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        monkeypatch.setattr(Installations, "put", broken)
        refused = await call_back(browser, url)
        called = await browser.http.get(
            "/echo", params={"instance": fake.signed_instance(SITE)}, headers=JSON
        )

    assert reason_of(refused) == (500, "internal")
    assert called.status_code == 403

