"""FakeWix told to fail: wrong answers, no answers, lost and refused connections."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from starlette.types import Message

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix
from wix_asgi.testing.fake_wix.faults import FaultKind

_, YOGA, _ = DEMO_SITES
ECHO = "/echo"


async def test_a_failure_is_answered_once_by_default(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """The next call is answered 503 with the empty error of Wix's own; the one after it is not."""
    fake.fail(ECHO)
    failed, after = await http.get(ECHO), await http.get(ECHO)

    assert (503, {"message": "", "details": {}}) == (failed.status_code, failed.json())
    assert 200 == after.status_code
    assert [503, 200] == [call.status for call in fake.calls]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": "x"}, b'{"error":"x"}'),
        ("gateway", b"gateway"),
        (b"\x00", b"\x00"),
    ],
)
async def test_a_failure_says_what_it_is_told(
    fake: FakeWix, http: httpx.AsyncClient, body: Any, expected: bytes
) -> None:
    """Status, body and headers of a failure are the test's."""
    fake.fail(ECHO, status=429, body=body, headers={"retry-after": "7"})
    answer = await http.get(ECHO)

    assert (429, "7", expected) == (
        answer.status_code,
        answer.headers["retry-after"],
        answer.content,
    )


async def test_failures_happen_in_the_order_they_were_told(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """Each fault happens the given number of times, and then the next fault is due."""
    fake.fail(ECHO, status=500, times=2)
    fake.fail("/ec*", status=502)

    assert [500, 500, 502, 200] == [(await http.get(ECHO)).status_code for _ in range(4)]


async def test_a_failure_may_be_for_some_bodies_only(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """Fields of the JSON body pick the calls that fail."""
    fake.fail(ECHO, k="v")
    other, matching = await http.post(ECHO, json={}), await http.post(ECHO, json={"k": "v"})

    assert (200, 503) == (other.status_code, matching.status_code)


async def test_a_failure_without_end_lasts_until_healed(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """`times=None` fails every call, until `heal`."""
    fake.fail(ECHO, times=None)
    before = [(await http.get(ECHO)).status_code for _ in range(3)]
    fake.heal()

    assert [503] * 3 == before
    assert 200 == (await http.get(ECHO)).status_code


def test_a_failure_happens_at_least_once(fake: FakeWix) -> None:
    """A failure that never happens is a mistake in the test."""
    with pytest.raises(ValueError, match="times"):
        fake.fail(ECHO, times=0)


async def test_a_call_hangs_until_healed(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """A call that hangs is answered as ever once `heal` is called."""
    answers: list[httpx.Response] = []
    early: list[httpx.Response] = []

    async def call() -> None:
        answers.append(await http.get(ECHO, timeout=None))

    fake.fail(ECHO, kind="hang")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await fake.asked(ECHO)
        early += answers
        fake.heal()

    assert [] == early
    assert [200] == [answer.status_code for answer in answers]


async def test_a_call_that_hangs_runs_into_the_read_timeout(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """In process, too, a client's read timeout counts."""
    fake.fail(ECHO, kind="hang")

    with pytest.raises(httpx.ReadTimeout):
        await http.get(ECHO, timeout=0.01)
    assert 0 == fake.calls[0].status


async def test_a_call_that_hangs_can_be_cancelled(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """A caller that is cancelled leaves, and nothing stays behind."""
    fake.fail(ECHO, kind="hang")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(http.get, ECHO)
        await fake.asked(ECHO)
        tasks.cancel_scope.cancel()

    assert 200 == (await http.get(ECHO)).status_code


async def test_a_dropped_answer_has_had_its_effect(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """A code whose answer was lost is spent."""
    body = {
        "grant_type": "authorization_code",
        "client_id": fake.app_id,
        "client_secret": fake.app_secret,
        "code": fake.issue_code(YOGA),
    }
    fake.fail("/oauth/access", kind="drop")
    del http.headers["authorization"]
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post("/oauth/access", json=body)
    installed = fake.installed
    again = await http.post("/oauth/access", json=body)

    assert {YOGA} == installed
    assert "invalid_grant" == again.json()["error"]
    assert [0, 400] == [call.status for call in fake.calls]


async def test_a_refused_connection_was_never_asked(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The client sees a connect error, and FakeWix has seen nothing."""
    fake.fail(ECHO, kind="refuse")
    with pytest.raises(httpx.ConnectError):
        await http.get(ECHO)

    assert 0 == fake.count(ECHO)
    assert 200 == (await http.get(ECHO)).status_code


async def test_an_app_that_raises_raises(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The kind "raise" is no HTTP error at all."""
    fake.fail(ECHO, kind="raise")

    with pytest.raises(RuntimeError, match="told to raise"):
        await http.get(ECHO)


@pytest.mark.parametrize("kind", ["drop", "refuse"])
async def test_a_server_is_left_with_half_an_answer(fake: FakeWix, kind: FaultKind) -> None:
    """Over a connection a lost answer begins and does not end, so that a server cuts it off."""
    scope = {"type": "http", "method": "GET", "path": ECHO, "query_string": b"", "headers": []}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    fake.fail(ECHO, kind=kind)
    await fake(scope, receive, send)

    assert [("http.response.start", [(b"content-length", b"1")])] == [
        (message["type"], message["headers"]) for message in sent
    ]
