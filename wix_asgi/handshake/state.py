"""The one-time state of an install: mint it, bind it to a browser, check it. No I/O.

Beginning an install costs no storage: the state is signed (itsdangerous, HMAC-SHA256) and carries
a random nonce, the app id, the redirect URL and the digest of a second random value, which goes
into a cookie of its own. At the callback both are compared, and the nonce is claimed in storage,
once (RFC 9700, 2.1 and 4.7).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode, want_bytes

from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.sealing.keys import derive_key
from wix_asgi.settings import WixSettings

__all__ = ["MAX_CLOCK_DIFFERENCE", "Flow", "StateSigner"]

MAX_CLOCK_DIFFERENCE: Final = 300.0
"""Seconds that the clock of the host that minted a state may be ahead of the checking host's.

A host judges by its own clock, and a load balancer may send the callback to another host than the
install. Synchronized clocks differ by less than a second; five minutes is the default of MIT
Kerberos for the same question (`clockskew` in krb5.conf).
"""

_MOMENT: Final = "~"
"""Stands in a nonce between its random text, which has none, and the moment in milliseconds."""

_COOKIE_PREFIX: Final = "wix-"
_HOST_PREFIX: Final = "__Host-"


class _Cookies(Protocol):
    def get(self, name: str, default: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Flow:
    """One install on its way: a state for the URL, and a cookie that binds it to the browser.

    Attributes:
        nonce: 256 random bits, in base64url, and a moment; its use is claimed in storage.
        cookie_name: A name for this flow only, so that several installs in one browser work.
        browser_digest: The SHA-256 of the cookie's value, in hexadecimal.
        cookie_value: 256 random bits, in base64url; known only when the flow begins.
        state: The signed text that goes to Wix and comes back; known only when the flow begins.
        begun_at: Seconds since the epoch by the minting host's clock, to the millisecond; to the
            second before it in a state of the release before.
    """

    nonce: str = field(repr=False)
    cookie_name: str
    browser_digest: str = field(repr=False)
    cookie_value: str = field(default="", repr=False)
    state: str = field(default="", repr=False)
    begun_at: float = 0.0

    def is_bound_to(self, cookies: _Cookies) -> bool:
        """Whether these cookies are of the browser in which the flow began."""
        # Any of the values will do: a cookie of the same name that a neighbouring host of the
        # domain has set beside ours keeps nobody out.
        return any(
            hmac.compare_digest(_digest(value), self.browser_digest)
            for value in cookies.get(self.cookie_name, ())
        )


class _Signer(TimestampSigner):
    """A signer with a clock that can be set, and one spelling for each signature."""

    clock: Callable[[], float] = staticmethod(time.time)

    def get_timestamp(self) -> int:
        return int(self.clock())

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        # itsdangerous skips characters that are not base64, and the spare bits at the end.
        return super().verify_signature(value, sig) and hmac.compare_digest(
            base64_encode(base64_decode(sig)), want_bytes(sig)
        )


class StateSigner:
    """Mints and checks states for one app at one redirect URL; immutable, safe to share."""

    def __init__(self, settings: WixSettings, *, clock: Callable[[], float] = time.time) -> None:
        """Derive the signing keys from the app secrets; `clock` gives seconds since the epoch."""
        self._app_id = settings.app_id
        self._redirect_url = settings.redirect_url
        self._ttl = settings.state_ttl
        self._clock = clock
        self.cookie_prefix = (
            _COOKIE_PREFIX if settings.is_loopback else _HOST_PREFIX + _COOKIE_PREFIX
        )
        keys = [derive_key(secret, "install state") for secret in settings.all_app_secrets]
        self._serializer = URLSafeTimedSerializer(
            list(reversed(keys)),  # itsdangerous signs with the last
            salt="wix-asgi.state",
            signer=type("_ClockedSigner", (_Signer,), {"clock": staticmethod(clock)}),
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def mint(self) -> Flow:
        """Begin a flow, good for one callback within `state_ttl` seconds."""
        # The moment in the nonce: the signed one has whole seconds, and workers of the release
        # before read four parts and no more.
        milliseconds = int(self._clock() * 1000)
        nonce = f"{secrets.token_urlsafe(32)}{_MOMENT}{milliseconds}"
        browser = secrets.token_urlsafe(32)
        digest = _digest(browser)
        state = self._serializer.dumps([nonce, self._app_id, self._redirect_url, digest])
        return Flow(
            nonce, self._cookie_name(nonce), digest, browser, str(state), milliseconds / 1000
        )

    def check(self, state: str | None) -> Flow:
        """Return the flow that `state` began at any browser; the flow knows its own.

        A state is good for `state_ttl` seconds by this host's clock, and from a host whose clock is
        ahead of it by up to `MAX_CLOCK_DIFFERENCE`.

        Raises:
            HandshakeRefused: The state is missing, forged, expired, or was minted for another app
                or redirect URL.
        """
        if not state:
            raise HandshakeRefused(Reason.STATE_MISSING)
        nonce, browser_digest, minted_at = self._read(state)
        moment = nonce.partition(_MOMENT)[2]
        begun_at = int(moment) / 1000 if moment else minted_at
        return Flow(nonce, self._cookie_name(nonce), browser_digest, begun_at=begun_at)

    def _read(self, state: str) -> tuple[str, str, float]:
        try:
            # Not max_age: itsdangerous takes a state of a host that is a second ahead for expired.
            payload: Any
            payload, minted_at = self._serializer.loads(state, return_timestamp=True)
        except (BadData, UnicodeEncodeError) as exc:
            raise HandshakeRefused(Reason.STATE_INVALID) from exc
        self._check_age(int(self._clock()) - int(minted_at.timestamp()))
        nonce, app_id, redirect_url, browser_digest = payload
        if (app_id, redirect_url) != (self._app_id, self._redirect_url):
            raise HandshakeRefused(Reason.STATE_INVALID, "state of another app or redirect URL")
        return nonce, browser_digest, minted_at.timestamp()

    def _check_age(self, age: int) -> None:
        if age > self._ttl:
            raise HandshakeRefused(
                Reason.STATE_EXPIRED, f"minted {age} s ago, and good for {self._ttl} s"
            )
        if -age > MAX_CLOCK_DIFFERENCE:
            raise HandshakeRefused(
                Reason.STATE_EXPIRED, f"minted {-age} s ahead of this host's clock"
            )

    def _cookie_name(self, nonce: str) -> str:
        return self.cookie_prefix + hashlib.sha256(nonce.encode()).hexdigest()[:16]


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
