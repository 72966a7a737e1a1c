"""Where a site owner goes after an install; only the settings choose it."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.settings import WixSettings
from wix_asgi.tokens.cache import TokenCache

__all__ = ["NextPage", "link_after_install"]

_DASHBOARD = "/my-account/site-selector"
"""Wix's page of all sites of an account."""


class NextPage:
    """Leads the browser on after an install."""

    def __init__(self, settings: WixSettings, endpoints: Endpoints, tokens: TokenCache) -> None:
        """Lead to `after_install`; Wix's close-window page gets a token of `tokens`."""
        self._page = _own_page(settings)
        self._endpoints = endpoints
        self._tokens = tokens

    async def after(self, instance_id: str) -> Response:
        """Return the redirect after the install of this installation.

        Raises:
            NotInstalled: The app was removed from the site meanwhile.
            WixUnavailable: The close-window page needs a token, and Wix is failing.
            StorageUnavailable: The close-window page needs a token, and the storage is failing.
        """
        if self._page is not None:
            return RedirectResponse(self._page, 303)
        # No local holds the address, in which the token is.
        return RedirectResponse(
            self._endpoints.close_window_url((await self._tokens.get(instance_id)).value), 303
        )


def link_after_install(settings: WixSettings) -> str:
    """Return an address without a token, for a page about an install that is over."""
    return _own_page(settings) or settings.wix_url + _DASHBOARD


def _own_page(settings: WixSettings) -> str | None:
    target = settings.after_install
    if target == "close":
        return None
    return settings.public_url + target if target.startswith("/") else target
