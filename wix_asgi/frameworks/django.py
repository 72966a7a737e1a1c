"""The middleware of Django, on ASGI and on WSGI; the only module that imports Django."""

from __future__ import annotations

from collections.abc import Callable
from http.cookies import Morsel, SimpleCookie
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse

from wix_asgi.client.client import get_wix
from wix_asgi.client.refusals import answer_refusal, pages_of
from wix_asgi.errors import RequestRefused
from wix_asgi.frameworks.wsgi import (
    ENVIRON_KEY,
    answer_in_environ,
    pages_in_environ,
    sync_wix_of,
)

__all__ = ["WixRequestMiddleware"]

_POLICY = "Content-Security-Policy"

_OF_POLICIES = (
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "wix_asgi.django.WixRequestMiddleware",
)
"""The middlewares that write policies, in the wrong order: Django's changes none that is there."""


class WixRequestMiddleware:
    """The last entry of `MIDDLEWARE`, behind `WixMiddleware` or `WixWSGIMiddleware`.

    - `request.wix` is the client of the calling site: a `WixClient` in a project whose ASGI app is
      in `WixMiddleware`, and a `SyncWixClient` where its WSGI app is in `WixWSGIMiddleware`.
    - A `RequestRefused` that a view raises is answered with our page or JSON.
    - Wix may show the pages in its iframe, and nobody else: a `frame-ancestors` stands in for
      Django's `X-Frame-Options: DENY`, and `Cross-Origin-Opener-Policy` is `unsafe-none`. A view
      that sets `X-Frame-Options` itself, as `xframe_options_deny` does, keeps it.
    - Cookies that are `SameSite=None` and `Secure` become `Partitioned`, which browsers want in
      Wix's iframe. Set `SESSION_COOKIE_SAMESITE` and `CSRF_COOKIE_SAMESITE` to `"None"`, and
      `SESSION_COOKIE_SECURE` and `CSRF_COOKIE_SECURE` to True.

    A request that came by WSGI without `WixWSGIMiddleware` has no client, and passes.

    The `ContentSecurityPolicyMiddleware` of Django 6 comes behind it, and no other.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Stand in front of the views, which `get_response` calls.

        Raises:
            ImproperlyConfigured: `ContentSecurityPolicyMiddleware` stands before this one.
        """
        order = [name for name in settings.MIDDLEWARE if name in _OF_POLICIES]
        if order == list(_OF_POLICIES):
            raise ImproperlyConfigured(
                f"In MIDDLEWARE, move {order[0]!r} behind {order[1]!r}: where it is now, it leaves "
                "SECURE_CSP out of each response that has our frame-ancestors."
            )
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Return the response of the view, or an awaitable of it."""
        if hasattr(request, "scope"):
            request.wix = get_wix(request)
        elif ENVIRON_KEY in request.META:
            request.wix = sync_wix_of(request.META)
        else:
            return self._get_response(request)
        if self._is_async:
            return self._answer(request)
        return _for_iframe(request, self._get_response(request))

    def process_exception(self, request: Any, exception: Exception) -> Any:
        """Return the answer to a refused request; None for any other error, which is Django's."""
        if not isinstance(exception, RequestRefused) or not hasattr(request, "wix"):
            return None
        if hasattr(request, "scope"):
            answer = answer_refusal(request.scope, exception)
        else:
            answer = answer_in_environ(request.META, exception)
        return HttpResponse(
            bytes(answer.body), status=answer.status_code, headers=dict(answer.headers)
        )

    async def _answer(self, request: Any) -> Any:
        return _for_iframe(request, await self._get_response(request))


def _for_iframe(request: Any, response: Any) -> Any:
    """Return the response with headers and cookies that work in Wix's iframe."""
    response.cookies = _Cookies(response.cookies)
    if "X-Frame-Options" in response.headers:
        # Beside a frame-ancestors, browsers would not read it (CSP Level 3, 6.4.2).
        return response
    response.xframe_options_exempt = True
    response.setdefault("Cross-Origin-Opener-Policy", "unsafe-none")
    policy = response.headers.get(_POLICY, "")
    if "frame-ancestors" not in policy.lower():
        by_asgi = hasattr(request, "scope")
        pages = pages_of(request.scope) if by_asgi else pages_in_environ(request.META)
        ancestors = pages.frame_ancestors
        response.headers[_POLICY] = f"{policy}; {ancestors}" if policy else ancestors
    return response


class _Morsel(Morsel[str]):
    """A cookie; `http.cookies` cannot write Partitioned before Python 3.14."""

    def OutputString(self, attrs: Any = None) -> str:  # noqa: N802 # the name of http.cookies
        text = super().OutputString(attrs)
        is_for_iframes = self["secure"] and self["samesite"].lower() == "none"
        return f"{text}; Partitioned" if is_for_iframes and "Partitioned" not in text else text


class _Cookies(SimpleCookie):
    """The cookies of a response; the middlewares in front of ours set theirs here, too."""

    def __setitem__(self, key: str, value: Any) -> None:
        morsel = self.get(key) or _Morsel()
        if isinstance(value, Morsel):
            morsel.set(value.key, value.value, value.coded_value)
            morsel.update(value)
        else:
            morsel.set(key, *self.value_encode(value))
        super().__setitem__(key, morsel)
