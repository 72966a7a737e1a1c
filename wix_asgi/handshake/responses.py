"""The responses of the handshake's paths: their headers, their cookies, and the refusals."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from wix_asgi._frames import without_frames, without_locals
from wix_asgi.asgi.cookies import COOKIE_ATTRIBUTES
from wix_asgi.asgi.request_headers import read_headers
from wix_asgi.errors import (
    GrantRefused,
    HandshakeRefused,
    Reason,
    StorageUnavailable,
    WixMisconfigured,
    WixUnavailable,
)
from wix_asgi.handshake._next_page import link_after_install
from wix_asgi.handshake._refusal_log import RefusalLog
from wix_asgi.handshake.state import Flow
from wix_asgi.hooks import Hooks
from wix_asgi.identity.session import Sessions
from wix_asgi.models import InstallFlow
from wix_asgi.pages.contents import Cause
from wix_asgi.pages.headers import NEGOTIATED, PRIVATE
from wix_asgi.pages.languages import choose_language
from wix_asgi.pages.pages import Pages, refusal_text
from wix_asgi.settings import WixSettings

__all__ = ["Responses", "caught", "copy_response", "final_reason", "make_pages"]

T = TypeVar("T")

_HEADERS: Final = {
    **PRIVATE,
    # Wix closes its window from its own page: Advanced OAuth, step 1.6.
    "Cross-Origin-Opener-Policy": "unsafe-none",
}


def make_pages(settings: WixSettings) -> Pages:
    """Return the pages of an app, for its handshake and for its refused callers."""
    # Otherwise an install begins at Wix, which sends its token along.
    is_external = settings.flow is InstallFlow.CLIENT_CREDENTIALS
    return Pages(
        app_name=settings.app_name,
        support_url=settings.support_url,
        wix_url=settings.wix_url,
        start_url=settings.app_url if is_external else None,
        after_install_url=link_after_install(settings),
    )


class Responses:
    """Makes the responses of the install and callback paths; safe to share."""

    def __init__(
        self,
        settings: WixSettings,
        hooks: Hooks,
        pages: Pages,
        *,
        log: RefusalLog | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        """Take the kind of cookies and Wix's address from `settings`; ask `hooks` at a refusal.

        `pages` are for refusals to which no hook has a response. An install begins one of the
        `sessions`, if the app has any.
        """
        self._hooks = hooks
        self._sessions = sessions
        self._log = log or RefusalLog()
        self._cookie_attributes = (
            "Path=/; HttpOnly; SameSite=Lax" if settings.is_loopback else COOKIE_ATTRIBUTES
        )
        self._state_ttl = settings.state_ttl
        self._pages = pages

    async def answer(self, request: Request, work: Awaitable[Response]) -> Response:
        """Return the response of `work`, or the refusal for the error that it raised."""
        outcome = await caught(work)
        return await self.refuse(request, outcome) if isinstance(outcome, Exception) else outcome

    def with_headers(self, response: Response, *, from_hook: bool = False) -> Response:
        """Return the response with the headers of the handshake; a hook's response is copied."""
        if from_hook:
            response = copy_response(response)
        headers = MutableHeaders(raw=response.raw_headers)
        for name, value in _HEADERS.items():
            headers[name] = value
        if not from_hook:
            headers["Content-Security-Policy"] = self._pages.policy
        elif "frame-ancestors" not in headers.get("Content-Security-Policy", "").lower():
            # Beside the hook's own: browsers hold to all policies that a page has.
            headers.append("Content-Security-Policy", self._pages.frame_ancestors)
        # Wix may load the page in an iframe; frame-ancestors says whose.
        del headers["X-Frame-Options"]
        return response

    def set_cookie(self, response: Response, flow: Flow) -> None:
        """Set the cookie that binds the browser to `flow`, for `state_ttl` seconds."""
        value = f"{flow.cookie_name}={flow.cookie_value}; Max-Age={self._state_ttl}"
        response.headers.append("Set-Cookie", f"{value}; {self._cookie_attributes}")

    async def begin_session(
        self,
        request: Request,
        response: Response,
        instance_id: str,
        claims: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin the session of the installed site in its browser, if the app has sessions."""
        if self._sessions is not None:
            await self._sessions.begin(request.scope, response, instance_id, claims)

    def clear_cookie(self, response: Response, cookie_name: str) -> None:
        """Clear the cookie of a flow that is over."""
        value = f"{cookie_name}=; Max-Age=0"
        response.headers.append("Set-Cookie", f"{value}; {self._cookie_attributes}")

    def finishing(self, request: Request, incident: str, *, refresh_after: int) -> Response:
        """Return the page of an install that goes on; it loads the same address again, in seconds.

        `incident` is the id under which the log has the same install.
        """
        seconds = str(refresh_after)
        if _wants_json(request):
            headers = {"Retry-After": seconds, **NEGOTIATED}
            response: Response = JSONResponse({"incident": incident}, 202, headers)
        else:
            tag = _language_of(request)
            page = self._pages.finishing(tag, incident)
            response = _page_response(page, tag, 202, {"Refresh": seconds})
        return self.with_headers(response)

    async def refuse(self, request: Request, exc: Exception) -> Response:
        """Return the refusal of an install that stops because of `exc`, and log its incident."""
        refusal = _hide_frames(_as_refusal(exc))
        incident = secrets.token_hex(6)
        self._log.note(refusal, incident, request)
        response = await self._call_on_error(refusal, incident, request)
        if response is not None:
            return self.with_headers(response, from_hook=True)
        cause = _cause_of(refusal)
        if _wants_json(request):
            body = {
                "error": refusal.reason.value,
                "message": refusal_text(refusal.reason, cause),
                "incident": incident,
            }
            response = JSONResponse(body, refusal.status, {**refusal.headers, **NEGOTIATED})
        else:
            tag = _language_of(request)
            page = self._pages.refusal(tag, refusal.reason, incident, cause)
            response = _page_response(page, tag, refusal.status, refusal.headers)
        return self.with_headers(response)

    async def _call_on_error(
        self, refusal: HandshakeRefused, incident: str, request: Request
    ) -> Response | None:
        try:
            return await self._hooks.refused(refusal, request)
        except (Exception, SystemExit) as exc:
            self._log.note_failed_hook(without_locals(exc), refusal, incident, request)
            return None


async def caught(work: Awaitable[T]) -> T | Exception:
    """Return the result or the error of `work`: no error of an on_error hook is chained to it."""
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


def final_reason(exc: Exception) -> Reason | None:
    """Return the reason that ends a flow with `exc`; None where its address may be loaded again."""
    if isinstance(exc, StorageUnavailable) or (isinstance(exc, WixUnavailable) and exc.unsent):
        return None
    reason = _as_refusal(exc).reason
    return None if reason is Reason.BAD_REQUEST else reason


def _cause_of(refusal: HandshakeRefused) -> Cause | None:
    """Return the cause behind the reason, where the site owner's next step depends on it."""
    match refusal.__cause__:
        case WixUnavailable(unsent=True):
            return Cause.UNSENT
        case WixMisconfigured():
            return Cause.MISCONFIGURED
    return None


def _language_of(request: Request) -> str:
    return choose_language(read_headers(request.scope, b"accept-language")[0])


def _page_response(page: str, tag: str, status: int, headers: Mapping[str, str]) -> Response:
    return HTMLResponse(page, status, {**headers, **NEGOTIATED, "Content-Language": tag})


def _wants_json(request: Request) -> bool:
    accept = read_headers(request.scope, b"accept")[0].lower()
    return "application/json" in accept and "text/html" not in accept


def copy_response(response: Response) -> Response:
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
