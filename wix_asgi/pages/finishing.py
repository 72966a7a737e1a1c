"""The page of an install that goes on behind it: no script; its header loads it again."""

from __future__ import annotations

from html import escape

from wix_asgi.pages.refusals import page

__all__ = ["finishing_page"]


def finishing_page(incident: str) -> str:
    """Return the page for a site owner whose install takes long, as HTML.

    `incident` is the id under which the log has the same install.
    """
    return page(
        "Your installation is being finished",
        "Please leave this page open: it loads again by itself every few seconds. If it is still "
        "here in ten minutes, open the app in the Wix App Market and choose “Add to Site” again.",
        f"Incident <code>{escape(incident)}</code>.",
    )
