"""Wix's endpoints without I/O: build the requests, parse the answers, sort the refusals.

The exchange and the refresh are `POST /oauth/access` with a JSON body (Wix, "Use Advanced OAuth
Settings for Authenticating Your App"; named "Advanced OAuth" below).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

from wix_asgi._http import httpx
from wix_asgi.errors import GrantRefused, WixError, WixMisconfigured, WixUnavailable
from wix_asgi.models import AccessToken, Grant
from wix_asgi.settings import WixSettings

__all__ = [
    "FINISHED",
    "Endpoints",
    "TokenInfo",
    "check_event",
    "parse_grant",
    "parse_token_info",
    "retry_after",
]

FINISHED: Final = "APP_FINISHED_CONFIGURATION"
"""The BI event by which an app says that its setup on a site is finished (Advanced OAuth, 2.7)."""

_ACCESS_TOKEN_LIFETIME: Final = 300.0
"""Seconds that an access token lives where the answer does not say: the answers of
`/oauth/access` have no `expires_in`, and Wix documents five minutes (Advanced OAuth)."""

_MAX_LIFETIME: Final = 86_400.0
"""Seconds: a longer lifetime is taken for nonsense. The longest of Wix's tokens live 4 hours."""

_MAX_DELAY_DIGITS: Final = 9
"""A `Retry-After` of more digits, which is over 30 years, is taken for nonsense."""

_MAX_ERROR_CODE: Final = 64
"""Characters of an error code or request id that reach a log line, whose length Wix chooses."""

# 4xx statuses that say nothing of the grant: timeout, too early, too many (RFC 9110, 8470, 6585).
_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
# Error codes about the app's credentials: the first two of RFC 6749, 5.2, the third of Wix.
_CREDENTIALS: Final = frozenset({"invalid_client", "unauthorized_client", "app_id_not_found"})
# Error codes of a failing server (RFC 6749, 4.1.2.1), also met with a 4xx status.
_SERVER_ERRORS: Final = frozenset({"server_error", "temporarily_unavailable"})


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """Wix's answer about an access token: its app, its installation, and whether it is valid."""

    active: bool
    client_id: str | None
    instance_id: str | None


class Endpoints:
    """Builds requests and URLs for one app; immutable."""

    def __init__(self, settings: WixSettings) -> None:
        """Take the credentials and the URLs from the settings."""
        self._settings = settings
        self._api_url = settings.api_url

    def installer_url(self, state: str, token: str | None) -> str:
        """Return the URL of the site owner's consent at Wix (Advanced OAuth, step 2.2)."""
        query = {
            "token": token,
            "appId": self._settings.app_id,
            "redirectUrl": self._settings.redirect_url,
            "state": state,
        }
        present = {name: value for name, value in query.items() if value is not None}
        return f"{self._settings.wix_url}/installer/install?{urlencode(present)}"

    def close_window_url(self, access_token: str) -> str:
        """Return the URL that closes the consent window (Advanced OAuth, step 2.6)."""
        query = urlencode({"access_token": access_token})
        return f"{self._settings.wix_url}/installer/close-window?{query}"

    def exchange(self, code: str) -> httpx.Request:
        """Build the exchange of an authorization code (RFC 6749, 4.1.3)."""
        return self._access_request(grant_type="authorization_code", code=code)

    def refresh(self, refresh_token: str) -> httpx.Request:
        """Build the refresh of an access token (RFC 6749, 6)."""
        return self._access_request(grant_type="refresh_token", refresh_token=refresh_token)

    def token_info(self, token: str) -> httpx.Request:
        """Build the question to whom an access token belongs; it carries no credentials."""
        return httpx.Request("POST", f"{self._api_url}/oauth2/token-info", json={"token": token})

    def event(self, access_token: str, name: str) -> httpx.Request:
        """Build a BI event, such as `FINISHED` (Advanced OAuth, step 2.7)."""
        return httpx.Request(
            "POST",
            f"{self._api_url}/apps/v1/bi-event",
            json={"eventName": name},
            headers={"Authorization": access_token},
        )

    def _access_request(self, **grant: str) -> httpx.Request:
        body = {
            "client_id": self._settings.app_id,
            "client_secret": self._settings.app_secret.get_secret_value(),
            **grant,
        }
        return httpx.Request("POST", f"{self._api_url}/oauth/access", json=body)


def parse_grant(response: httpx.Response, *, requested_at: float) -> Grant:
    """Read the answer to an exchange or a refresh that was sent at `requested_at`.

    `requested_at` is in seconds of the monotonic clock. The access token's lifetime counts from
    it, so that a delayed answer does not make the token seem to live longer.

    Raises:
        GrantRefused: The code or refresh token is refused for good.
        WixMisconfigured: The app's own credentials are refused.
        WixUnavailable: Wix is failing, or its answer is no grant.
    """
    # No local variable holds the body, so that a traceback with locals shows no token.
    grant = _grant(_read(response), requested_at)
    if grant is None:
        raise WixUnavailable("Wix answered without an access token.")
    return grant


def parse_token_info(response: httpx.Response) -> TokenInfo:
    """Read the answer of token-info, in which Wix writes booleans as strings or as booleans.

    A token that Wix refuses to answer about counts as inactive.

    Raises:
        WixUnavailable: Wix is failing.
    """
    try:
        body = _read(response)
    except (GrantRefused, WixMisconfigured):
        return TokenInfo(active=False, client_id=None, instance_id=None)
    return TokenInfo(
        active=body.get("active") is True or body.get("active") == "true",
        client_id=_text(body.get("clientId")),
        instance_id=_text(body.get("instanceId")),
    )


def check_event(response: httpx.Response) -> None:
    """Check that Wix has accepted a BI event.

    Raises:
        GrantRefused: Wix refuses the event.
        WixMisconfigured: The app's own credentials are refused.
        WixUnavailable: Wix is failing.
    """
    _read(response)


def retry_after(headers: httpx.Headers) -> float | None:
    """Read `Retry-After` as seconds from now (RFC 9110, 10.2.3), or None."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal() and len(value) <= _MAX_DELAY_DIGITS:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        # A date without a zone is in UTC (RFC 9110, 5.6.7), not in this host's zone.
        seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds - time.time())


def _read(response: httpx.Response) -> dict[str, Any]:
    if response.status_code != 200:
        raise _refusal(response)
    body = _json(response.content)
    if body is None:
        raise WixUnavailable("Wix answered something that is not JSON.")
    return body


def _refusal(response: httpx.Response) -> WixError:
    status, code = response.status_code, _error_code(_json(response.content) or {})
    request_id = _printable(response.headers.get("x-wix-request-id", "-"))
    answered = f"{status} {code}" if code else f"{status}"
    said = f"Wix answered {answered} (x-wix-request-id {request_id})"
    if code in _CREDENTIALS:
        return WixMisconfigured(f"{said}: check WIX_APP_ID and WIX_APP_SECRET.")
    # The token endpoint answers no HTML: a proxy in front of it has answered.
    is_html = response.content.lstrip()[:1] == b"<"
    is_transient = status in _TRANSIENT_STATUSES or code in _SERVER_ERRORS or is_html
    if 400 <= status < 500 and not is_transient:
        return GrantRefused(said)
    return WixUnavailable(said, asked=retry_after(response.headers))


def _error_code(body: dict[str, Any]) -> str | None:
    """Find the code in an error as in RFC 6749, 5.2, or as in Wix's own APIs."""
    code = body.get("error")
    details = body.get("details")
    if code is None and isinstance(details, dict):
        application_error = details.get("applicationError")
        code = application_error.get("code") if isinstance(application_error, dict) else None
    return _printable(code).lower() if isinstance(code, str) else None


def _printable(text: str) -> str:
    return "".join(char for char in text[:_MAX_ERROR_CODE] if char.isalnum() or char in "-_.:")


def _grant(body: dict[str, Any], requested_at: float) -> Grant | None:
    value = _token(body.get("access_token"))
    if value is None:
        return None
    lifetime = _lifetime(body.get("expires_in"))
    token = AccessToken(value, lifetime, requested_at + lifetime)
    return Grant(token, _token(body.get("refresh_token")))


def _json(content: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _lifetime(expires_in: object) -> float:
    # A missing or senseless value must never come to mean "for ever".
    if isinstance(expires_in, str) and expires_in.isdecimal():
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return _ACCESS_TOKEN_LIFETIME
    if not 0 < expires_in <= _MAX_LIFETIME:
        return _ACCESS_TOKEN_LIFETIME
    return float(expires_in)


def _token(value: object) -> str | None:
    # Visible ASCII (RFC 6749, A.12 and A.17): only such text can be sent in a header, and sealed.
    text = _text(value)
    return text if text and text.isascii() and text.isprintable() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
