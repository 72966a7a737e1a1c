"""The CPU of a webhook, from its request until its handler has run, beside a floor and Slack Bolt.

In process, without a server. The floor is what nobody can spare: the signature verified, the event
read, and the handler called; beside it is the same with all that a token of Wix has to have. An
event of Slack is signed by an HMAC, which costs a tenth of Wix's signature.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, Final, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.asgi_calls import call
from benchmarks.rounds import OURS, Comparison, Plan, Turn, at_most, in_loop, meter, take_turns
from benchmarks.slack import slack_events, slack_headers
from benchmarks.stores import servers
from wix_asgi import Wix, WixMiddleware
from wix_asgi.events import WebhookEvent
from wix_asgi.protocol.webhook_token import WebhookTokens
from wix_asgi.testing import FakeWix

__all__ = ["measure"]

SIZE: Final = 1_000
"""Bytes of an event's data, which make a token of two kilobytes."""

PATH: Final = "/wix/webhook"
CALLING: Final = "signature, token, handler"
LEAST: Final = "signature, handler"


Read = Callable[[bytes], str]
"""Reads a token; returns the type of its event."""


class Done:
    """Counts the handlers that have run."""

    def __init__(self) -> None:
        self._left = 0
        self._all = asyncio.Event()

    def expect(self, number: int) -> None:
        """Begin to count so many."""
        self._left = number
        self._all.clear()

    def one(self) -> None:
        """Count one handler."""
        self._left -= 1
        if self._left <= 0:
            self._all.set()

    async def wait(self) -> None:
        """Wait for the last one."""
        await self._all.wait()


def bodies(fake: FakeWix, number: int) -> list[bytes]:
    """Return the bodies of events, each of its own."""
    data = {"text": "x" * SIZE}
    return [fake.webhook_token("benchmark", None, data).encode() for _ in range(number)]


def signature_alone(fake: FakeWix) -> Read:
    """Return a function that verifies the signature of a token, and reads its event."""
    key = cast("rsa.RSAPublicKey", load_pem_public_key(fake.public_key.encode()))

    def read(body: bytes) -> str:
        signed, _, signature = body.rpartition(b".")
        decoded = base64.urlsafe_b64decode(signature + b"==")
        key.verify(decoded, signed, padding.PKCS1v15(), hashes.SHA256())
        payload = signed.partition(b".")[2]
        event = json.loads(json.loads(base64.urlsafe_b64decode(payload + b"=="))["data"])
        json.loads(event["data"])
        name: str = event["eventType"]
        return name

    return read


def whole_token(fake: FakeWix) -> Read:
    """Return a function that holds a token against all rules of ours."""
    tokens = WebhookTokens([fake.public_key], app_id=fake.app_id)

    def read(body: bytes) -> str:
        tokens.verify(body)
        return "benchmark"

    return read


def floor(read: Read, done: Done) -> ASGIApp:
    """Return an app that reads the token, and calls its handler."""

    async def handle() -> None:
        done.one()

    handlers = {"benchmark": handle}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await handlers[read((await receive())["body"])]()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send


@asynccontextmanager
async def ours(
    fake: FakeWix, storage: str, done: Done, webhooks: str = "run"
) -> AsyncIterator[ASGIApp]:
    """Open ours, which handles events or, with `store`, keeps them alone."""
    options: dict[str, Any] = {
        **fake.settings(),
        "public_url": "https://app.example.com",
        "storage": storage,
        "transport": fake.transport,
        "webhooks": webhooks,
        "webhook_concurrency": 64,
    }
    wix = Wix(**options)

    @wix.on("benchmark")
    async def handle(_event: WebhookEvent) -> None:
        done.one()

    async with wix:
        yield WixMiddleware(_nothing, wix)


async def post(app: ASGIApp, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Send one webhook.

    Raises:
        RuntimeError: It was not answered 200.
    """
    answer = await call(app, "POST", PATH, headers=headers, body=body)
    if answer.status != 200:
        raise RuntimeError(f"answered {answer.status}")


async def handled(app: ASGIApp, fake: FakeWix, done: Done, number: int) -> dict[str, float]:
    """Measure events until the last handler has run."""
    made = bodies(fake, number)
    done.expect(number)
    measured = meter()
    for body in made:
        await post(app, body)
    await done.wait()
    return measured.read(number)


async def kept(app: ASGIApp, fake: FakeWix, number: int) -> dict[str, float]:
    """Measure events until they are answered, and in the inbox."""
    made = bodies(fake, number)
    measured = meter()
    for body in made:
        await post(app, body)
    return measured.read(number)


def floors(fake: FakeWix, number: int) -> dict[str, Turn]:
    """Return the turns of the floor, with our rules for tokens and without."""
    reads = {CALLING: whole_token(fake), LEAST: signature_alone(fake)}
    turns: dict[str, Turn] = {}
    for name, read in reads.items():
        done = Done()
        turns[name] = partial(handled, floor(read, done), fake, done, number)
    return turns


def slack(numbers: Iterator[int]) -> Turn:
    """Return the turn of Slack Bolt."""
    done = Done()
    app = slack_events(done.one)

    async def turn(number: int) -> dict[str, float]:
        made = [slack_headers(next(numbers), SIZE) for _ in range(number)]
        done.expect(number)
        measured = meter()
        for body, headers in made:
            await post(app, body, headers)
        await done.wait()
        return measured.read(number)

    return partial(turn, 100)


async def rows(storage: str, name: str, plan: Plan) -> AsyncIterator[Comparison]:
    """Measure over one storage; the goal is that of the memory."""
    fake, number = FakeWix(), plan.count(full=300, quick=100)
    done = Done()
    async with ours(fake, storage, done) as app:
        turns: dict[str, Turn] = {
            OURS: partial(handled, app, fake, done, number),
            **floors(fake, number),
            "Slack Bolt": slack(count()),
        }
        for found in await take_turns(
            turns,
            plan,
            label=f"a webhook, handled, {name}",
            units={"cpu": "us of CPU"},
            goals={CALLING: at_most(2.0)} if name == "memory" else {},
        ):
            yield found


async def keeping(storage: str, name: str, plan: Plan) -> AsyncIterator[Comparison]:
    """Measure the answer alone: verified, sealed and kept."""
    fake, number = FakeWix(), plan.count(full=300, quick=100)
    async with ours(fake, storage, Done(), webhooks="store") as app:
        turns: dict[str, Turn] = {
            OURS: partial(kept, app, fake, number),
            **floors(fake, number),
        }
        for found in await take_turns(
            turns, plan, label=f"a webhook, kept, {name}", units={"cpu": "us of CPU"}
        ):
            yield found


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    with servers("handled", "kept") as stores:
        memory = dict.fromkeys(("handled", "kept"), "memory://")
        for name, urls in ({"memory": memory} | stores).items():
            yield from in_loop(rows(urls["handled"], name, plan))
            yield from in_loop(keeping(urls["kept"], name, plan))
