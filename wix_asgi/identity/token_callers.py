"""The callers that access tokens of Wix name: Wix is asked once, and its answer is remembered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Final, TypeAlias

import anyio

from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks, Interrupted
from wix_asgi.concurrency.fair_slots import FairSlots
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.concurrency.rate import Rate
from wix_asgi.errors import CallerReason, Unauthenticated, WixUnavailable
from wix_asgi.identity._presented_token import PresentedToken
from wix_asgi.identity._token_answers import TokenAnswers
from wix_asgi.identity.policy import TokenPolicy
from wix_asgi.models import Identity
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.token_info import TokenInfo
from wix_asgi.protocol.token_rules import TokenRules
from wix_asgi.settings import WixSettings

__all__ = ["TokenCallers"]

_Questions: TypeAlias = dict[bytes, DetachedTask[TokenInfo]]

_CROWDED: Final = "Too many access tokens are asked about at once."


class TokenCallers:
    """Finds the callers of one app by their access tokens; safe to share among threads.

    A question is asked once for all requests of an event loop that present the same token. It
    waits for its turn, which goes round over the networks of clients, and for the rate: strangers
    cost Wix no more than the policy allows, and tokens that are known cost it nothing.
    """

    def __init__(
        self,
        settings: WixSettings,
        oauth: OAuthClient,
        detached: DetachedTasks,
        *,
        ready: Callable[[], Awaitable[None]],
        policy: TokenPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Ask through `oauth`, once all is `ready`.

        `clock` gives monotonic seconds, and `wall_clock` seconds since the epoch.
        """
        self._policy = policy = policy or TokenPolicy()
        self._rules = TokenRules(settings)
        self._oauth = oauth
        self._detached = detached
        self._ready = ready
        self._wall_clock = wall_clock
        self._sleep = sleep
        self._good = TokenAnswers(policy.max_kept, clock=clock)
        self._refused = TokenAnswers(policy.max_refused, clock=clock)
        self._questions: PerLoop[_Questions] = PerLoop(dict)
        self._slots = FairSlots(
            policy.max_questions, max_queue=policy.max_queue, max_wait=policy.queue_wait
        )
        self._rate = Rate(policy.questions_per_second, policy.questions_burst, clock)

    def known(self, token: PresentedToken) -> Identity | None:
        """Return the caller that `token` names, as far as it is known; None without an answer.

        Raises:
            Unauthenticated: The token is refused.
        """
        if not token.is_readable:
            raise Unauthenticated("The access token is malformed.", reason=CallerReason.FORGED)
        info = self._good.get(token.key) or self._refused.get(token.key)
        return None if info is None else self._lent(info)

    async def find(self, token: PresentedToken, network: Hashable) -> Identity:
        """Return the caller that `token` names; Wix is asked where no answer is known.

        `network` is the network of the client that has sent the request.

        Raises:
            Unauthenticated: The token is refused.
            WixUnavailable: Wix is failing, or too many questions are waiting for it.
        """
        return self.known(token) or self._lent(await self._answer(token, network))

    def _lent(self, info: TokenInfo) -> Identity:
        refusal = self._rules.refusal(info, self._wall_clock())
        if refusal is not None:
            raise refusal
        # The rules refuse a token without one.
        return Identity(info.instance_id or "", info.claims)

    async def _answer(self, token: PresentedToken, network: Hashable) -> TokenInfo:
        questions = self._questions.here()
        question = questions.get(token.key)
        if question is None or question.is_done:
            # A shutdown waits for no stranger's question.
            question = questions[token.key] = self._detached.start(
                partial(self._ask, token, network, questions), is_waited_for=False
            )
        try:
            with anyio.move_on_after(self._policy.caller_wait):
                return await question.result()
        except Interrupted:
            raise WixUnavailable("The process is shutting down.") from None
        raise WixUnavailable("Wix takes too long to tell whose an access token is.")

    async def _ask(
        self, token: PresentedToken, network: Hashable, questions: _Questions
    ) -> TokenInfo:
        try:
            if not await self._slots.acquire(network):
                raise WixUnavailable(_CROWDED, unsent=True)
            try:
                await self._wait_for_rate()
                await self._ready()
                # No local of ours holds the token: a traceback with locals shows no secret.
                info = await self._oauth.token_info(token.reveal())
            finally:
                self._slots.release()
            self._remember(token.key, info)
            return info
        finally:
            del questions[token.key]

    async def _wait_for_rate(self) -> None:
        delay = self._rate.reserve(self._policy.queue_wait)
        if delay is None:
            raise WixUnavailable(_CROWDED, unsent=True)
        if delay:
            await self._sleep(delay)

    def _remember(self, key: bytes, info: TokenInfo) -> None:
        if self._rules.refusal(info, self._wall_clock()) is None:
            # Its end is looked at again at each use.
            self._good.put(key, info, self._policy.keep_for)
        else:
            self._refused.put(key, info, self._policy.keep_refused_for)
