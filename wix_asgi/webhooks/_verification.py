"""The verification of bodies, which costs the more the longer they are: anybody can send them."""

from __future__ import annotations

import anyio
from anyio import to_thread
from starlette.types import Scope

from wix_asgi.asgi.client_network import client_network
from wix_asgi.concurrency.fair_slots import FairSlots
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.protocol.webhook_token import ForgedToken, WebhookTokens
from wix_asgi.webhooks._bodies import Body
from wix_asgi.webhooks._refusal import WebhookRefused
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["Verification"]


class Verification:
    """Verifies short bodies at once, and long ones in a thread, one at a time in a process.

    The long ones take turns over the networks of their clients. Shared by all event loops.
    """

    def __init__(self, tokens: WebhookTokens, policy: WebhookPolicy) -> None:
        """Verify by `tokens`."""
        self._tokens = tokens
        self._policy = policy
        self._turns = FairSlots(1, max_queue=policy.max_long_bodies, max_wait=policy.long_body_wait)
        # Not the threads of the app, which may all be busy.
        self._threads = PerLoop(lambda: anyio.CapacityLimiter(1))

    async def verified(self, body: Body, scope: Scope) -> SignedEvent:
        """Return the event in a body.

        Raises:
            WebhookRefused: It is a forgery or no event, or waits behind too many long ones.
        """
        if len(body) <= self._policy.small_body:
            return self._verify(body)
        if not await self._turns.acquire(client_network(scope)):
            raise WebhookRefused(
                503, "too many long bodies are verified", retry_after=self._policy.retry_after
            )
        try:
            return await to_thread.run_sync(self._verify, body, limiter=self._threads.here())
        finally:
            self._turns.release()

    def _verify(self, body: Body) -> SignedEvent:
        try:
            return self._tokens.verify(bytes(body))
        except ForgedToken as exc:
            reason = str(exc)
        raise WebhookRefused(401, reason)
