"""The JSON of Wix's answers, and its refusals sorted into errors."""

from __future__ import annotations

import json
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

from wix_asgi._http import httpx
from wix_asgi.errors import GrantRefused, WixError, WixMisconfigured, WixUnavailable

__all__ = ["parse_object", "read_object", "refusal", "retry_after", "text_of"]

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


def read_object(response: httpx.Response, *, sent_only_credentials: bool = False) -> dict[str, Any]:
    """Return the JSON object of a successful answer.

    Where a request `sent_only_credentials`, a 401 without an error code refuses these.

    Raises:
        GrantRefused: Wix refuses the request for good.
        WixMisconfigured: Wix refuses the app's own credentials.
        WixUnavailable: Wix is failing, or its answer is no object.
    """
    if response.status_code != 200:
        raise refusal(response, sent_only_credentials=sent_only_credentials)
    body = parse_object(response.content)
    if body is None:
        raise WixUnavailable("Wix answered something that is not JSON.")
    return body


def refusal(response: httpx.Response, *, sent_only_credentials: bool = False) -> WixError:
    """Return the error for an answer that is no success.

    Where the request `sent_only_credentials`, a 401 without an error code refuses these.
    """
    status, code = response.status_code, _error_code(parse_object(response.content) or {})
    request_id = _printable(response.headers.get("x-wix-request-id", "-"))
    answered = f"{status} {code}" if code else f"{status}"
    said = f"Wix answered {answered} (x-wix-request-id {request_id})"
    # The token endpoint answers no HTML: a proxy in front of it has answered.
    is_html = response.content.lstrip()[:1] == b"<"
    is_unnamed_401 = status == 401 and code is None and not is_html
    if code in _CREDENTIALS or (is_unnamed_401 and sent_only_credentials):
        return WixMisconfigured(f"{said}: check WIX_APP_ID and WIX_APP_SECRET.")
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


def parse_object(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `content`, or None."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def text_of(value: object) -> str | None:
    """Return `value` if it is a text that is not empty, or None."""
    return value if isinstance(value, str) and value else None
