"""Callers by access token in front of a fake Wix, under clocks and policies of a test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from anyio.lowlevel import checkpoint

from wix_asgi import CallerReason, Unauthenticated, WixSettings
from wix_asgi._http import httpx
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.identity.callers import RequestCaller, ResolveIdentity
from wix_asgi.identity.policy import TokenPolicy
from wix_asgi.identity.signed_callers import SignedCallers
from wix_asgi.identity.token_callers import TokenCallers
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.testing import FakeWix

TOKEN_INFO = "/oauth2/token-info"


class Asking:
    """An app whose callers send access tokens, and the clocks by which it remembers answers."""

    def __init__(
        self,
        fake: FakeWix,
        *,
        policy: TokenPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] | None = None,
        **settings: Any,
    ) -> None:
        self.fake = fake
        self.seconds = 0.0
        self.slept: list[float] = []
        own = WixSettings.load(
            public_url="https://app.example.com",
            storage="memory://",
            **{**fake.settings(), **settings},
        )
        self.detached = DetachedTasks()
        self.tokens = TokenCallers(
            own,
            OAuthClient(Endpoints(own), transport or fake.transport),
            self.detached,
            ready=checkpoint,
            policy=policy,
            clock=lambda: self.seconds,
            wall_clock=lambda: fake.clock.now() + self.seconds,
            sleep=sleep or self._sleep,
        )
        self._signed = SignedCallers(own)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await checkpoint()

    def caller(
        self,
        token: str,
        *,
        query: str = "",
        host: str = "192.0.2.1",
        resolve: ResolveIdentity | None = None,
    ) -> RequestCaller:
        """Return the caller of a request with `token` in its Authorization header."""
        headers = [(b"accept", b"*/*"), (b"authorization", token.encode("latin-1"))]
        return RequestCaller(
            self._signed,
            query.encode(),
            headers,
            tokens=self.tokens,
            address=(host, 50_000),
            resolve=resolve,
            scope={"type": "http", "query_string": query.encode(), "headers": headers},
        )

    async def outcome(self, token: str, **given: Any) -> str | CallerReason:
        """Return the site that a caller is of, or the reason for which it is refused."""
        try:
            return (await self.caller(token, **given).identify()).instance_id
        except Unauthenticated as refusal:
            return refusal.reason

    @property
    def questions(self) -> int:
        """The questions that Wix was asked."""
        return self.fake.count(TOKEN_INFO)
