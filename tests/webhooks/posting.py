"""An endpoint for webhooks over a storage in memory, and requests to it as servers make them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.types import ASGIApp, Message

from tests.protocol.webhook_signing import APP_ID, NOW, claims, event_text, pem, private_key, sign
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.models import EventCounts, EventRecord
from wix_asgi.protocol.webhook_token import WebhookTokens
from wix_asgi.sealing.vault import Vault
from wix_asgi.webhooks.endpoint import WebhookEndpoint
from wix_asgi.webhooks.inbox import Inbox
from wix_asgi.webhooks.policy import WebhookPolicy
from wix_asgi_backends.memory import MemoryStorage

__all__ = ["Answer", "FlakyStorage", "Stage", "numbered", "post", "request_scope", "token"]


def token(**changes: Any) -> bytes:
    """Return a token of Wix for an AppInstalled but for `changes` of its second layer."""
    times = {name: changes.pop(name) for name in ("iat", "exp") if name in changes}
    return sign(claims(data=event_text(**changes), **times))


def numbered(number: int) -> bytes:
    """Return the token of an event of its own."""
    return token(webhookId=f"wId_{number}")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request."""

    status: int
    headers: dict[str, str]
    body: bytes


def request_scope(method: str = "POST", headers: Iterable[tuple[bytes, bytes]] = ()) -> Any:
    """Return the scope of a request to the webhook path."""
    return {
        "type": "http",
        "method": method,
        "scheme": "https",
        "path": "/wix/webhook",
        "query_string": b"",
        "headers": [(b"host", b"app.example.com"), *headers],
        "client": ("192.0.2.1", 4711),
    }


async def post(
    app: ASGIApp,
    *parts: bytes,
    method: str = "POST",
    headers: Iterable[tuple[bytes, bytes]] = (),
    ending: str = "whole",
    taken: list[bytes] | None = None,
) -> Answer | None:
    """Send a body of these parts; return the answer, or None where there was none.

    After the parts the body is `whole`, the client has `hung up`, or it `dribbles`: nothing comes
    any more. `taken` is added each part that the app reads.
    """
    waiting = list(parts)
    sent: list[Message] = []

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        if not waiting and ending == "dribbles":
            await anyio.sleep_forever()
        if not waiting and ending == "hung up":
            return {"type": "http.disconnect"}
        part = waiting.pop(0) if waiting else b""
        if taken is not None:
            taken.append(part)
        more = bool(waiting) or ending != "whole"
        return {"type": "http.request", "body": part, "more_body": more}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(request_scope(method, headers), receive, send)
    if not sent:
        return None
    named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], named, b"".join(message["body"] for message in sent[1:]))


class FlakyStorage(MemoryStorage):
    """A storage in memory whose steps wait or fail where they are told to.

    Attributes:
        added: How many events were to be added.
        counted: How many times the events were counted.
        errors: The error of each step that fails.
        gates: The event that a step waits for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.added = self.counted = self.under_way = self.most = 0
        self.errors: dict[str, Exception] = {}
        self.gates: dict[str, anyio.Event] = {}

    async def add_event(self, record: EventRecord) -> bool:
        self.added += 1
        await self._reach("add")
        return await super().add_event(record)

    async def count_events(self, app_id: str, *, limit: int) -> EventCounts:
        self.counted += 1
        await self._reach("count")
        return await super().count_events(app_id, limit=limit)

    async def _reach(self, step: str) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await anyio.lowlevel.checkpoint()
            if step in self.gates:
                await self.gates[step].wait()
            if step in self.errors:
                raise self.errors[step]
        finally:
            self.under_way -= 1


@dataclass
class Stage:
    """An endpoint with all of its parts."""

    policy: WebhookPolicy = field(default_factory=WebhookPolicy)
    wanted: Sequence[str] = ("AppInstalled",)
    storage: FlakyStorage = field(default_factory=FlakyStorage)
    now: float = NOW
    woken: int = 0
    opened: int = 0
    opening: anyio.Event | None = None
    is_open: bool = False

    def __post_init__(self) -> None:
        self.detached = DetachedTasks()
        self.vault = Vault([bytes(range(32))])
        self.inbox = Inbox(APP_ID, self.storage, self.vault)
        self.endpoint = WebhookEndpoint(
            app_id=APP_ID,
            tokens=WebhookTokens([pem(private_key())], app_id=APP_ID, clock=lambda: self.now),
            inbox=self.inbox,
            is_wanted=lambda event_type: event_type in self.wanted,
            wake=self._wake,
            ready=self._open,
            is_ready=lambda: self.is_open,
            detached=self.detached,
            policy=self.policy,
            clock=lambda: self.now,
        )

    async def post(self, *parts: bytes, **how: Any) -> Answer:
        """Send a request that is answered."""
        answer = await post(self.endpoint, *parts, **how)
        assert answer is not None
        return answer

    async def statuses(self, *bodies: bytes) -> list[int]:
        """Return the statuses of these bodies, sent at one time."""
        found: list[int] = [0] * len(bodies)

        async def send(number: int) -> None:
            found[number] = (await self.post(bodies[number])).status

        async with anyio.create_task_group() as group:
            for number in range(len(bodies)):
                group.start_soon(send, number)
        return found

    async def kept(self) -> list[str]:
        """Return the types of the events in the inbox."""
        return [kept.record.event_type async for kept in self.inbox.all()]

    def _wake(self) -> None:
        self.woken += 1

    async def _open(self) -> None:
        self.opened += 1
        if self.opening is not None:
            await self.opening.wait()
