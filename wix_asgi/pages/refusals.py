"""The pages and texts of refused installs: no script, and nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from importlib.resources import files
from string import Template
from typing import Final, NamedTuple

from wix_asgi.errors import Reason

__all__ = ["STYLE_SOURCE", "page", "refusal_page", "refusal_text"]

_PAGE: Final = Template(files("wix_asgi.pages").joinpath("page.html").read_text("utf-8"))
_STYLE: Final = re.search(r"<style>(.*?)</style>", _PAGE.template, re.DOTALL)


class _Text(NamedTuple):
    """Why an install stopped, and the site owner's next step."""

    title: str
    advice: str


_AGAIN: Final = "Open the app in the Wix App Market and choose “Add to Site” again."
_TEXTS: Final = {
    Reason.BAD_REQUEST: _Text("This link is incomplete", _AGAIN),
    Reason.STATE_MISSING: _Text("This installation was not begun here", _AGAIN),
    Reason.STATE_INVALID: _Text("This installation was not begun here", _AGAIN),
    Reason.STATE_EXPIRED: _Text(
        "This installation took too long",
        f"For your site's safety it has to be finished within a few minutes. {_AGAIN}",
    ),
    Reason.STATE_REUSED: _Text(
        "This installation is already finished",
        "You may close this window. If the app is missing on your site, add it again.",
    ),
    Reason.BROWSER_MISMATCH: _Text(
        "This installation was begun in another browser",
        "Finish it in the browser and window where you began, with cookies allowed, "
        "or begin anew: open the app in the Wix App Market and choose “Add to Site”.",
    ),
    Reason.DENIED: _Text(
        "The app was not installed",
        "It was not given the permissions it needs. Nothing on your site was changed. "
        "You can add the app again at any time.",
    ),
    Reason.EXCHANGE_REJECTED: _Text("Wix did not confirm this installation", _AGAIN),
    Reason.WIX_UNAVAILABLE: _Text(
        "Wix cannot be reached at the moment",
        f"Nothing is wrong with your site. Please wait a minute. {_AGAIN}",
    ),
    Reason.INSTANCE_MISMATCH: _Text("This installation belongs to another site", _AGAIN),
    Reason.STORAGE_UNAVAILABLE: _Text(
        "The app is not available at the moment",
        "Nothing was changed. Please wait a minute and load this page again.",
    ),
    Reason.INTERNAL: _Text("Something went wrong in the app", f"We were told of it. {_AGAIN}"),
}

_UNREMARKABLE: Final = frozenset({Reason.DENIED, Reason.STATE_REUSED})
"""The site owner's own choice, and a reload after a success: no reason to tell the app's maker."""

_WAY_ON: Final = "Go on from here"
_LEAD: Final = "If this happens again, tell the app's maker: "


def _style_source() -> str:
    style = _STYLE[1] if _STYLE else ""
    digest = hashlib.sha256(style.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


STYLE_SOURCE: Final = _style_source()
"""The `style-src` for a Content-Security-Policy that allows the page's one style sheet."""


def refusal_text(reason: Reason) -> str:
    """Return the text of the page in one line: why the install stopped, and the next step."""
    text = _TEXTS[reason]
    return f"{text.title}. {text.advice}"


def refusal_page(reason: Reason, incident: str, way_on: str) -> str:
    """Return the page for a site owner whose install stopped, as HTML.

    `incident` is the id under which the log has the same refusal; `way_on` is the address that a
    page about a finished install links.
    """
    text = _TEXTS[reason]
    lead = "" if reason in _UNREMARKABLE else escape(_LEAD, quote=False)
    footer = f"{lead}<code>{escape(reason.value)}</code>, incident <code>{escape(incident)}</code>."
    return page(text.title, text.advice, footer, way_on if reason is Reason.STATE_REUSED else None)


def page(title: str, advice: str, footer: str, way_on: str | None = None) -> str:
    """Return a page of ours; `footer` is HTML, and `way_on` the address of its link."""
    link = f' <a href="{escape(way_on)}" target="_top">{_WAY_ON}</a>.' if way_on else ""
    return _PAGE.substitute(title=escape(title), advice=escape(advice), way_on=link, footer=footer)
