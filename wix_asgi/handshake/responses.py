"""The responses of the handshake's paths: their headers, their cookies, and the refusals."""

from __future__ import annotations

import copy
import logging
import secrets
from collections.abc import Awaitable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from wix_asgi.errors import (
    GrantRefused,
    HandshakeRefused,
    Reason,
    StorageUnavailable,
    WixMisconfigured,
    WixUnavailable,
    without_frames,
    without_locals,
)
from wix_asgi.handshake.state import Flow
from wix_asgi.hooks import Hooks
from wix_asgi.pages.refusals import STYLE_SOURCE, refusal_page, refusal_text
from wix_asgi.settings import WixSettings

__all__ = ["Responses"]

logger = logging.getLogger("wix_asgi")

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Wix closes its window from its own page: Advanced OAuth, step 1.6.
    "Cross-Origin-Opener-Policy": "unsafe-none",
}


class Responses:
    """Makes the responses of the install and callback paths; immutable."""

    def __init__(self, settings: WixSettings, hooks: Hooks) -> None:
        """Take the kind of cookies and Wix's address from `settings`; ask `hooks` at a refusal."""
        self._hooks = hooks
        # Python's http.cookies cannot write Partitioned before 3.14, hence by hand.
        self._cookie_attributes = (
            "Path=/; HttpOnly; SameSite=Lax"
            if settings.is_loopback
            else "Path=/; Secure; HttpOnly; SameSite=None; Partitioned"
        )
        self._state_ttl = settings.state_ttl
        # Wix shows the app's pages in an iframe of its own.
        ancestors = f"frame-ancestors https://*.wix.com {_origin(settings.wix_url)}"
        self._hook_policy = ancestors
        self._policy = (
            f"default-src 'none'; style-src {STYLE_SOURCE}; base-uri 'none'; "
            f"form-action 'none'; {ancestors}"
        )

    async def answer(
        self, request: Request, work: Awaitable[Response], *, ending: Flow | None = None
    ) -> Response:
        """Return the response of `work`, or the refusal for the error that it raised.

        The cookie of the flow that is `ending` is cleared, unless the same address may be loaded
        again.
        """
        outcome = await _outcome(work)
        if isinstance(outcome, Exception):
            may_load_again = _may_load_again(outcome)
            response = await self.refuse(request, outcome)
        else:
            response, may_load_again = outcome, False
        if ending is not None and not may_load_again:
            self.clear_cookie(response, ending.cookie_name)
        return response

    def with_headers(self, response: Response, *, from_hook: bool = False) -> Response:
        """Return the response with the headers of the handshake; a hook's response is copied."""
        if from_hook:
            response = _copy(response)
        headers = MutableHeaders(raw=response.raw_headers)
        for name, value in _HEADERS.items():
            headers[name] = value
        if not from_hook:
            headers["Content-Security-Policy"] = self._policy
        elif "frame-ancestors" not in headers.get("Content-Security-Policy", "").lower():
            # Beside the hook's own: browsers hold to all policies that a page has.
            headers.append("Content-Security-Policy", self._hook_policy)
        # Wix may load the page in an iframe; frame-ancestors says whose.
        del headers["X-Frame-Options"]
        return response

    def set_cookie(self, response: Response, flow: Flow) -> None:
        """Set the cookie that binds the browser to `flow`, for `state_ttl` seconds."""
        value = f"{flow.cookie_name}={flow.cookie_value}; Max-Age={self._state_ttl}"
        response.headers.append("Set-Cookie", f"{value}; {self._cookie_attributes}")

    def clear_cookie(self, response: Response, cookie_name: str) -> None:
        """Clear the cookie of a flow that is over."""
        value = f"{cookie_name}=; Max-Age=0"
        response.headers.append("Set-Cookie", f"{value}; {self._cookie_attributes}")

    async def refuse(self, request: Request, exc: Exception) -> Response:
        """Return the refusal of an install that stops because of `exc`, and log its incident."""
        refusal = _hide_frames(_as_refusal(exc))
        incident = secrets.token_hex(6)
        _log(refusal, incident, request)
        response = await self._call_on_error(refusal, request)
        if response is not None:
            return self.with_headers(response, from_hook=True)
        if _wants_json(request):
            body = {
                "error": refusal.reason.value,
                "message": refusal_text(refusal.reason),
                "incident": incident,
            }
            response = JSONResponse(body, refusal.status, refusal.headers)
        else:
            page = refusal_page(refusal.reason, incident)
            response = HTMLResponse(page, refusal.status, refusal.headers)
        return self.with_headers(response)

    async def _call_on_error(self, refusal: HandshakeRefused, request: Request) -> Response | None:
        try:
            return await self._hooks.refused(refusal, request)
        except (Exception, SystemExit) as exc:
            logger.error("an on_error hook raised", exc_info=without_locals(exc))  # noqa: TRY400
            return None


async def _outcome(work: Awaitable[Response]) -> Response | Exception:
    """Return the error of `work`, so that no error of an on_error hook is chained to it."""
    try:
        return await work
    except Exception as exc:
        return exc


def _as_refusal(exc: Exception) -> HandshakeRefused:
    reason, message, headers = Reason.INTERNAL, type(exc).__name__, None
    match exc:
        case HandshakeRefused():
            return exc
        case StorageUnavailable():
            reason, message, headers = Reason.STORAGE_UNAVAILABLE, str(exc), exc.headers
        case WixUnavailable():
            reason, message, headers = Reason.WIX_UNAVAILABLE, str(exc), exc.headers
        case GrantRefused() | WixMisconfigured():
            reason, message = Reason.EXCHANGE_REJECTED, str(exc)
    # The headers are copied: the hooks may change those of the refusal.
    refusal = HandshakeRefused(reason, message, headers=dict(headers or {}))
    refusal.__cause__ = exc
    return refusal


def _may_load_again(exc: Exception) -> bool:
    """Whether the same address, loaded again, can still end in an install."""
    if isinstance(exc, HandshakeRefused):
        # A state that is in use is another load's, which may have to give it back.
        return exc.reason in {Reason.BAD_REQUEST, Reason.STATE_REUSED}
    return isinstance(exc, StorageUnavailable) or (isinstance(exc, WixUnavailable) and exc.unsent)


def _log(refusal: HandshakeRefused, incident: str, request: Request) -> None:
    unexpected = refusal.status >= 500
    logger.log(
        logging.ERROR if unexpected else logging.WARNING,
        "install refused: %s, incident %s",
        _one_line(refusal),
        incident,
        exc_info=refusal.__cause__ if refusal.reason is Reason.INTERNAL else None,
        extra={"reason": refusal.reason.value, "incident": incident, "path": request.scope["path"]},
    )


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("Accept", "").lower()
    return "application/json" in accept and "text/html" not in accept


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _copy(response: Response) -> Response:
    """Return a copy with headers of its own: an app may give the same Response every time."""
    copied = copy.copy(response)
    copied.raw_headers = list(response.raw_headers)
    # Starlette's view of the list that was copied.
    vars(copied).pop("_headers", None)
    return copied


def _hide_frames(refusal: HandshakeRefused) -> HandshakeRefused:
    """Drop the frames, which hold queries and states; an internal error keeps those of the app.

    Its cause is a bug of the app or of ours, and is logged with a traceback.
    """
    if refusal.reason is Reason.INTERNAL:
        return without_locals(refusal)
    return without_frames(refusal)


def _one_line(refusal: HandshakeRefused) -> str:
    """Return the reason and the message for the log, in which no line may be forged."""
    reason = refusal.reason.value
    message = "".join(char if char.isprintable() else " " for char in refusal.message)
    return reason if message == reason else f"{reason} ({message})"
