"""Who is calling: the signed `instance` that Wix puts into an app's address or header.

`<signature>.<data>`, both base64url without padding: HMAC-SHA256 with the app secret over the data
as it is written, and a JSON object (Wix, "Parse the Encoded App Instance Data").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from starlette.requests import HTTPConnection
from starlette.types import Scope

from wix_asgi.errors import Unauthenticated
from wix_asgi.models import Identity
from wix_asgi.settings import WixSettings

__all__ = ["Caller", "KnownCaller", "RequestCaller", "ResolveIdentity", "SignedInstances"]

Headers = Iterable[tuple[bytes, bytes]]
Resolved = Identity | str | None
ResolveIdentity = Callable[[HTTPConnection], Resolved | Awaitable[Resolved]]

_MAX_INSTANCE: Final = 8192
# 32 bytes are 43 characters, the last of which carries four bits: 16 of 64 letters are canonical.
_SIGNED = re.compile(r"([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])\.([A-Za-z0-9_-]+)")


class SignedInstances:
    """Verifies signed instances with the app secret and the previous ones; immutable."""

    def __init__(self, settings: WixSettings) -> None:
        """Take the secrets from the settings."""
        self._secrets = [secret.encode() for secret in settings.all_app_secrets]

    def verify(self, value: str) -> Identity:
        """Return who `value` says is calling.

        Raises:
            Unauthenticated: It is malformed, forged, expired, or an anonymous visitor's (`aid`).
        """
        match = _SIGNED.fullmatch(value) if len(value) <= _MAX_INSTANCE else None
        if match is None or not self._is_signed(*match.groups()):
            raise Unauthenticated("The signed instance is not genuine.")
        claims = _parse_claims(match[2])
        instance_id = claims.get("instanceId")
        if not isinstance(instance_id, str) or not instance_id:
            raise Unauthenticated("The signed instance names no installation.")
        if claims.get("aid") is not None:
            raise Unauthenticated("The signed instance is an anonymous visitor's.")
        if _is_over(claims.get("expirationDate")):
            raise Unauthenticated("The signed instance has expired.")
        return Identity(instance_id, claims)

    def _is_signed(self, signature: str, data: str) -> bool:
        given = base64.urlsafe_b64decode(signature + "=")
        digests = [hmac.digest(secret, data.encode(), hashlib.sha256) for secret in self._secrets]
        # All are compared, so that the time taken tells nothing of which one fits.
        return sum(hmac.compare_digest(given, digest) for digest in digests) > 0


class Caller(Protocol):
    """Says for whom a client works."""

    @property
    def identity(self) -> Identity | None:
        """Who is calling, as far as can be told without waiting; None for nobody or a forgery."""
        ...

    async def identify(self) -> Identity:
        """Who is calling.

        Raises:
            Unauthenticated: Nobody, or a forgery.
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
    """Whoever a request's query, its Authorization header or the app's own function names.

    Signed instances go first; one that is forged ends the search, and so do two of two sites.
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
        """Who is calling, as far as can be told without waiting; None for nobody or a forgery."""
        try:
            found = self._from_signed()
            if found is not None or inspect.iscoroutinefunction(self._resolve):
                return found
            resolved = self._resolved()
        except Unauthenticated:
            return None
        if inspect.iscoroutine(resolved):
            # Nobody will wait for it, which Python would warn of.
            resolved.close()
        return _as_identity(resolved) if not inspect.isawaitable(resolved) else None

    async def identify(self) -> Identity:
        """Who is calling.

        Raises:
            Unauthenticated: Nobody, or a forgery.
        """
        found = self._from_signed()
        if found is None:
            resolved = self._resolved()
            found = _as_identity(await resolved if inspect.isawaitable(resolved) else resolved)
        if found is None:
            raise Unauthenticated
        return found

    def _from_signed(self) -> Identity | None:
        values = _find_instances(self._query, self._headers)
        identities = [self._signed.verify(value) for value in values]
        if len({identity.instance_id for identity in identities}) > 1:
            raise Unauthenticated("The query and the header are of two sites.")
        return identities[0] if identities else None

    def _resolved(self) -> Any:
        if self._resolve is None or self._scope is None:
            return None
        return self._resolve(HTTPConnection(self._scope))


def _find_instances(query: bytes, headers: Headers) -> list[str]:
    """Find what claims to be a signed instance: that of the query, and that of the header."""
    return [*_in_query(query), *_in_header(headers)]


def _in_query(query: bytes) -> list[str]:
    if b"instance=" not in query:
        return []
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    values = [value for name, value in pairs if name == "instance"]
    # More than one is no claim to trust.
    return values if len(values) < 2 else [""]


def _in_header(headers: Headers) -> list[str]:
    for name, value in headers:
        if name == b"authorization":
            text = value.decode("latin-1")
            if text[:7].lower() == "bearer ":
                text = text[7:]
            # An app may have tokens of its own there.
            return [text] if _SIGNED.fullmatch(text) else []
    return []


def _parse_claims(data: str) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
        if base64.urlsafe_b64encode(raw).rstrip(b"=") != data.encode():
            raise Unauthenticated("The signed instance is not canonical.")
        claims = json.loads(
            raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError, binascii.Error):
        raise Unauthenticated("The signed instance is not JSON.") from None
    if not isinstance(claims, dict):
        raise Unauthenticated("The signed instance is not a JSON object.")
    return claims


def _is_over(moment: object) -> bool:
    """Whether a date of Wix's is past; one that is missing or in no known form is not."""
    try:
        until = datetime.fromisoformat(moment if isinstance(moment, str) else "")
    except ValueError:
        return False
    return until.replace(tzinfo=until.tzinfo or UTC) < datetime.now(UTC)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    claims = dict(pairs)
    if len(claims) != len(pairs):
        raise ValueError("a key is there twice")
    return claims


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _as_identity(resolved: Resolved) -> Identity | None:
    return Identity(resolved) if isinstance(resolved, str) and resolved else resolved or None
