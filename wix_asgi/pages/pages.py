"""All pages of one app: its name, its support, and the addresses that its pages lead to."""

from __future__ import annotations

from html import escape
from typing import Final

from wix_asgi.errors import Reason
from wix_asgi.pages.contents import CALLERS, FINISHING, REFUSALS, Cause, Content, Way
from wix_asgi.pages.headers import frame_ancestors, page_policy
from wix_asgi.pages.languages import DEFAULT, language
from wix_asgi.pages.template import fill

__all__ = ["Pages", "refusal_text"]

_WIX: Final = "https://www.wix.com"
_DASHBOARD: Final = "/dashboard"
"""Wix's page of the site that an account had open last; of all its sites, if it had none."""

_CODE, _INCIDENT, _DETAIL = "\x00", "\x01", "\x02"
"""Stand for the values of one refusal in a page that is kept; no text has these characters."""

_OF_ALL_PAGES: Final = (Way.OPEN_WIX, Way.SUPPORT)


class Pages:
    """Makes the pages of one app; safe to share.

    Each page is built once for each language, and kept: ten languages with 27 pages of 3 kB.
    """

    def __init__(
        self,
        *,
        app_name: str | None = None,
        support_url: str | None = None,
        wix_url: str = _WIX,
        start_url: str | None = None,
        after_install_url: str | None = None,
    ) -> None:
        """Show `app_name`, and link these addresses.

        `start_url` is where an install may begin without a token of Wix.
        """
        self.policy: Final = page_policy(wix_url)
        self.frame_ancestors: Final = frame_ancestors(wix_url)
        self._app_name = app_name
        self._addresses = {
            # The address of the page itself, which has secrets in it and is written nowhere.
            Way.LOAD_AGAIN: "",
            Way.TRY_AGAIN: "",
            Way.START_AGAIN: start_url,
            Way.ADD: start_url,
            Way.GO_ON: after_install_url,
            Way.OPEN_WIX: wix_url + _DASHBOARD,
            Way.SUPPORT: support_url,
        }
        self._built: dict[tuple[str, Content], str] = {}

    def refusal(self, tag: str, reason: Reason, incident: str, cause: Cause | None = None) -> str:
        """Return the page for a site owner whose install stopped, as HTML in the language `tag`.

        `incident` is the id under which the log has the same refusal.
        """
        return self._make(tag, REFUSALS[cause or reason], incident, reason.value)

    def caller(self, tag: str, code: str, incident: str, detail: str) -> str:
        """Return the page for a refused caller, as HTML in the language `tag`.

        `detail` is the app's own text, shown where the app has a `code` of its own.
        """
        content = CALLERS.get(code, CALLERS["request_refused"])
        return self._make(tag, content, incident, code, detail)

    def finishing(self, tag: str, incident: str) -> str:
        """Return the page for a site owner whose install takes long, as HTML in that language."""
        return self._make(tag, FINISHING, incident)

    def _make(
        self, tag: str, content: Content, incident: str, code: str = "", detail: str = ""
    ) -> str:
        page = self._built.get((tag, content))
        if page is None:
            page = self._built[tag, content] = self._build(tag, content)
        page = page.replace(_CODE, escape(code)).replace(_INCIDENT, escape(incident))
        # Of a language of its own: in a page of Hebrew its last full stop stays at its end.
        return page.replace(_DETAIL, f"<bdi>{escape(detail)}</bdi>")

    def _build(self, tag: str, content: Content) -> str:
        spoken = language(tag)
        texts = spoken.messages
        is_refusal = content is not FINISHING
        footer = texts["reference" if is_refusal else "incident"].format(
            reason=f"<code>{_CODE}</code>", incident=f"<code>{_INCIDENT}</code>"
        )
        if content.is_remarkable and is_refusal:
            footer = f"{texts['tell_developer']} {footer}"
        ways = dict.fromkeys((*content.ways, *_OF_ALL_PAGES))
        return fill(
            spoken,
            texts[f"title_{content.title}"],
            spoken.separator.join(texts[name] for name in content.advice) or _DETAIL,
            app_name=self._app_name,
            buttons="\n".join(self._button(way, texts) for way in ways if self._leads_on(way)),
            footer=footer,
        )

    def _leads_on(self, way: Way) -> bool:
        return self._addresses[way] is not None

    def _button(self, way: Way, texts: dict[str, str]) -> str:
        # In Wix's iframe all other addresses are for the whole window.
        address = escape(self._addresses[way] or "")
        target = ' target="_top"' if address else ""
        return f'<a href="{address}"{target}>{escape(texts[f"button_{way}"])}</a>'


def refusal_text(reason: Reason, cause: Cause | None = None) -> str:
    """Return the English text of a page in one line: why the install stopped, and the next step."""
    content = REFUSALS[cause or reason]
    texts = language(DEFAULT).messages
    sentences = " ".join(texts[sentence] for sentence in content.advice)
    return f"{texts[f'title_{content.title}']}. {sentences}"
