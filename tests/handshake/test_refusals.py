"""Why installs stop: every reason, with its response, its line in the log, and no secret."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from traceback import TracebackException
from typing import Any, Final

import pytest

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    ACCESS,
    CREDENTIALS,
    JSON,
    app_of,
    ask,
    begin,
    broken,
    load_unlogged,
    logged,
    secrets_in,
    state_of,
)
from tests.support import SITE, Browser, make_wix, running
from wix_asgi.errors import Reason, StorageUnavailable
from wix_asgi.handshake.state import StateSigner
from wix_asgi.testing import Clock, FakeWix

pytestmark = pytest.mark.usefixtures("flow")

HTML: Final = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


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
    fake.fail(ACCESS, status=400, body={"error": "invalid_grant"})
    fake.fail(CREDENTIALS, status=404, body={"error": "not_found"})
    return await begin(browser, fake)


async def _wix_unavailable(browser: Browser, fake: FakeWix, _app: Any) -> str:
    for path in (ACCESS, CREDENTIALS):
        fake.fail(path, times=None)
    return await begin(browser, fake)


async def _instance_mismatch(browser: Browser, fake: FakeWix, _app: Any) -> str:
    fake.token_info_override = lambda info: {**info, "clientId": "another-app"}
    fake.external_install_override = lambda query: {**query, "tenantId": "another-site"}
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
    """The table of scenarios has every reason."""
    assert set(Reason) == set(REASONS)


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
    (record,) = [record for record in caplog.records if "incident" in record.__dict__]
    incident = record.__dict__["incident"]

    assert status == answer.status_code
    assert reason.value == record.__dict__["reason"]
    needs_operator = reason in {Reason.STORAGE_UNAVAILABLE, Reason.INTERNAL}
    assert (logging.ERROR if needs_operator else logging.WARNING) == record.levelno
    assert f"incident {incident}" in record.getMessage()
    assert (status == 503) == ("Retry-After" in answer.headers)
    assert "no-store" == answer.headers["Cache-Control"]
    if headers is JSON:
        body = answer.json()
        assert "application/json" == answer.headers["Content-Type"]
        assert {"error", "message", "incident"} == set(body)
        assert (body["error"], body["incident"]) == (reason.value, incident)
    else:
        assert "text/html; charset=utf-8" == answer.headers["Content-Type"]
        assert incident in answer.text
        assert reason.value in answer.text


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

    assert [303, 303, 303] == [begun.status, answer.status, again.status]
    assert f"installed on site {SITE}" in text
    assert 6 == len(hidden)
    assert [] == [value for value in hidden if value in text]


@pytest.mark.parametrize(
    "reason", sorted(set(Reason) - {Reason.STATE_MISSING, Reason.STATE_INVALID})
)
async def test_a_refusal_logs_no_secret(reason: Reason, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log nor the refusal that on_error gets holds a secret, even with locals (R35)."""
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
    assert REASONS[reason][0] == answer.status
    assert reason.value in text
    assert 1 == len(refusals)
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


async def test_errors_of_backends_stay_in_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message of a driver, which has several lines, is logged in one (R36)."""
    fake = FakeWix()

    async def down(*_: object) -> bool:
        raise StorageUnavailable("first line\nsecond line\r\x1b[2J\u2028third line")

    monkeypatch.setattr(FlakyStorage, "claim", down)
    async with running(fake, storage=FlakyStorage()) as app:
        browser = Browser(app)
        await browser.http.get(await begin(browser, fake))
    (message,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]

    assert message.isprintable()
    assert "first line second line" in message


@pytest.mark.flow("advanced")
async def test_refused_code_is_logged_with_the_request_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The `x-wix-request-id`, which Wix's support asks for, is in the log line of the incident."""
    fake = FakeWix()
    async with make_wix(fake) as wix:
        browser = Browser(app_of(wix, fake))
        state = state_of(await browser.begin(fake))
        await browser.http.get(f"/wix/callback?code=unknown-code-0123456789&state={state}")
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]

    assert "invalid_grant (x-wix-request-id " in record.getMessage()
