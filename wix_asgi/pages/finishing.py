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
        "Wix has confirmed it, and the app is storing it. Please leave this page open: it loads "
        "again by itself in a few seconds.",
        f"Incident <code>{escape(incident)}</code>.",
    )
