"""What refusals write into the log: one line of a kind in a second, and a count of the others."""

from __future__ import annotations

import logging

import pytest
from starlette.requests import Request

from tests.engine import ManualClock
from tests.handshake.handshaking import ACCESS, app_of, broken, reason_of, state_of
from tests.middleware.probes import CALLBACK, http_scope
from tests.support import Browser, make_wix
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import HandshakeRefused, Reason, WixMisconfigured, WixUnavailable
from wix_asgi.handshake._refusal_log import RefusalLog
from wix_asgi.handshake.responses import Responses, make_pages
from wix_asgi.hooks import Hooks
from wix_asgi.testing import FakeWix

REQUEST = Request(http_scope(CALLBACK))
NEED_AN_OPERATOR = {Reason.STORAGE_UNAVAILABLE, Reason.INTERNAL}


def misconfigured() -> HandshakeRefused:
    """Return the refusal of an install whose app has wrong credentials."""
    refusal = HandshakeRefused(Reason.EXCHANGE_REJECTED, "Wix answered 401 invalid_client")
    refusal.__cause__ = WixMisconfigured()
    return refusal


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    """Return the lines from `level` on."""
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


@pytest.mark.parametrize("reason", Reason)
def test_a_flood_is_one_line_a_second(reason: Reason, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand refusals of one reason in a second are one line, and the next one counts (R49)."""
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    log = RefusalLog(clock=clock)
    for number in range(1000):
        log.note(HandshakeRefused(reason), f"{number:012x}", REQUEST)
    clock.advance(1.0)
    log.note(HandshakeRefused(reason), "f00000000000", REQUEST)

    assert [
        f"install refused: {reason.value}, incident 000000000000",
        f"install refused: {reason.value}, incident f00000000000 (and 999 more before it)",
    ] == lines(caplog)


@pytest.mark.parametrize("reason", Reason)
def test_refusals_that_anybody_can_cause_are_no_errors(
    reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    """Only a reason that needs an operator is an ERROR; the others are a WARNING (R49)."""
    RefusalLog().note(HandshakeRefused(reason), "0" * 12, REQUEST)
    (record,) = caplog.records

    assert (logging.ERROR if reason in NEED_AN_OPERATOR else logging.WARNING) == record.levelno


def test_reasons_do_not_hide_each_other(caplog: pytest.LogCaptureFixture) -> None:
    """In the second of a flood every other reason still has its line (R49)."""
    log = RefusalLog(clock=ManualClock())
    for _ in range(3):
        for reason in Reason:
            log.note(HandshakeRefused(reason), "0" * 12, REQUEST)

    assert len(Reason) == len(lines(caplog))


def test_bugs_do_not_hide_each_other(caplog: pytest.LogCaptureFixture) -> None:
    """Two internal errors in one second are two lines, and the same error again is none (R49)."""
    log = RefusalLog(clock=ManualClock())
    for message in ("ZeroDivisionError", "an on_install hook raised", "ZeroDivisionError"):
        log.note(HandshakeRefused(Reason.INTERNAL, message), "0" * 12, REQUEST)

    assert [
        "install refused: internal (ZeroDivisionError), incident 000000000000",
        "install refused: internal (an on_install hook raised), incident 000000000000",
    ] == lines(caplog)


def test_a_rush_of_installs_does_not_hide_a_connection_that_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In a flood of callbacks the log still says that Wix cannot be reached (R49)."""
    log = RefusalLog(clock=ManualClock())
    unreachable = WixUnavailable("Wix cannot be reached (ConnectError)", unsent=True)
    unreachable.__cause__ = OSError()
    for failure in [WixUnavailable("too many installs are at Wix already")] * 3 + [unreachable] * 3:
        refusal = HandshakeRefused(Reason.WIX_UNAVAILABLE, failure.message)
        refusal.__cause__ = failure
        log.note(refusal, "0" * 12, REQUEST)
    told = [line.partition(", incident")[0] for line in lines(caplog)]

    assert [
        "install refused: wix_unavailable (too many installs are at Wix already)",
        "install refused: wix_unavailable (Wix cannot be reached (ConnectError))",
    ] == told


def test_every_incident_is_found_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """A line that was left out is written at DEBUG, with the same fields."""
    caplog.set_level(logging.DEBUG)
    log = RefusalLog(clock=ManualClock())
    for incident in ("aaaaaaaaaaaa", "bbbbbbbbbbbb"):
        log.note(HandshakeRefused(Reason.DENIED), incident, REQUEST)
    first, second = caplog.records
    fields = [(r.__dict__["reason"], r.__dict__["incident"], r.__dict__["path"]) for r in (second,)]

    assert (logging.WARNING, logging.DEBUG) == (first.levelno, second.levelno)
    assert "install refused: denied, incident bbbbbbbbbbbb" == second.getMessage()
    assert [("denied", "bbbbbbbbbbbb", CALLBACK)] == fields


def test_lines_that_nobody_wants_are_not_made(caplog: pytest.LogCaptureFixture) -> None:
    """Below the level of the logger, a refusal costs no text and leaves no line (R49)."""
    log = RefusalLog(clock=ManualClock())
    with caplog.at_level(logging.CRITICAL, logger="wix_asgi"):
        log.note(HandshakeRefused(Reason.STATE_INVALID), "000000000000", REQUEST)

    assert [] == lines(caplog, logging.DEBUG)


def test_wrong_credentials_are_an_error_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of codes at an app that Wix refuses is one ERROR a minute, with a count (R49)."""
    clock = ManualClock()
    log = RefusalLog(clock=clock)
    for _ in range(120):
        log.note(misconfigured(), "0" * 12, REQUEST)
        log.note(HandshakeRefused(Reason.EXCHANGE_REJECTED), "1" * 12, REQUEST)
        clock.advance(0.5)
    log.note(misconfigured(), "2" * 12, REQUEST)

    refused = "install refused: exchange_rejected (Wix answered 401 invalid_client)"

    assert [
        f"{refused}, incident 000000000000",
        f"{refused}, incident 222222222222 (and 119 more before it)",
    ] == lines(caplog, logging.ERROR)
    assert 62 == len(lines(caplog))


async def test_wrong_credentials_are_told_from_made_up_codes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A made-up code is a WARNING, unless Wix refuses the app itself: then it is an ERROR (R49)."""
    fake = FakeWix()
    async with make_wix(fake) as wix:
        browser = Browser(app_of(wix, fake))
        for refused_app in (False, True):
            if refused_app:
                fake.fail(ACCESS, status=401, body={"error": "invalid_client"})
            state = state_of(await browser.begin(fake))
            answer = await browser.http.get(
                f"/wix/callback?code=unknown-code-0123456789&state={state}",
                headers={"Accept": "application/json"},
            )

            assert (502, "exchange_rejected") == reason_of(answer)
    levels = [record.levelno for record in caplog.records if "reason" in record.__dict__]

    assert [logging.WARNING, logging.ERROR] == levels


async def test_a_failing_on_error_hook_is_one_line_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A hook that raises at each refusal writes one traceback a second, with an incident (R49)."""
    log = RefusalLog(clock=ManualClock())
    settings = make_wix(FakeWix()).settings
    hooks = Hooks(on_error=broken, detached=DetachedTasks())
    responses = Responses(settings, hooks, make_pages(settings), log=log)
    for _ in range(5):
        await responses.refuse(REQUEST, HandshakeRefused(Reason.DENIED))
    records = [record for record in caplog.records if record.levelno == logging.ERROR]

    assert 1 == len(records)
    assert records[0].exc_info
    assert f"an on_error hook raised, incident {records[0].__dict__['incident']}" == (
        records[0].getMessage()
    )
