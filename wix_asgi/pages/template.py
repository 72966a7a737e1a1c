"""The one template of our pages: no script, one style sheet, and nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from wix_asgi.pages.languages import Language

__all__ = ["STYLE_SOURCE", "fill"]

_PAGE: Final = Template(files("wix_asgi.pages").joinpath("page.html").read_text("utf-8"))
_STYLE: Final = re.search(r"<style>(.*?)</style>", _PAGE.template, re.DOTALL)


def _style_source() -> str:
    style = _STYLE[1] if _STYLE else ""
    digest = hashlib.sha256(style.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


STYLE_SOURCE: Final = _style_source()
"""The `style-src` for a Content-Security-Policy that allows the page's one style sheet."""


def fill(
    language: Language, title: str, advice: str, *, app_name: str | None, buttons: str, footer: str
) -> str:
    """Return a page as HTML; `buttons` and `footer` are HTML, all else is text."""
    return _PAGE.substitute(
        lang=language.tag,
        dir=language.direction,
        head=escape(f"{title} · {app_name}" if app_name else title),
        header=f"<header><bdi>{escape(app_name)}</bdi></header>\n" if app_name else "",
        title=escape(title),
        advice=escape(advice),
        buttons=buttons,
        footer=footer,
    )
