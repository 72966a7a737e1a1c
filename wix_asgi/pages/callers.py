"""The pages of callers that are refused before the app is reached."""

from __future__ import annotations

from html import escape
from typing import Final, NamedTuple

from wix_asgi.errors import CallerReason
from wix_asgi.pages.refusals import page

__all__ = ["NOT_INSTALLED", "STORAGE_UNAVAILABLE", "WIX_UNAVAILABLE", "caller_page"]

NOT_INSTALLED: Final = "not_installed"
STORAGE_UNAVAILABLE: Final = "storage_unavailable"
WIX_UNAVAILABLE: Final = "wix_unavailable"
"""The codes of refusals that are no `CallerReason`; the last two are those of installs, too."""


class _Text(NamedTuple):
    """Why a page cannot be shown, and the next step of the person in front of it."""

    title: str
    advice: str


_FROM_WIX: Final = "Open the app in the dashboard of your site at Wix."
_UNKNOWN: Final = _Text("This page opens from Wix", _FROM_WIX)
_NOT_ALLOWED: Final = _Text(
    "This page is not for everybody",
    "Only people who may manage the site at Wix can open it. Ask the owner of the site.",
)
_LATER: Final = _Text(
    "The app is not available at the moment", "Please wait a minute and load this page again."
)
_TEXTS: Final = {
    CallerReason.VISITOR: _NOT_ALLOWED,
    CallerReason.PERMISSIONS: _NOT_ALLOWED,
    CallerReason.TOO_OLD: _Text("This page was open for too long", _FROM_WIX),
    CallerReason.ENDED: _Text("This page was open for too long", _FROM_WIX),
    NOT_INSTALLED: _Text(
        "The app is not on this site",
        "Open the app in the Wix App Market and choose “Add to Site”.",
    ),
    STORAGE_UNAVAILABLE: _LATER,
    WIX_UNAVAILABLE: _LATER,
}


def caller_page(code: str, incident: str) -> str:
    """Return the page for a refused caller, as HTML.

    `incident` is the id under which the log has the same refusal.
    """
    text = _TEXTS.get(code, _UNKNOWN)
    footer = f"<code>{escape(code)}</code>, incident <code>{escape(incident)}</code>."
    return page(text.title, text.advice, footer)
