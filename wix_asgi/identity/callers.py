"""The caller: the site of a signed instance in query or header, or the site that the app names."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol
from urllib.parse import parse_qsl

from starlette.requests import HTTPConnection
from starlette.types import Scope

from wix_asgi.errors import Unauthenticated
from wix_asgi.models import Identity
from wix_asgi.protocol.signed_instance import SIGNED, SignedInstances

__all__ = ["Caller", "KnownCaller", "RequestCaller", "ResolveIdentity"]

Headers = Iterable[tuple[bytes, bytes]]
"""The headers of an ASGI scope; their names are in lower case (ASGI, HTTP connection scope)."""

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
            Unauthenticated: The request names no site, or names it by a forgery.
        """
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


class RequestCaller:
    """The site that a request's query, its Authorization header or the app's own function names.

    Signed instances go first. A forged instance ends the search, and so do two instances of two
    sites: the app's own function is not called then.
    """

    __slots__ = ("_headers", "_query", "_resolve", "_scope", "_signed")

    def __init__(
        self,
        signed: SignedInstances,
        query: bytes,
        headers: Headers,
        *,
        resolve: ResolveIdentity | None = None,
        scope: Scope | None = None,
    ) -> None:
        """Look in `query` and `headers`; then call `resolve` with the request of `scope`."""
        self._signed = signed
        self._query = query
        self._headers = headers
        self._resolve = resolve
        self._scope = scope

    @property
    def identity(self) -> Identity | None:
        """The caller, as far as can be told without waiting; None for nobody or a forgery."""
        try:
            found = self._from_signed()
            if found is not None or inspect.iscoroutinefunction(self._resolve):
                return found
            resolved = self._resolved()
        except Unauthenticated:
            return None
        if inspect.iscoroutine(resolved):
            # Nobody awaits it here, and Python would warn of a coroutine that was never awaited.
            resolved.close()
        return _as_identity(resolved) if not inspect.isawaitable(resolved) else None

    async def identify(self) -> Identity:
        """Return the caller.

        Raises:
            Unauthenticated: The request names no site, or names it by a forgery.
        """
        found = self._from_signed()
        if found is None:
            resolved = self._resolved()
            found = _as_identity(await resolved if inspect.isawaitable(resolved) else resolved)
        if found is None:
            raise Unauthenticated
        return found

    def _from_signed(self) -> Identity | None:
        values = [*_in_query(self._query), *_in_header(self._headers)]
        identities = [self._signed.verify(value) for value in values]
        if len({identity.instance_id for identity in identities}) > 1:
            raise Unauthenticated("The query and the header are of two sites.")
        return identities[0] if identities else None

    def _resolved(self) -> Any:
        if self._resolve is None or self._scope is None:
            return None
        return self._resolve(HTTPConnection(self._scope))


def _in_query(query: bytes) -> list[str]:
    """Return the values that claim to be signed instances in the query."""
    if b"instance=" not in query:
        return []
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    values = [value for name, value in pairs if name == "instance"]
    # Several have no agreed meaning: servers differ in which of them they take. "" is a forgery.
    return values if len(values) < 2 else [""]


def _in_header(headers: Headers) -> list[str]:
    """Return the value that claims to be a signed instance in the Authorization header."""
    for name, value in headers:
        if name == b"authorization":
            text = value.decode("latin-1")
            if text[:7].lower() == "bearer ":
                text = text[7:]
            # A value in another form is the app's own business.
            return [text] if SIGNED.fullmatch(text) else []
    return []


def _as_identity(resolved: Resolved) -> Identity | None:
    if not resolved:
        return None
    return Identity(resolved) if isinstance(resolved, str) else resolved
