"""How bodies are verified: short ones at once, long ones one at a time beside the event loop."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from tests.limits import PATIENCE
from tests.protocol.webhook_signing import APP_ID, claims, pem, private_key, sign
from tests.webhooks.posting import request_scope, token
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.protocol.webhook_token import WebhookTokens
from wix_asgi.webhooks._bodies import Body
from wix_asgi.webhooks._refusal import WebhookRefused
from wix_asgi.webhooks._verification import Verification
from wix_asgi.webhooks.policy import WebhookPolicy

LONG = token(data={"appId": APP_ID, "filling": "x" * 100_000})


class Tokens(WebhookTokens):
    """Verifies as always, notes its threads, and holds long bodies until it is told."""

    def __init__(self) -> None:
        now = int(claims()["iat"])
        super().__init__([pem(private_key())], app_id=APP_ID, clock=lambda: now)
        self.threads: list[int] = []
        self.told = threading.Event()
        self.at_once = self.most = 0

    def verify(self, body: bytes) -> SignedEvent:
        self.threads.append(threading.get_ident())
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        if len(body) > WebhookPolicy().small_body:
            assert self.told.wait(PATIENCE)
        self.at_once -= 1
        return super().verify(body)


async def outcome(verification: Verification, body: bytes, address: str = "192.0.2.1") -> Any:
    """Return the type of an event, or the status of its refusal."""
    scope = {**request_scope(), "client": (address, 1)}
    try:
        return (await verification.verified(Body(body), scope)).event_type
    except WebhookRefused as refusal:
        return refusal.status


async def test_a_short_body_is_verified_at_once() -> None:
    """A body of the size that Wix's have needs no thread."""
    tokens = Tokens()

    assert "AppInstalled" == await outcome(Verification(tokens, WebhookPolicy()), token())
    assert [threading.get_ident()] == tokens.threads


async def test_long_bodies_hold_up_no_short_one() -> None:
    """Many bodies of a megabyte are verified one by one in a thread; events go by (R49, R51)."""
    tokens = Tokens()
    verification = Verification(tokens, WebhookPolicy(long_body_wait=PATIENCE))
    found: list[Any] = []

    async def send(body: bytes) -> None:
        found.append(await outcome(verification, body))

    async with anyio.create_task_group() as group:
        for number in range(10):
            forged = sign({"data": f"{number}" * 100_000}, key=private_key("stranger"))
            group.start_soon(send, forged)
        group.start_soon(send, LONG)
        await anyio.wait_all_tasks_blocked()
        short = await outcome(verification, token())
        tokens.told.set()

    assert "AppInstalled" == short
    assert {401: 10, "AppInstalled": 1} == {each: found.count(each) for each in found}
    assert 1 == tokens.threads.count(threading.get_ident())
    assert tokens.most <= 2


async def test_too_many_long_bodies_are_sent_away() -> None:
    """The queue of long bodies is bounded, and its turns go round over networks (R49)."""
    tokens = Tokens()
    policy = WebhookPolicy(max_long_bodies=2, long_body_wait=PATIENCE)
    verification = Verification(tokens, policy)
    strangers: list[Any] = []
    wixes: list[Any] = []

    async def send(found: list[Any], address: str) -> None:
        found.append(await outcome(verification, LONG, address))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(send, strangers, "192.0.2.1")
        await anyio.wait_all_tasks_blocked()
        group.start_soon(send, wixes, "198.51.100.7")
        await anyio.wait_all_tasks_blocked()
        tokens.told.set()

    assert ["AppInstalled"] == wixes
    assert 3 == strangers.count(503)


async def test_a_long_body_waits_for_a_bounded_time() -> None:
    """A body whose turn does not come in time is answered 503, so that Wix sends it again."""
    tokens = Tokens()
    verification = Verification(tokens, WebhookPolicy(long_body_wait=0.01))
    async with anyio.create_task_group() as group:
        group.start_soon(outcome, verification, LONG)
        await anyio.wait_all_tasks_blocked()
        late = await outcome(verification, LONG)
        tokens.told.set()

    assert 503 == late


async def test_a_refusal_has_nothing_of_the_body() -> None:
    """A refusal has no history, whose frames would hold the token (R35, R52)."""
    verification = Verification(Tokens(), WebhookPolicy())
    with pytest.raises(WebhookRefused) as caught:
        await verification.verified(Body(token() + b"x"), request_scope())

    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
