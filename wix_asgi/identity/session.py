"""Sessions for the app's own pages: begun by an install or a signed instance, kept in a cookie.

A page in Wix's iframe has a signed instance in its first address only. The session carries the
proof on to the page's further requests, in a cookie of its own for each site. It is no credential
of Wix's, and lives no longer than the proof and the installation that began it.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import anyio
from starlette.responses import Response
from starlette.types import Scope

from wix_asgi.asgi.cookies import COOKIE_ATTRIBUTES, Cookies, read_cookies
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import Unauthenticated
from wix_asgi.identity._generations import GenerationOf, Generations
from wix_asgi.identity._session_requests import OwnOrigin, named_sites
from wix_asgi.identity._session_seal import Session, SessionSeal
from wix_asgi.identity.session_policy import SessionPolicy
from wix_asgi.identity.signed_callers import SignedCallers
from wix_asgi.models import Identity, InstallFlow
from wix_asgi.protocol.instance_rules import InstanceRules
from wix_asgi.settings import WixSettings

__all__ = ["RequestSession", "Sessions"]

_KEPT_CLAIMS: Final = (
    "appDefId",
    "permissions",
    "signDate",
    "expirationDate",
    "uid",
    "siteOwnerId",
    "metaSiteId",
    "vendorProductId",
    "originInstanceId",
    "demoMode",
)
"""The claims that a session keeps: those of the rules, and those about the person and the site.

`biToken` and `bs` are Wix's own, and would fill the cookie.
"""


class RequestSession:
    """The session that one request brings.

    Attributes:
        identity: The caller; None until `check` has found the installation in place, and after it
            was found gone.
        problem: Why there is no caller, for the log; None where there may be one.
    """

    __slots__ = ("_session", "_sessions", "identity", "problem")

    def __init__(self, sessions: Sessions, session: Session | None, problem: str | None) -> None:
        """Be a `session` of `sessions`; or without one, say by `problem` why there is none."""
        self._sessions = sessions
        self._session = session
        self.identity: Identity | None = None
        self.problem = problem

    async def prepare(self) -> None:
        """Check the session ahead of its use, for a second at most; its use tells of a failure."""
        with contextlib.suppress(Exception), anyio.move_on_after(self._sessions.policy.look_wait):
            await self.check()

    async def check(self) -> Identity | None:
        """Return the caller; None where nobody is calling by this session.

        Raises:
            StorageUnavailable: The storage did not say whether the installation is in place.
        """
        if self._session is not None:
            self.identity = await self._sessions.identity_of(self._session)
            if self.identity is None:
                self.problem = "The session has ended, or its installation has."
        return self.identity


class Sessions:
    """The sessions of one app; lives with its `Wix`, and is safe to share among event loops."""

    def __init__(
        self,
        settings: WixSettings,
        signed: SignedCallers,
        generation_of: GenerationOf,
        detached: DetachedTasks,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        policy: SessionPolicy | None = None,
    ) -> None:
        """Begin sessions by instances of `signed`, for installations that `generation_of` finds.

        `clock` gives seconds since the epoch, and `monotonic` those of a clock that never steps.
        """
        self.policy = policy or SessionPolicy()
        self._seal = SessionSeal(settings)
        self._origin = OwnOrigin(settings.public_url)
        self._rules = InstanceRules(settings)
        self._is_external = settings.flow is InstallFlow.CLIENT_CREDENTIALS
        self._signed = signed
        self._generations = Generations(generation_of, detached, self.policy, clock=monotonic)
        self._clock = clock
        limit = self.policy.max_age
        self._max_age = min(settings.instance_max_age or limit, limit)

    def of(self, scope: Scope) -> RequestSession | None:
        """Return the session that a request or websocket brings; None without a cookie of one."""
        cookies = read_cookies(scope["headers"], self._seal.prefix)
        if not cookies:
            return None
        if not self._origin.sent(scope):
            return RequestSession(self, None, "Another page than the app's own sent the request.")
        named = named_sites(scope)
        if len(cookies) > 1 and not named:
            # Ended ones count: the tab of that site may be open still.
            return RequestSession(self, None, "There are cookies of several sites, and no name.")
        chosen = _choose([*self._living(cookies).values()], named)
        if isinstance(chosen, str):
            return RequestSession(self, None, chosen)
        return RequestSession(self, chosen, None)

    async def identity_of(self, session: Session) -> Identity | None:
        """Return the caller by this session; None if it has ended, or its installation has.

        Raises:
            StorageUnavailable: The storage did not say whether the installation is in place.
        """
        if not self._lasts(session) or not await self._generations.is_current(
            session.instance_id, session.generation
        ):
            return None
        return _identity(session)

    async def begin(
        self,
        scope: Scope,
        response: Response,
        instance_id: str,
        claims: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin a session in the answer to the browser in which an install has ended.

        A storage that fails just now costs the session, and not the install.
        """
        self.forget(instance_id)
        if self._is_external:
            # Its proof may be anybody's who is logged in on the site: it has to pass the rules.
            claims = _kept(claims or {})
            if self._rules.refusal(Identity(instance_id, claims), self._clock()) is not None:
                return
        else:
            claims = None
        for line in await self._cookies(scope, instance_id, claims):
            response.headers.append("Set-Cookie", line)

    def forget(self, instance_id: str) -> None:
        """Look at the installation anew the next time: this process has written its row."""
        self._generations.forget(instance_id)

    async def renewal(self, scope: Scope, values: Sequence[str]) -> list[str]:
        """Return the Set-Cookie lines for the answer to a request with a good signed instance.

        `values` are its instances. There are no lines where the session of the request says the
        same as the instance, and where another page than the app's own sent the request: that page
        would plant a session of its choice.
        """
        if not self._origin.sent(scope):
            return []
        try:
            signed = self._signed.find(values)
        except Unauthenticated:
            return []
        if signed is None or signed.refusal is not None:
            return []
        # A previous secret may have leaked: no session outlives its time (R57).
        if not self._signed.are_current(values):
            return []
        claims = signed.identity.claims
        return await self._cookies(scope, signed.identity.instance_id, _kept(claims))

    async def _cookies(
        self, scope: Scope, instance_id: str, claims: Mapping[str, Any] | None
    ) -> list[str]:
        """Return the lines that begin a session unless it goes on, and clear cookies in excess."""
        generation = None
        # A storage that fails must not cost the app its answer.
        with contextlib.suppress(Exception), anyio.move_on_after(self.policy.look_wait):
            generation = await self._generations.now(instance_id)
        name = self._seal.name_of(instance_id)
        cookies = read_cookies(scope["headers"], self._seal.prefix)
        session = generation and Session(instance_id, generation, self._clock(), claims)
        value = self._seal.seal(session) if session else None
        if not session or value is None:
            # Beside another site's session, a page without one must not use that one.
            if {*cookies} - {name} and name not in cookies:
                return [f"{name}=none; Max-Age={self._max_age}; {COOKIE_ATTRIBUTES}"]
            return []
        living = self._living(cookies)
        if self._goes_on(living.pop(name, None), session):
            return []
        # Ended ones last, and not cleared before they are too many: their tabs may be open still.
        others = sorted(
            {*cookies} - {name},
            key=lambda each: -living[each].began if each in living else math.inf,
        )
        over = others[self.policy.max_cookies - 1 :]
        return [
            f"{name}={value}; Max-Age={self._max_age}; {COOKIE_ATTRIBUTES}",
            *(f"{each}=; Max-Age=0; {COOKIE_ATTRIBUTES}" for each in sorted(over)),
        ]

    def _goes_on(self, old: Session | None, new: Session) -> bool:
        """Return whether the browser has a session that says the same, and will for long."""
        return (
            old is not None
            and old == replace(new, began=old.began)
            and new.began - old.began < self.policy.renewal
        )

    def _living(self, cookies: Cookies) -> dict[str, Session]:
        """Return the sessions in these cookies that are not over, by the name of the cookie."""
        pairs = ((name, value) for name in cookies for value in cookies[name])
        living: dict[str, Session] = {}
        for name, value in islice(pairs, self.policy.max_read):
            session = self._seal.open(name, value)
            # Of several with one name, as a browser has them at times, the newest counts.
            if session is not None and self._lasts(session):
                living[name] = max(session, living.get(name, session), key=lambda one: one.began)
        return living

    def _lasts(self, session: Session) -> bool:
        """Return whether the session is young enough, and the rules still allow its instance."""
        now = self._clock()
        if now - session.began > self._max_age:
            return False
        return session.claims is None or self._rules.refusal(_identity(session), now) is None


def _choose(sessions: Sequence[Session], named: AbstractSet[str]) -> Session | str:
    """Return the session of the site that the request is about, or why there is none."""
    if len(named) > 1:
        return "The request names several sites."
    if named:
        sessions = [session for session in sessions if session.instance_id in named]
    if not sessions:
        return "There is no session of the named site." if named else "The session has ended."
    return sessions[0]


def _kept(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {name: claims[name] for name in _KEPT_CLAIMS if name in claims}


def _identity(session: Session) -> Identity:
    return Identity(session.instance_id, session.claims or {})
