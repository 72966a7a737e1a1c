"""The caller: the site of a signed instance, of an access token of Wix, or that the app names."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from starlette.requests import HTTPConnection
from starlette.types import Scope

from wix_asgi.asgi.client_network import client_network
from wix_asgi.errors import CallerReason, NotInstalled, Unauthenticated
from wix_asgi.identity._places import Headers, in_header, in_query, token_in_header
from wix_asgi.identity._presented_token import PresentedToken
from wix_asgi.identity.signed_callers import SignedCaller, SignedCallers, two_sites
from wix_asgi.models import Identity

if TYPE_CHECKING:
    from wix_asgi.identity.session import RequestSession
    from wix_asgi.identity.token_callers import TokenCallers

__all__ = [
    "Address",
    "Caller",
    "Headers",
    "KnownCaller",
    "RequestCaller",
    "ResolveIdentity",
    "caller_of_proof",
]

Address: TypeAlias = Sequence[Any] | None
"""The `client` of a scope: the host and the port of its sender, where the server tells them."""

Resolved = Identity | str | None
ResolveIdentity = Callable[[HTTPConnection], Resolved | Awaitable[Resolved]]
"""The app's own function that names the caller: by an Identity or an instance ID, or None."""


class Caller(Protocol):
    """Names the site that a client works for."""

    @property
    def identity(self) -> Identity | None:
        """The caller, as far as can be told without waiting; None for nobody or a forgery."""
        ...

    async def identify(self) -> Identity:
        """Return the caller.

        Raises:
            Unauthenticated: The request names no site, or the caller may not use the client.
        """
        ...

    async def prepare(self) -> None:
        """Wait ahead for the answers that `identity` cannot wait for; raise nothing."""
        ...

    def log_not_installed(self, refusal: NotInstalled, instance_id: str) -> None:
        """Log that the calling site does not have the app, unless the app named the site itself."""
        ...


class KnownCaller:
    """The installation that the app's own code named."""

    __slots__ = ("identity",)

    def __init__(self, instance_id: str) -> None:
        """Work for this installation."""
        self.identity = Identity(instance_id)

    async def identify(self) -> Identity:
        """Return the installation that was named."""
        return self.identity

    async def prepare(self) -> None:
        """Do nothing: the installation is known."""

    def log_not_installed(self, refusal: NotInstalled, instance_id: str) -> None:
        """Log nothing: the code that named the installation gets the error."""


class RequestCaller:
    """The site that a request's query, its headers or the app's own function names.

    Signed instances go first, then an access token of Wix, then a session, then the app's own
    function. A refused proof ends the search. Only where an instance is merely too old do the token
    and the function have a say, if they name the same site. The first refusal is logged.
    """

    __slots__ = (
        "_address",
        "_headers",
        "_is_logged",
        "_query",
        "_resolve",
        "_scope",
        "_session",
        "_signed",
        "_tokens",
        "_values",
    )

    def __init__(
        self,
        signed: SignedCallers,
        query: bytes,
        headers: Headers,
        *,
        tokens: TokenCallers | None = None,
        address: Address = None,
        resolve: ResolveIdentity | None = None,
        scope: Scope | None = None,
        session: RequestSession | None = None,
    ) -> None:
        """Look in `query` and `headers`, and at `session`; then call `resolve` with the request.

        `address` is the sender's. Without `tokens` no access token is a proof.
        """
        self._signed = signed
        self._query = query
        self._headers = headers
        self._tokens = tokens
        self._address = address
        self._resolve = resolve
        self._scope = scope
        self._session = session
        self._is_logged = False
        self._values: tuple[str, ...] | None = None

    @property
    def instances(self) -> tuple[str, ...]:
        """The values that claim to be signed instances; searched for once (R51)."""
        if self._values is None:
            self._values = (*in_query(self._query), *in_header(self._headers))
        return self._values

    @property
    def identity(self) -> Identity | None:
        """The caller, as far as can be told without waiting; None for nobody or a refused one."""
        try:
            return self._known_at_once()
        except Unauthenticated as refusal:
            # Pages for everybody look here as well, so that nobody is no refusal yet.
            if refusal.reason is not CallerReason.NO_IDENTITY:
                self._log(refusal, refusal.instance_id)
            return None

    async def identify(self) -> Identity:
        """Return the caller; Wix is asked whose an access token is, where that is not known.

        Raises:
            Unauthenticated: The request names no site, or the caller may not use the client.
            WixUnavailable: Wix is to be asked, and is failing.
        """
        try:
            signed, token = self._find_signed(), self._find_token()
            if self._tokens is not None and token is not None:
                network = client_network({"client": self._address})
                return _agree(signed, await self._tokens.find(token, network))
            if signed is not None and signed.refusal is None:
                return signed.identity
            if signed is None and self._session is not None:
                caller = await self._session.check()
                if caller is not None:
                    return caller
            resolved = self._resolved()
            return self._settle(
                signed, await resolved if inspect.isawaitable(resolved) else resolved
            )
        except Unauthenticated as refusal:
            self._log(refusal, refusal.instance_id)
            raise

    async def prepare(self) -> None:
        """Check the session, so that `identity` need not wait for the storage."""
        if self._session is not None:
            await self._session.prepare()

    def log_not_installed(self, refusal: NotInstalled, instance_id: str) -> None:
        """Log that the calling site does not have the app."""
        self._log(refusal, instance_id)

    def _known_at_once(self) -> Identity | None:
        signed, token = self._find_signed(), self._find_token()
        if self._tokens is not None and token is not None:
            known = self._tokens.known(token)
            return None if known is None else _agree(signed, known)
        if signed is not None and signed.refusal is None:
            return signed.identity
        if signed is None and self._session is not None and self._session.identity is not None:
            return self._session.identity
        if inspect.iscoroutinefunction(self._resolve):
            return None
        resolved = self._resolved()
        if inspect.iscoroutine(resolved):
            # Nobody awaits it here, and Python would warn of a coroutine that was never awaited.
            resolved.close()
        return None if inspect.isawaitable(resolved) else self._settle(signed, resolved)

    def _find_signed(self) -> SignedCaller | None:
        return self._signed.find(self.instances)

    def _find_token(self) -> PresentedToken | None:
        return token_in_header(self._headers)

    def _resolved(self) -> Any:
        if self._resolve is None or self._scope is None:
            return None
        return self._resolve(HTTPConnection(self._scope))

    def _log(self, refusal: Unauthenticated | NotInstalled, instance_id: str | None) -> None:
        if not self._is_logged:
            self._is_logged = True
            self._signed.refusals.write(refusal, instance_id)

    def _settle(self, signed: SignedCaller | None, resolved: Resolved) -> Identity:
        """Return the caller that the app's own function named, beside an instance that is too old.

        Raises:
            Unauthenticated: It named nobody, or another site than the instance.
        """
        if not resolved:
            too_old = signed.refusal if signed is not None else None
            problem = self._session.problem if self._session is not None else None
            raise too_old or Unauthenticated(problem, reason=CallerReason.NO_IDENTITY)
        return _agree(signed, Identity(resolved) if isinstance(resolved, str) else resolved)


def caller_of_proof(
    value: str, signed: SignedCallers, *, tokens: TokenCallers | None
) -> RequestCaller:
    """Return the caller whom `value` names: a signed instance or an access token, as in a header.

    Any other value but "" is a forgery: it was given as a proof.
    """
    headers = [(b"authorization", value.encode(errors="replace"))]
    has_form = not value or in_header(headers) or token_in_header(headers)
    query, headers = (b"", headers) if has_form else (b"instance=", [])
    return RequestCaller(signed, query, headers, tokens=tokens)


def _agree(signed: SignedCaller | None, other: Identity) -> Identity:
    """Return the caller whom a signed instance and another proof name; the instance goes first.

    Raises:
        Unauthenticated: They name two sites.
    """
    if signed is None:
        return other
    if signed.identity.instance_id != other.instance_id:
        raise two_sites(signed.identity.instance_id, other.instance_id)
    return signed.identity if signed.refusal is None else other
