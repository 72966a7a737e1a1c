"""What each page says and links, by the names of the messages in its language."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from wix_asgi.errors import CallerReason, Reason

__all__ = ["CALLERS", "FINISHING", "REFUSALS", "Cause", "Content", "Way"]


class Way(StrEnum):
    """A button that leads on; the value is the name of its text."""

    ADD = "add_to_site"
    GO_ON = "go_on"
    LOAD_AGAIN = "load_again"
    OPEN_WIX = "open_wix"
    START_AGAIN = "start_again"
    SUPPORT = "contact_support"
    TRY_AGAIN = "try_again"


class Cause(StrEnum):
    """What is behind a reason, where the site owner's next step depends on it."""

    MISCONFIGURED = "misconfigured"
    UNSENT = "unsent"


class Content(NamedTuple):
    """The content of one page, by names of messages.

    Attributes:
        title: What happened.
        advice: The sentences below it: why, and the next step of the person in front of it.
        ways: The buttons that help, before those that all pages have; one without an address is
            left out.
        is_remarkable: Whether the app's developer should be told if it happens again.
    """

    title: str
    advice: tuple[str, ...]
    ways: tuple[Way, ...] = ()
    is_remarkable: bool = True


def _new_start(title: str, *why: str) -> Content:
    """Return the content for an install that has to begin anew."""
    return Content(title, (*why, "add_again"), (Way.START_AGAIN,))


_LATER: Final = Content("app_unavailable", ("wait_and_reload",), (Way.TRY_AGAIN,))
_WIX_LATER: Final = Content(
    "wix_unavailable", ("site_is_fine", "wait_and_reload"), (Way.TRY_AGAIN,)
)

REFUSALS: Final[dict[Reason | Cause, Content]] = {
    Reason.BAD_REQUEST: _new_start("link_incomplete"),
    Reason.STATE_MISSING: _new_start("not_begun_here"),
    Reason.STATE_INVALID: _new_start("not_begun_here"),
    Reason.STATE_EXPIRED: _new_start("took_too_long", "few_minutes"),
    Reason.STATE_REUSED: Content(
        "already_finished", ("close_window",), (Way.GO_ON,), is_remarkable=False
    ),
    Reason.BROWSER_MISMATCH: Content(
        "other_browser", ("same_browser", "or_add_again"), (Way.START_AGAIN,)
    ),
    Reason.DENIED: Content(
        "not_installed",
        ("not_permitted", "nothing_changed", "add_any_time"),
        (Way.START_AGAIN,),
        is_remarkable=False,
    ),
    Reason.EXCHANGE_REJECTED: _new_start("not_confirmed"),
    # A lost answer: the code is spent, so that loading the page again cannot help.
    Reason.WIX_UNAVAILABLE: _new_start("wix_unavailable", "site_is_fine", "wait"),
    Reason.INSTANCE_MISMATCH: _new_start("other_site"),
    Reason.STORAGE_UNAVAILABLE: Content(
        "app_unavailable", ("nothing_changed", "wait_and_reload"), (Way.TRY_AGAIN,)
    ),
    Reason.INTERNAL: _new_start("error", "error_noted"),
    Cause.UNSENT: _WIX_LATER,
    Cause.MISCONFIGURED: Content("misconfigured", ("site_is_fine", "developers_task")),
}
"""The pages of refused installs. A `Cause` goes before the reason."""

_FROM_WIX: Final = ("open_from_dashboard",)
_OUTSIDE: Final = Content("from_wix", _FROM_WIX, is_remarkable=False)
_NOT_ALLOWED: Final = Content("not_for_everybody", ("managers_only",), is_remarkable=False)
_TOO_LONG: Final = Content("open_too_long", _FROM_WIX, is_remarkable=False)
_FORGED: Final = Content("from_wix", (*_FROM_WIX, "developers_task_if_from_wix"))

CALLERS: Final[dict[str, Content]] = {
    CallerReason.NO_IDENTITY: _OUTSIDE,
    CallerReason.FORGED: _FORGED,
    CallerReason.OTHER_APP: _FORGED,
    CallerReason.TWO_SITES: _OUTSIDE,
    CallerReason.VISITOR: _NOT_ALLOWED,
    CallerReason.PERMISSIONS: _NOT_ALLOWED,
    CallerReason.TOO_OLD: _TOO_LONG,
    CallerReason.ENDED: _TOO_LONG,
    "not_installed": Content("not_on_site", ("add",), (Way.ADD,), is_remarkable=False),
    "wix_unavailable": _WIX_LATER,
    "storage_unavailable": _LATER,
    "request_refused": Content("refused", (), is_remarkable=False),
}
"""The pages of refused callers, by the `reason` of `wix_asgi.errors.RequestRefused`."""

FINISHING: Final = Content(
    "finishing", ("stay_open", "add_again_in_ten_minutes"), (Way.LOAD_AGAIN,)
)
"""The page of an install that goes on behind it; its header loads it again."""
