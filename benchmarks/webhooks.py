"""The cost of a webhook, beside its signature, its token, its keeping and its handler alone.

In process and in memory, without a server: the yardstick is the signature, which nobody can spare.
The result is the ratios of one run; `inbox` has the cost of the storages.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from starlette.types import Message, Scope

from wix_asgi import Wix, WixMiddleware
from wix_asgi.events import WebhookEvent
from wix_asgi.protocol.webhook_token import WebhookTokens
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage

__all__ = ["measure", "report"]

EVENTS, ROUNDS = 500, 5
SIZE = 1_000
"""Bytes of an event's data, which make a token of two kilobytes."""

SCOPE: Scope = {
    "type": "http",
    "method": "POST",
    "path": "/wix/webhook",
    "raw_path": b"/wix/webhook",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"app.example.com")],
    "client": ("127.0.0.1", 50_000),
}


def bodies(fake: FakeWix) -> list[bytes]:
    """Return the bodies of events, each of its own."""
    data = {"text": "x" * SIZE}
    return [fake.webhook_token("benchmark", None, data).encode() for _ in range(EVENTS)]


def each(work: Callable[[bytes], object], tokens: Sequence[bytes]) -> float:
    """Return the seconds of one call of `work`."""
    began = perf_counter()
    for token in tokens:
        work(token)
    return (perf_counter() - began) / len(tokens)


def check_signature(fake: FakeWix) -> Callable[[bytes], object]:
    """Return a function that verifies the signature of a token, and nothing else of it."""
    key = cast("rsa.RSAPublicKey", load_pem_public_key(fake.public_key.encode()))

    def check(token: bytes) -> None:
        signed, _, signature = token.rpartition(b".")
        decoded = base64.urlsafe_b64decode(signature + b"==")
        key.verify(decoded, signed, padding.PKCS1v15(), hashes.SHA256())

    return check


def make_wix(fake: FakeWix, storage: MemoryStorage, webhooks: str) -> Wix:
    """Return a Wix in memory."""
    options: dict[str, Any] = {
        **fake.settings(),
        "public_url": "https://app.example.com",
        "storage": storage,
        "transport": fake.transport,
        "webhooks": webhooks,
        "webhook_concurrency": 64,
    }
    return Wix(**options)


async def post(app: WixMiddleware, body: bytes) -> None:
    """Send one webhook.

    Raises:
        RuntimeError: It was not answered 200.
    """
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(dict(SCOPE), receive, send)
    if statuses != [200]:
        raise RuntimeError(f"answered {statuses}")


async def _nothing(scope: Scope, receive: Any, send: Any) -> None:
    del scope, receive, send


def handling(wix: Wix, number: int) -> asyncio.Event:
    """Register a handler; return an event that is set once it has run so many times."""
    done = asyncio.Event()
    left = number

    @wix.on("benchmark")
    async def handle(_event: WebhookEvent) -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    return done


async def run_apart(fake: FakeWix, tokens: Sequence[bytes]) -> tuple[float, float]:
    """Return the seconds of keeping an event, and of taking and handling it."""
    async with MemoryStorage() as storage:
        async with make_wix(fake, storage, "store") as wix:
            app = WixMiddleware(_nothing, wix)
            began = perf_counter()
            for token in tokens:
                await post(app, token)
            kept = perf_counter() - began
        wix = make_wix(fake, storage, "run")
        done = handling(wix, len(tokens))
        async with wix:
            began = perf_counter()
            work = asyncio.create_task(wix.work_events())
            await done.wait()
            handled = perf_counter() - began
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
    return kept / len(tokens), handled / len(tokens)


async def run_whole(fake: FakeWix, tokens: Sequence[bytes]) -> float:
    """Return the seconds of an event from its request until its handler has run."""
    async with MemoryStorage() as storage, make_wix(fake, storage, "run") as wix:
        done = handling(wix, len(tokens))
        app = WixMiddleware(_nothing, wix)
        began = perf_counter()
        for token in tokens:
            await post(app, token)
        await done.wait()
        return (perf_counter() - began) / len(tokens)


def measure() -> dict[str, float]:
    """Measure all, in rounds that take turns; seconds and ratios."""
    fake = FakeWix()
    tokens = WebhookTokens([fake.public_key], app_id=fake.app_id)
    times: dict[str, list[float]] = {
        name: [] for name in ("signature", "token", "kept", "handled", "whole")
    }
    for _ in range(ROUNDS):
        made = bodies(fake)
        times["signature"].append(each(check_signature(fake), made))
        times["token"].append(each(tokens.verify, made))
        kept, handled = asyncio.run(run_apart(fake, made))
        times["kept"].append(kept)
        times["handled"].append(handled)
        times["whole"].append(asyncio.run(run_whole(fake, made)))
    figures = {name: median(values) for name, values in times.items()}
    figures |= {f"{name}_ratio": figures[name] / figures["signature"] for name in figures}
    return figures


def report(figures: dict[str, float]) -> str:
    """Return the lines that `python -m benchmarks` prints."""
    named = {
        "signature": "the signature of a token of two kilobytes alone",
        "token": "the whole token verified and read",
        "kept": "a webhook answered: verified, sealed and kept",
        "handled": "an event taken, opened and handled",
        "whole": "a webhook from the request to the end of its handler",
    }
    return "\n".join(
        f"{text:54} {figures[name] * 1e6:6.0f} us  {figures[f'{name}_ratio']:5.1f} x"
        for name, text in named.items()
    )
