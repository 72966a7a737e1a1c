"""The page and the text of a refused install, for every reason."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from wix_asgi.errors import Reason
from wix_asgi.pages.finishing import finishing_page
from wix_asgi.pages.refusals import STYLE_SOURCE, refusal_page, refusal_text

WAY_ON = "https://app.example.com/welcome"


class Page(HTMLParser):
    """The tags, attributes and style of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str] = {}
        self.style = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update((name, value or "") for name, value in attrs)

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style":
            self.style += data.strip("\r") if not self.style else ""


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_page(reason: Reason) -> None:
    """The page has the reason and the incident, and loads nothing from elsewhere (R17)."""
    text = refusal_page(reason, "0123456789ab", WAY_ON)
    page = Page(text)

    assert {"script", "link", "img", "iframe", "form", "base", "object", "svg"}.isdisjoint(
        page.tags
    )
    assert {"src", "style", "srcset", "action", "data", "background"}.isdisjoint(page.attributes)
    assert not [name for name in page.attributes if name.startswith("on")]
    assert (WAY_ON if reason is Reason.STATE_REUSED else None) == page.attributes.get("href")
    assert not re.search(r"url\(|@import|//|\$", text.replace(WAY_ON, ""))
    assert 1 == page.tags.count("h1")
    assert "en" == page.attributes["lang"]
    assert "0123456789ab" in text
    assert reason.value in text


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_text(reason: Reason) -> None:
    """The text for JSON is in sentences, and names the next step."""
    text = refusal_text(reason)

    assert text.isprintable()
    assert text.endswith(".")
    assert text.count(". ") >= 1
    assert "Wix" in text or "window" in text or "page" in text or "again" in text


def test_policy_allows_the_style_of_the_page() -> None:
    """The hash in the policy is that of the one style sheet, and no other style is there (R17)."""
    text = refusal_page(Reason.INTERNAL, "0123456789ab", WAY_ON)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert f"'sha256-{digest}'" == STYLE_SOURCE
    assert "\r" not in style
    assert style == Page(text).style


def test_page_escapes_what_it_shows() -> None:
    """No incident and no address can become a tag (R19)."""
    text = refusal_page(Reason.STATE_REUSED, '<script>"&$title', 'https://x/"><script>$title')

    assert "&lt;script&gt;&quot;&amp;$title" in text
    assert 'href="https://x/&quot;&gt;&lt;script&gt;$title"' in text
    assert "<script>" not in text


def test_unfinished_install_has_a_page() -> None:
    """It has the incident, the same style, no script, and no link (R17, R50)."""
    text = finishing_page("<0123456789ab>")
    page = Page(text)

    assert "incident <code>&lt;0123456789ab&gt;</code>" in text.lower()
    assert {"script", "a", "form", "img", "link"}.isdisjoint(page.tags)
    assert not re.search(r"url\(|@import|//|\$", text)
    assert page.style == Page(refusal_page(Reason.INTERNAL, "", WAY_ON)).style
