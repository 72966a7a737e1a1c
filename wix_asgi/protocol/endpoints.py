"""Wix's endpoints without I/O: build the requests, parse the answers, sort the refusals.

The exchange and the refresh are `POST /oauth/access` with a JSON body (Wix, "Use Advanced OAuth
Settings for Authenticating Your App"; named "Advanced OAuth" below).
"""

from __future__ import annotations

import json
from functools import lru_cache
from json import dumps
from typing import Any, Final
from urllib.parse import urlencode

from wix_asgi._http import httpx
from wix_asgi.errors import WixUnavailable
from wix_asgi.models import AccessToken, Grant
from wix_asgi.protocol.answers import parse_object, read_object, text_of
from wix_asgi.protocol.app_installations import ListingCredential, query_of
from wix_asgi.protocol.headers import HEADERS
from wix_asgi.settings import WixSettings

__all__ = [
    "FINISHED",
    "Endpoints",
    "check_event",
    "parse_client_credentials",
    "parse_grant",
]

FINISHED: Final = "APP_FINISHED_CONFIGURATION"
"""The BI event by which an app says that its setup on a site is finished (Advanced OAuth, 2.7)."""

_ACCESS_TOKEN_LIFETIME: Final = 300.0
"""Seconds that an access token lives where the answer does not say: the answers of
`/oauth/access` have no `expires_in`, and Wix documents five minutes (Advanced OAuth)."""

_CLIENT_CREDENTIALS_LIFETIME: Final = 14_400.0
"""Seconds that an access token of client credentials lives where the answer does not say: "always
14400" (Wix, "Create Access Token"); one implementer has seen answers without it."""

_MAX_LIFETIME: Final = 86_400.0
"""Seconds: a longer lifetime is taken for nonsense. The longest of Wix's tokens live 4 hours."""

_url: Final = lru_cache(maxsize=32)(httpx.URL)
"""Parses a URL of Wix, once: requests go to few paths of one host. The URLs hold no secret."""

# Parsed once, as the URLs are: each request copies them.
_HEADERS: Final = httpx.Headers(HEADERS)
_JSON_HEADERS: Final = httpx.Headers({**HEADERS, "Content-Type": "application/json"})


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

    def external_installer_url(self, state: str) -> str:
        """Return the URL of the external install flow, with `state` inside the callback's URL.

        Wix, "Set Up the External Install Flow".
        """
        query = {
            "appId": self._settings.app_id,
            "postInstallationUrl": f"{self._settings.redirect_url}?{urlencode({'state': state})}",
            "shareUrlId": self._settings.share_url_id or None,
        }
        present = {name: value for name, value in query.items() if value is not None}
        return f"{self._settings.wix_url}/app-installer?{urlencode(present)}"

    def close_window_url(self, access_token: str) -> str:
        """Return the URL that closes the consent window (Advanced OAuth, step 2.6)."""
        query = urlencode({"access_token": access_token})
        return f"{self._settings.wix_url}/installer/close-window?{query}"

    def exchange(self, code: str) -> httpx.Request:
        """Build the exchange of an authorization code (RFC 6749, 4.1.3)."""
        return self._token_request("/oauth/access", grant_type="authorization_code", code=code)

    def refresh(self, refresh_token: str) -> httpx.Request:
        """Build the refresh of an access token (RFC 6749, 6)."""
        return self._token_request(
            "/oauth/access", grant_type="refresh_token", refresh_token=refresh_token
        )

    def client_credentials(self, instance_id: str) -> httpx.Request:
        """Build the request for an access token of this installation (RFC 6749, 4.4.2).

        Wix, "Create Access Token".
        """
        return self._token_request(
            "/oauth2/token", grant_type="client_credentials", instance_id=instance_id
        )

    def app_instance(self, access_token: str) -> httpx.Request:
        """Build the question which installation and site `access_token` is for."""
        return self._request("GET", "/apps/v1/instance", token=access_token)

    def token_info(self, token: str) -> httpx.Request:
        """Build the question to whom an access token belongs; it carries no credentials."""
        return self._request("POST", "/oauth2/token-info", json={"token": token})

    def app_installations(
        self, credential: ListingCredential, cursor: str | None, path: str
    ) -> httpx.Request:
        """Build the question which sites have the app."""
        body = query_of(self._settings.app_id, cursor)
        request = self._request("POST", path, json=body)
        request.headers.update(credential.headers)
        return request

    def event(self, access_token: str, name: str) -> httpx.Request:
        """Build a BI event, such as `FINISHED` (Advanced OAuth, step 2.7)."""
        return self._request(
            "POST", "/apps/v1/bi-event", json={"eventName": name}, token=access_token
        )

    def _token_request(self, path: str, **grant: str) -> httpx.Request:
        body = {
            "client_id": self._settings.app_id,
            "client_secret": self._settings.app_secret.get_secret_value(),
            **grant,
        }
        return self._request("POST", path, json=body)

    def _request(
        self, method: str, path: str, *, json: object = None, token: str | None = None
    ) -> httpx.Request:
        # In ASCII: an id may have a lone surrogate, and the error of the codec would hold the body.
        content = None if json is None else dumps(json).encode()
        headers = _HEADERS if json is None else _JSON_HEADERS
        request = httpx.Request(
            method, _url(f"{self._api_url}{path}"), content=content, headers=headers
        )
        if token is not None:
            request.headers["Authorization"] = token
        return request


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
    grant = _grant(read_object(response), requested_at)
    if grant is None:
        raise WixUnavailable("Wix answered without an access token.")
    return grant


def parse_client_credentials(response: httpx.Response, *, requested_at: float) -> Grant:
    """Read the answer to a request by client credentials that was sent at `requested_at`.

    Wix documents that the answer may be wrapped, as `{"statusCode": …, "body": …}` with the body as
    an object or as its text. A 401 that names no error refuses the app's credentials (RFC 6749,
    5.2): the request holds no other proof, and Wix was seen to answer 404 where the app is not
    installed.

    Raises:
        GrantRefused: The app is not installed there.
        WixMisconfigured: The app's own credentials are refused.
        WixUnavailable: Wix is failing, its answer is no grant, or its lifetime makes no sense.
    """
    answer = _unwrapped(response)
    grant = _client_grant(read_object(answer, sent_only_credentials=True), requested_at)
    if grant is None:
        raise WixUnavailable("Wix answered without an access token, or with a senseless lifetime.")
    return grant


def check_event(response: httpx.Response) -> None:
    """Check that Wix has accepted a BI event.

    Raises:
        GrantRefused: Wix refuses the event.
        WixMisconfigured: The app's own credentials are refused.
        WixUnavailable: Wix is failing.
    """
    read_object(response)


def _grant(body: dict[str, Any], requested_at: float) -> Grant | None:
    value = _token(body.get("access_token"))
    if value is None:
        return None
    lifetime = _lifetime(body.get("expires_in"))
    token = AccessToken(value, lifetime, requested_at + lifetime)
    return Grant(token, _token(body.get("refresh_token")))


def _lifetime(expires_in: object) -> float:
    # A missing or senseless value must never come to mean "for ever".
    return _seconds(expires_in) or _ACCESS_TOKEN_LIFETIME


def _seconds(expires_in: object) -> float | None:
    """Return a lifetime that makes sense, or None."""
    if isinstance(expires_in, str) and expires_in.isdecimal():
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return None
    return float(expires_in) if 0 < expires_in <= _MAX_LIFETIME else None


def _token(value: object) -> str | None:
    # Visible ASCII (RFC 6749, A.12 and A.17): only such text can be sent in a header, and sealed.
    text = text_of(value)
    return text if text and text.isascii() and text.isprintable() else None


def _unwrapped(response: httpx.Response) -> httpx.Response:
    """Return the answer inside of a wrapped answer; other answers as they are."""
    wrapped = parse_object(response.content)
    if wrapped is None or "access_token" in wrapped:
        return response
    status, body = wrapped.get("statusCode"), wrapped.get("body", wrapped)
    if not isinstance(status, int) or not 100 <= status <= 599:
        return response
    if response.status_code != 200:
        # The status of HTTP is certain, and was not made by the wrapper.
        status = response.status_code
    content = body if isinstance(body, str) else json.dumps(body)
    # A text of JSON may have lone surrogates.
    return httpx.Response(
        status, headers=response.headers, content=content.encode(errors="replace")
    )


def _client_grant(body: dict[str, Any], requested_at: float) -> Grant | None:
    value, lifetime = _token(body.get("access_token")), _CLIENT_CREDENTIALS_LIFETIME
    if value is None:
        return None
    expires_in = body.get("expires_in")
    if expires_in is not None:
        seconds = _seconds(expires_in)
        if seconds is None:
            return None
        lifetime = seconds
    return Grant(AccessToken(value, lifetime, requested_at + lifetime))
