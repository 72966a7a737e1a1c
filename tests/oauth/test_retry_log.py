"""The lines of repeated calls: ours have a reason, and stamina's are for the app's own retries."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import stamina

from tests.engine import ManualClock, make_oauth
from tests.oauth.answering import CANARY, Answers, fails
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

GRANTED = httpx.Response(200, json={"access_token": "a", "refresh_token": "r"})


@pytest.fixture(autouse=True)
def _three_tries_without_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return the loggers and the texts of all lines."""
    return [(record.name, record.getMessage()) for record in caplog.records]


async def test_a_retry_says_its_reason(fake: FakeWix, caplog: pytest.LogCaptureFixture) -> None:
    """A repeated call has one line, under `wix_asgi`, with the reason, and none of stamina."""
    lost = httpx.ConnectError("Connection refused")
    await make_oauth(fake, Answers(lost, GRANTED)).exchange(CANARY)
    reason = "Wix cannot be reached (ConnectError: Connection refused)."

    assert [("wix_asgi", f"a call to Wix is repeated, try 1 failed: {reason}")] == lines(caplog)


async def test_retries_are_one_line_a_minute(
    fake: FakeWix, caplog: pytest.LogCaptureFixture
) -> None:
    """In an outage each kind of failure has one line a minute, and a count (R49)."""
    clock = ManualClock()
    answers = Answers(httpx.ReadError("x"), httpx.Response(503), GRANTED)
    oauth = make_oauth(fake, answers, clock=clock)
    for _ in range(3):
        answers.answers = [httpx.ReadError("x"), httpx.Response(503), GRANTED]
        await oauth.refresh(CANARY)
    clock.advance(60)
    answers.answers = [httpx.ReadError("x"), GRANTED]
    await oauth.refresh(CANARY)
    lost = "a call to Wix is repeated, try 1 failed: The answer of Wix was lost (ReadError: x)."
    answered = "a call to Wix is repeated, try 2 failed: Wix answered 503 (x-wix-request-id -)"

    assert [lost, answered, f"{lost} (and 2 more before it)"] == caplog.messages


async def test_a_call_that_is_not_repeated_has_no_line(
    fake: FakeWix, caplog: pytest.LogCaptureFixture
) -> None:
    """The last failure is the caller's to tell, and a failure without a retry as well."""
    await fails(lambda: make_oauth(fake, Answers(httpx.ReadError("x"))).exchange(CANARY))

    assert [] == lines(caplog)


async def test_the_apps_own_retries_are_logged_by_stamina(
    fake: FakeWix, caplog: pytest.LogCaptureFixture
) -> None:
    """An app's use of stamina keeps its lines, around our calls, inside them, and after them."""

    @stamina.retry(on=ValueError, attempts=3)
    async def in_the_apps_transport() -> None:
        raise ValueError("the app's")

    class Retrying(Answers):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            with pytest.raises(ValueError, match="the app's"):
                await in_the_apps_transport()
            return await super().handle_async_request(request)

    with caplog.at_level(logging.WARNING):
        await make_oauth(fake, Retrying(httpx.Response(503), GRANTED)).refresh(CANARY)
        inside = [record.name for record in caplog.records].count("stamina")
        with pytest.raises(ValueError, match="the app's"):
            await in_the_apps_transport()
    after = [record.name for record in caplog.records].count("stamina")

    assert (4, 6) == (inside, after)
    assert 1 == [record.name for record in caplog.records].count("wix_asgi")


async def test_a_filter_is_set_once(fake: FakeWix) -> None:
    """However many clients an app makes, stamina's logger has one filter of ours."""
    make_oauth(fake)
    before = len(logging.getLogger("stamina").filters)
    make_oauth(fake)

    assert before == len(logging.getLogger("stamina").filters)
