"""Everything wix-asgi raises, and the reasons a handshake is refused.

WixError
├── SettingsError (ValueError)          start-up: one or more settings are wrong
├── BackendNotFound (LookupError)       start-up: no storage backend for this URL
├── MiddlewareMissing (RuntimeError)    get_wix() without WixMiddleware in front
├── AuthorizationConflict (ValueError)  a call to Wix carries an Authorization header of its own
├── ResponseTooLarge                    an answer that was to be read whole is over the bound
├── WixMisconfigured                    Wix refuses the app's own credentials
├── GrantRefused                        Wix refuses a code or refresh token for good
├── LeaseLost                           the work of `wix.only_one` was cancelled before its end
├── HandshakeRefused                    an install that stops, with a Reason
├── UnsealError                         a stored token cannot be read
│   └── UnknownKey (LookupError)        … because its key is not in the key ring
└── RequestRefused (HTTPException)      403  a request that is to be answered with a status
    ├── Unauthenticated         401     the caller is unknown, forged or not allowed (CallerReason)
    ├── NotInstalled            403     the app is not installed on the calling site
    ├── WixUnavailable          503     Wix cannot be reached, or is failing
    └── StorageUnavailable      503     the database cannot be reached, or is failing

RequestRefused is a starlette.exceptions.HTTPException, so that Starlette and others answer by
themselves; `wix_asgi.answer_refusal` makes its page or JSON.

Where a call of the client raises WixUnavailable, StorageUnavailable or ResponseTooLarge, it is an
error of httpx too: see `wix_asgi.client._errors`.
"""

from __future__ import annotations

import copyreg
import math
from typing import Any, ClassVar

from starlette.exceptions import HTTPException

from wix_asgi._reasons import CallerReason, Reason

__all__ = [
    "AuthorizationConflict",
    "BackendNotFound",
    "CallerReason",
    "GrantRefused",
    "HandshakeRefused",
    "LeaseLost",
    "MiddlewareMissing",
    "NotInstalled",
    "Reason",
    "RequestRefused",
    "ResponseTooLarge",
    "SettingsError",
    "StorageUnavailable",
    "Unauthenticated",
    "UnknownKey",
    "UnsealError",
    "WixError",
    "WixMisconfigured",
    "WixUnavailable",
]


class WixError(Exception):
    """Anything wix-asgi raises.

    It can be pickled and copied with all its attributes, so it passes through queues and pools of
    processes. None of its attributes is a secret.
    """

    _default: ClassVar[str] = "Anything wix-asgi raises."
    """The message of an error that was raised without one; a docstring is gone under `-OO`."""

    def __init__(self, message: str | None = None) -> None:
        """Take `message`, or that of the class."""
        self.message = message or self._default
        # Not super(): a second parent takes other arguments. The HTTPException of Starlette 1.0.1
        # to 1.6.0 would take the message for a status code, and raise ValueError.
        Exception.__init__(self, self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without __init__, whose arguments are not the `args` by which an Exception is made anew.
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]

    def __str__(self) -> str:
        return self.message


class SettingsError(WixError, ValueError):
    """One or more settings are wrong; the message lists all of them, and no value."""

    _default = "One or more settings are wrong; the message lists all of them, and no value."


class BackendNotFound(WixError, LookupError):
    """No storage backend answers to the scheme of this URL."""

    _default = "No storage backend answers to the scheme of this URL."


class MiddlewareMissing(WixError, RuntimeError):
    """WixMiddleware is not in front of this app."""

    _default = "WixMiddleware is not in front of this app."


class AuthorizationConflict(WixError, ValueError):
    """A call to Wix carries an Authorization header of its own: pass `auth=None` to mean it."""

    _default = (
        "A call to Wix carries an Authorization header of its own: pass `auth=None` to mean it."
    )


class ResponseTooLarge(WixError):
    """The answer is larger than may be read whole: use `client.stream()` for it."""

    _default = "The answer is larger than may be read whole: use `client.stream()` for it."


class WixMisconfigured(WixError):
    """Wix refuses the app's own credentials: check WIX_APP_ID and WIX_APP_SECRET."""

    _default = "Wix refuses the app's own credentials: check WIX_APP_ID and WIX_APP_SECRET."


class GrantRefused(WixError):
    """Wix refuses this code or refresh token for good."""

    _default = "Wix refuses this code or refresh token for good."


class LeaseLost(WixError):
    """The lease of `wix.only_one` was lost, and its work cancelled: another worker may do it."""

    _default = (
        "The lease of `wix.only_one` was lost, and its work cancelled: another worker may do it."
    )


class UnsealError(WixError):
    """A stored token cannot be read: it was changed, or moved from another row."""

    _default = "A stored token cannot be read: it was changed, or moved from another row."


class UnknownKey(UnsealError, LookupError):
    """A stored token was sealed with a key that is not in the key ring.

    Attributes:
        key_id: The id of that key, eight hexadecimal digits.
    """

    def __init__(self, key_id: str) -> None:
        """Name the key that is wanted."""
        self.key_id = key_id
        super().__init__(
            f"A stored token was sealed with key {key_id}, which is in neither "
            "WIX_ENCRYPTION_KEYS nor derived from WIX_APP_SECRET or WIX_PREVIOUS_APP_SECRETS."
        )
        # Of these Celery makes it anew, where results are written as JSON.
        self.args = (key_id,)


class RequestRefused(WixError, HTTPException):
    """The request is refused.

    Raised by an app's own code, or by a class that it derives, the caller gets the message.
    WixMiddleware answers it wherever the app lets it escape before its response has begun.

    Attributes:
        status_code: The status of the answer.
        reason: Why; its codes are stable across releases.
        detail: The text for callers.
        headers: Further headers of the answer.
    """

    _default = "The request is refused."

    status: ClassVar[int] = 403
    reason: str = "request_refused"
    public: str | None = None
    """The text for callers, where the message is for the log alone."""

    def __init__(
        self, message: str | None = None, *, headers: dict[str, str] | None = None
    ) -> None:
        """Take `message`, or that of the class, and further headers of the answer."""
        WixError.__init__(self, message)
        self.status_code = self.status
        self.detail = self.public or self.message
        self.headers = headers


class Unauthenticated(RequestRefused):
    """The caller is unknown, forged, or may not use the client.

    Attributes:
        reason: Why; its codes are stable across releases, and `WWW-Authenticate` has them too.
        instance_id: The site that a genuine proof names; None where there is none.
    """

    _default = "The caller is unknown, forged, or may not use the client."

    status = 401
    # Nobody sets it anew, so that a narrower type does no harm.
    reason: CallerReason

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: CallerReason | None = None,
        instance_id: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Refuse for `reason`; then the caller gets its text, and `message` is for the log alone.

        An app that raises this by itself gives no reason: its caller gets the message.
        """
        given = reason or CallerReason.NO_IDENTITY
        self.reason = given  # pyright: ignore[reportIncompatibleVariableOverride]
        self.instance_id = instance_id
        self.public = None if reason is None else reason.text
        challenge = {"WWW-Authenticate": f'Wix error="{self.reason}"'}
        super().__init__(message or self.public, headers={**challenge, **(headers or {})})


class NotInstalled(RequestRefused):
    """The app is not installed on this site, or was removed from it.

    Attributes:
        reason: Always `not_installed`, beside the reasons of other refusals.
        instance_id: The site, where the error is of an installation that Wix refuses; else None.
    """

    _default = "The app is not installed on this site, or was removed from it."

    status = 403
    reason = "not_installed"

    def __init__(
        self,
        message: str | None = None,
        *,
        instance_id: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Name the site, if it is known."""
        self.instance_id = instance_id
        super().__init__(message, headers=headers)


class _Unavailable(RequestRefused):
    status = 503

    def __init__(self, message: str | None = None, *, retry_after: float = 5.0) -> None:
        """Advise to come back after `retry_after` seconds."""
        self.retry_after = retry_after
        super().__init__(message, headers={"Retry-After": str(max(1, math.ceil(retry_after)))})


class WixUnavailable(_Unavailable):
    """Wix cannot be reached, or is failing.

    Attributes:
        retry_after: Seconds after which to try again.
        asked: The same, where Wix itself asked for it; else None.
        unsent: True when the request provably never reached Wix, so that repeating it is safe.
    """

    _default = "Wix cannot be reached, or is failing."

    reason = "wix_unavailable"
    public = "Wix is not available at the moment."

    def __init__(
        self, message: str | None = None, *, asked: float | None = None, unsent: bool = False
    ) -> None:
        """Pass on the seconds that Wix `asked` for, and whether a repetition is safe (`unsent`)."""
        self.asked = asked
        self.unsent = unsent
        super().__init__(message, retry_after=5.0 if asked is None else asked)


class StorageUnavailable(_Unavailable):
    """The storage cannot be reached, or is failing; the driver's error is in `__cause__`."""

    _default = "The storage cannot be reached, or is failing; the driver's error is in `__cause__`."

    reason = "storage_unavailable"
    public = "The app is not available at the moment."


class HandshakeRefused(WixError):
    """An install stops here.

    Attributes:
        reason: Why; its codes are stable across releases.
        status: The HTTP status of the answer, where it is not the reason's own (414, 405).
        headers: Further headers of the answer (`Retry-After`, `Allow`).
    """

    def __init__(
        self,
        reason: Reason,
        message: str | None = None,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Refuse for `reason`; `message` is for the log, never for the page."""
        self.reason = Reason(reason)
        self.status = status or self.reason.status
        self.headers = headers or {}
        super().__init__(message or self.reason.value)
        # Of these Celery makes it anew, where results are written as JSON.
        self.args = (self.reason, self.message)
