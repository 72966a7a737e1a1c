"""The pages of refused installs and callers: every reason in every language, and the ways on."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from wix_asgi.errors import CallerReason, NotInstalled, Reason, StorageUnavailable, WixUnavailable
from wix_asgi.pages.contents import CALLERS, REFUSALS, Cause
from wix_asgi.pages.languages import LANGUAGES
from wix_asgi.pages.pages import Pages, refusal_text
from wix_asgi.pages.template import STYLE_SOURCE

AFTER = "https://app.example.com/welcome"
START = "https://app.example.com/wix/install"
SUPPORT = "mailto:help@example.com"
DASHBOARD = "https://www.wix.com/dashboard"
INCIDENT = "0123456789ab"
PAGES = Pages(app_name="Shop & Sync", support_url=SUPPORT, start_url=START, after_install_url=AFTER)
CODES = [
    *CallerReason,
    NotInstalled.reason,
    WixUnavailable.reason,
    StorageUnavailable.reason,
    "request_refused",
]


class Page(HTMLParser):
    """The tags, attributes, links and style of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str] = {}
        self.links: list[tuple[str, str | None]] = []
        self.style = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update((name, value or "") for name, value in attrs)
        if tag == "a":
            named = dict(attrs)
            self.links.append((named["href"] or "", named.get("target")))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style":
            self.style += data.strip("\r") if not self.style else ""


def all_pages(pages: Pages, tag: str) -> dict[str, str]:
    """Return every page in a language."""
    return {
        **{f"install: {reason}": pages.refusal(tag, reason, INCIDENT) for reason in Reason},
        **{
            f"install: {cause}": pages.refusal(tag, Reason.WIX_UNAVAILABLE, INCIDENT, cause)
            for cause in Cause
        },
        **{f"caller: {code}": pages.caller(tag, code, INCIDENT, "Not today.") for code in CODES},
        "finishing": pages.finishing(tag, INCIDENT),
    }


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_page_is_whole(tag: str) -> None:
    """Each has the app's name, the incident, a way on, and nothing from elsewhere (R17)."""
    for name, text in all_pages(PAGES, tag).items():
        page = Page(text)
        links = [address for address, _target in page.links]

        assert {"script", "link", "img", "iframe", "form", "base", "object", "svg"}.isdisjoint(
            page.tags
        ), name
        assert {"src", "style", "srcset", "action", "data", "background"}.isdisjoint(
            page.attributes
        ), name
        assert not [each for each in page.attributes if each.startswith("on")], name
        assert {AFTER, START, SUPPORT, DASHBOARD, ""}.issuperset(links), name
        assert [DASHBOARD, SUPPORT] == links[-2:], name
        assert not re.search(r"url\(|@import|\$|[\x00-\x02]", text), name
        assert 1 == page.tags.count("h1"), name
        assert (tag, "rtl" if tag == "he" else "ltr") == (
            page.attributes["lang"],
            page.attributes["dir"],
        ), name
        assert 2 == text.count("Shop &amp; Sync"), name
        assert f"<code>{INCIDENT}</code>" in text, name


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_page(reason: Reason) -> None:
    """The page names the reason, by which its row in the README is found."""
    assert f"<code>{reason.value}</code>" in PAGES.refusal("en", reason, INCIDENT)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_text(reason: Reason) -> None:
    """The text for JSON is in sentences, and names the next step."""
    text = refusal_text(reason)

    assert text.isprintable()
    assert text.endswith(".")
    assert text.count(". ") >= 1
    assert "Wix" in text or "window" in text or "page" in text or "again" in text


def test_every_caller_has_a_page() -> None:
    """The pages of callers are those of all reasons, and no other."""
    assert sorted(CODES) == sorted(CALLERS)
    assert {*Reason, *Cause} == set(REFUSALS)
    assert all(f"<code>{code}</code>" in PAGES.caller("en", code, INCIDENT, "") for code in CODES)


RELOADED = [Cause.UNSENT, Reason.STORAGE_UNAVAILABLE]


@pytest.mark.parametrize("key", [*Reason, *Cause])
def test_try_again_is_there_where_it_helps(key: Any) -> None:
    """Where the code is unspent the page loads itself again; else an install begins anew.

    After a lost answer of Wix, which has the reason `wix_unavailable` too, the code is spent.
    """
    text = (
        PAGES.refusal("en", Reason.WIX_UNAVAILABLE, INCIDENT, key)
        if isinstance(key, Cause)
        else PAGES.refusal("en", key, INCIDENT)
    )
    page = Page(text)

    assert (key in RELOADED) == (("", None) in page.links)
    assert (key in RELOADED) == (">Try again</a>" in text)
    assert ((START, "_top") in page.links) == (
        key not in {*RELOADED, Reason.STATE_REUSED, Cause.MISCONFIGURED}
    )


def test_finished_install_leads_on() -> None:
    """The page of an install that is over leads to where an install ends."""
    assert (AFTER, "_top") == Page(PAGES.refusal("en", Reason.STATE_REUSED, INCIDENT)).links[0]


def test_wrong_secret_is_not_the_site_owners_to_mend() -> None:
    """Where Wix refuses the app's own credentials, the page names the developer alone."""
    text = PAGES.refusal("en", Reason.EXCHANGE_REJECTED, INCIDENT, Cause.MISCONFIGURED)

    assert "The app&#x27;s developer has to correct its settings" in text
    assert "Add to Site" not in text
    assert "developer" in refusal_text(Reason.EXCHANGE_REJECTED, Cause.MISCONFIGURED)


def test_app_without_name_and_support_has_pages() -> None:
    """Without a name, support and a path to begin at, the way to Wix is left."""
    plain = Pages(wix_url="https://wix.example")
    for name, text in all_pages(plain, "en").items():
        links = Page(text).links

        assert ("https://wix.example/dashboard", "_top") == links[-1], name
        assert {"", "https://wix.example/dashboard"}.issuperset(link[0] for link in links), name
        assert "<header>" not in text, name
        assert "None" not in text, name


def test_site_without_the_app_can_add_it() -> None:
    """Where an install begins at the app, the page of a missing installation begins one."""
    assert (START, "_top") == Page(PAGES.caller("en", "not_installed", INCIDENT, "")).links[0]


def test_apps_own_refusal_has_its_own_text() -> None:
    """A refusal of the app's own kind shows the text and the code of the app, escaped (R19)."""
    text = PAGES.caller("de", "<no_plan>", "\x02", "Not in <your> plan. \x00\x01")

    assert "Not in &lt;your&gt; plan. \x00\x01" in text
    assert "<code>&lt;no_plan&gt;</code>" in text
    assert "Diese Seite kann nicht angezeigt werden" in text


def test_policy_allows_the_style_of_the_page() -> None:
    """The hash in the policy is that of the one style sheet, and no other style is there (R17)."""
    for text in all_pages(PAGES, "en").values():
        (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

        assert f"'sha256-{digest}'" == STYLE_SOURCE
        assert "\r" not in style
        assert style == Page(text).style
    assert STYLE_SOURCE in PAGES.policy


def test_page_escapes_what_it_shows() -> None:
    """No incident, no name and no address can become a tag (R19)."""
    pages = Pages(
        app_name="<script>$title",
        support_url='https://x/"><script>$title',
        after_install_url='https://y/"><script>$title',
    )
    text = pages.refusal("en", Reason.STATE_REUSED, '<script>"&$title')

    assert "&lt;script&gt;&quot;&amp;$title" in text
    assert "<header><bdi>&lt;script&gt;$title</bdi></header>" in text
    for host in "xy":
        assert f'href="https://{host}/&quot;&gt;&lt;script&gt;$title"' in text
    assert "<script>" not in text


def test_page_is_of_one_refusal_alone() -> None:
    """Pages are kept, and the values of a refusal are not: the next has its own."""
    first = PAGES.refusal("fr", Reason.DENIED, "first-incident")
    second = PAGES.refusal("fr", Reason.DENIED, "second-incident")

    assert first.replace("first-incident", "second-incident") == second


def test_foreign_text_keeps_its_direction() -> None:
    """The app's name and its own text stand apart from the Hebrew around them."""
    text = PAGES.caller("he", "no_plan", INCIDENT, "Choose a plan, please!")

    assert "<bdi>Shop &amp; Sync</bdi>" in text
    assert "<p><bdi>Choose a plan, please!</bdi></p>" in text
