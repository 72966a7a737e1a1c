"""How bodies are read: within bounds of bytes, time and number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from starlette.types import Message

from tests.limits import PATIENCE
from tests.webhooks.posting import Answer, Stage, numbered, post, request_scope, token
from wix_asgi.webhooks._bodies import Body
from wix_asgi.webhooks.policy import WebhookPolicy

SMALL = WebhookPolicy(max_body=2000, max_bodies=3, max_bytes=3000, body_timeout=PATIENCE)


def length(number: int) -> tuple[bytes, bytes]:
    """Return a header that tells the bytes of a body."""
    return b"content-length", str(number).encode()


async def test_a_body_in_parts_is_read_whole() -> None:
    """A token may come in parts of any size."""
    stage, body = Stage(), token()
    parts = [body[at : at + 7] for at in range(0, len(body), 7)]

    assert 200 == (await stage.post(*parts, headers=[length(len(body))])).status


@pytest.mark.parametrize("told", [b"1000001", b"9" * 1000], ids=["one too many", "digits"])
async def test_a_body_that_tells_its_size_is_refused_unread(told: bytes) -> None:
    """A `Content-Length` over the bound is answered 413, and nothing of the body is read (R42)."""
    taken: list[bytes] = []
    answer = await Stage().post(b"x" * 10, headers=[(b"content-length", told)], taken=taken)

    assert 413 == answer.status
    assert [] == taken


async def test_a_body_of_unknown_size_is_cut_at_the_bound(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A body in chunks is answered 413 with the first byte over the bound, unread beyond (R42)."""
    taken: list[bytes] = []
    answer = await Stage(policy=SMALL).post(*[b"x" * 100] * 50, taken=taken)

    assert 413 == answer.status
    assert 21 == len(taken)
    assert ["a webhook was answered 413: its body has over 2000 bytes"] == caplog.messages


async def test_a_body_of_the_bound_is_read() -> None:
    """A body that just reaches the bound is verified."""
    stage = Stage(policy=SMALL)

    assert 401 == (await stage.post(b"x" * 2000, headers=[length(2000)])).status


@pytest.mark.parametrize("nonsense", [b"", b"-1", b"1e9", b"\xb2", b"many"])
async def test_a_size_that_is_no_number_is_not_believed(nonsense: bytes) -> None:
    """A `Content-Length` that no server lets through decides nothing."""
    stage = Stage()

    assert 200 == (await stage.post(token(), headers=[(b"content-length", nonsense)])).status


@pytest.mark.parametrize("parts", [(), (b"eyJ",)], ids=["nothing", "a part"])
async def test_a_client_that_hangs_up_gets_no_answer(parts: tuple[bytes, ...]) -> None:
    """A client that is gone is sent nothing, and costs no write."""
    stage = Stage()

    assert await post(stage.endpoint, *parts, ending="hung up") is None
    assert 0 == stage.storage.added


async def test_a_body_that_dribbles_is_given_up() -> None:
    """A body that does not come to its end in time is answered 408 (R51)."""
    stage = Stage(policy=WebhookPolicy(body_timeout=0.01))

    assert 408 == (await stage.post(b"eyJ", ending="dribbles")).status


async def crowd(
    stage: Stage, *parts: bytes, number: int, then: Callable[[], Awaitable[object]]
) -> list[int]:
    """Hold a number of bodies open; return their statuses in the order of their beginning.

    Each has these parts. `then` is awaited while they are open; afterwards all are cancelled.
    """
    statuses = [0] * number
    begun = [list[bytes]() for _ in range(number)]

    async def hold(place: int) -> None:
        answer = await post(stage.endpoint, *parts, ending="dribbles", taken=begun[place])
        assert isinstance(answer, Answer)
        statuses[place] = answer.status

    async with anyio.create_task_group() as group:
        for place in range(number):
            group.start_soon(hold, place)
            await anyio.wait_all_tasks_blocked()
        await then()
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    return statuses


async def test_the_oldest_of_too_many_bodies_is_given_up() -> None:
    """The oldest body makes room, so that no stranger keeps an event out (R49, R51)."""
    stage = Stage(policy=SMALL)
    answers = []

    async def then() -> None:
        answers.append(await stage.post(token()))

    statuses = await crowd(stage, number=5, then=then)

    assert [200] == [answer.status for answer in answers]
    assert [503, 503, 503, 0, 0] == statuses


async def test_bodies_have_a_bound_of_bytes_in_all() -> None:
    """The bytes of all bodies under way are bounded, at any size of them (R49, R51)."""
    stage = Stage(policy=SMALL)

    async def then() -> None:
        assert 200 == (await stage.post(token())).status

    statuses = await crowd(stage, b"x" * 1500, number=3, then=then)

    assert [503, 503, 0] == statuses


async def test_bodies_that_are_over_leave_room() -> None:
    """Only bodies under way count: a thousand that have ended keep no other one out."""
    stage = Stage(policy=SMALL)
    for number in range(10):
        assert 200 == (await stage.post(numbered(number))).status
        assert await post(stage.endpoint, b"x" * 1500, ending="hung up") is None
        assert 413 == (await stage.post(b"x" * 1500, b"x" * 1500)).status

    async def then() -> None:
        """Send nothing more."""
        await anyio.lowlevel.checkpoint()

    assert [0, 0] == await crowd(stage, b"x" * 1500, number=2, then=then)


async def test_a_body_that_was_given_up_is_not_counted() -> None:
    """A body that ends before it hears that it was given up is verified, and leaves no count."""
    stage = Stage(policy=WebhookPolicy(max_bytes=1000))
    parts = [b"x" * 1500, b"x", b""]
    sent, body = list[Message](), token()

    async def receive() -> Message:
        # Without a checkpoint, as a server does that has the whole body already.
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Message) -> None:
        sent.append(message)

    await stage.endpoint(request_scope(), receive, send)

    assert 401 == sent[0]["status"]
    assert 200 == (await stage.post(body[:500], body[500:])).status


def test_a_body_shows_nothing() -> None:
    """A traceback with locals shows how long a body is, and none of its bytes (R35)."""
    body = Body(b" secret ")

    assert "<Body of 6 bytes>" == repr(body)
    assert b"secret" == bytes(body)
