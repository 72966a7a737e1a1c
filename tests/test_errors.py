"""The errors: their messages, their relations, and the answers that frameworks make of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus

import pytest
from starlette.exceptions import HTTPException

from wix_asgi import errors
from wix_asgi._frames import without_frames
from wix_asgi.errors import (
    CallerReason,
    HandshakeRefused,
    NotInstalled,
    Reason,
    StorageUnavailable,
    Unauthenticated,
    UnknownKey,
    UnsealError,
    WixError,
    WixUnavailable,
)

CLASSES = {
    name: member
    for name, member in vars(errors).items()
    if isinstance(member, type) and issubclass(member, WixError) and not name.startswith("_")
}
WITH_ARGUMENTS = {"HandshakeRefused", "UnknownKey"}
BRANCH = re.compile(r"^(?P<indent>[│ ]*)[├└]── (?P<text>.+)$", re.MULTILINE)
LEAF = re.compile(r"(?P<name>\w+)(?: \((?P<beside>\w+)\))?(?: +(?P<status>\d{3}))?  +\S")


def drawn() -> Iterator[tuple[str, str, str, str | None]]:
    """Yield name, parent, second parent and status of each class in the module's docstring."""
    parents = {-1: "WixError"}
    for branch in BRANCH.finditer(errors.__doc__ or ""):
        depth = len(branch["indent"]) // 4
        leaf = LEAF.match(branch["text"])
        assert leaf is not None, branch["text"]
        parents[depth] = leaf["name"]
        yield leaf["name"], parents[depth - 1], leaf["beside"] or "", leaf["status"]


def parents_of(error: type[WixError]) -> set[str]:
    """Return the names of all classes above `error` that the tree may show."""
    shown = {*CLASSES, "HTTPException", "ValueError", "LookupError", "RuntimeError"}
    return {above.__name__ for above in error.__mro__[1:]} & shown


def test_tree_is_drawn_as_it_is() -> None:
    """The tree in the module's docstring shows every class under its parents, and no other."""
    tree = {"WixError": set[str]()}
    for name, parent, beside, _status in drawn():
        tree[name] = {parent, "WixError"} | ({beside} - {""})
        tree[name] |= tree.get(parent, set())

    assert {name: parents_of(error) for name, error in CLASSES.items()} == tree


def test_tree_shows_the_right_status() -> None:
    """The status in the tree is the one a framework answers with."""
    tree = {name: int(status) for name, _parent, _beside, status in drawn() if status}
    answers = {
        name: error().status_code
        for name, error in CLASSES.items()
        if issubclass(error, HTTPException)
    }

    assert answers == tree


def test_all_is_sorted_and_complete() -> None:
    """`__all__` names every error and the reasons, in order."""
    assert sorted({*CLASSES, "CallerReason", "Reason"}) == errors.__all__


@pytest.mark.parametrize("name", sorted(set(CLASSES) - WITH_ARGUMENTS))
def test_error_without_arguments_reads_well(name: str) -> None:
    """Raised bare, an error says the first line of its class, which is a whole sentence."""
    error = CLASSES[name]()
    text = str(error)

    assert error.message == text
    assert (CLASSES[name].__doc__ or "").splitlines()[0] == text
    assert text[0].isupper()
    assert re.search(r"[.`\w]$", text)
    assert "\n" not in text


@pytest.mark.parametrize("name", sorted(set(CLASSES) - WITH_ARGUMENTS))
def test_message_is_shown(name: str) -> None:
    """A message given is the one shown."""
    error = CLASSES[name]("What went wrong here.")

    assert "What went wrong here." == str(error)
    assert ("What went wrong here.",) == error.args


def test_unknown_key_names_the_key() -> None:
    """The id of the missing key is in the message and at hand, and LookupError catches it."""
    error = UnknownKey("0a1b2c3d")

    assert "0a1b2c3d" == error.key_id
    assert "sealed with key 0a1b2c3d" in str(error)
    assert "WIX_ENCRYPTION_KEYS" in str(error)
    assert isinstance(error, UnsealError)


@pytest.mark.parametrize("error", [Unauthenticated, NotInstalled])
def test_frameworks_can_answer(error: type[Unauthenticated | NotInstalled]) -> None:
    """Starlette finds status, detail and headers where it looks for them."""
    raised = error("Said here.", headers={"X-Test": "1"})

    assert "Said here." == raised.detail
    assert raised.headers is not None
    assert "1" == raised.headers["X-Test"]


REASONS = {
    "no_identity": "no signed instance",
    "forged": "not genuine",
    "visitor": "anonymous visitor",
    "other_app": "another app",
    "permissions": "permissions",
    "too_old": "reload it from Wix",
    "ended": "reload the page from Wix",
    "two_sites": "two sites",
}


def test_reasons_of_refused_callers_are_stable() -> None:
    """The reasons are codes that equal their text, each with a sentence for callers (R53)."""
    assert set(REASONS) == set(CallerReason)


@pytest.mark.parametrize(("reason", "words"), REASONS.items())
def test_refused_caller_gets_the_reason_and_no_more(reason: str, words: str) -> None:
    """The reason is in `WWW-Authenticate`, and the caller's text is the reason's own (R53)."""
    raised = Unauthenticated("For the log.", reason=CallerReason(reason), instance_id="site-1")

    assert (reason, "site-1", "For the log.") == (raised.reason, raised.instance_id, str(raised))
    assert words in raised.detail
    assert {"WWW-Authenticate": f'Wix error="{reason}"'} == raised.headers


def test_caller_is_nobody_by_default() -> None:
    """An app that raises it gives no reason: nobody is known, and its own words are passed on."""
    raised = Unauthenticated("Log in first.", headers={"WWW-Authenticate": "Bearer"})

    assert ("no_identity", None) == (raised.reason, raised.instance_id)
    assert "Log in first." == raised.detail
    assert {"WWW-Authenticate": "Bearer"} == raised.headers


@pytest.mark.parametrize("error", [WixUnavailable, StorageUnavailable])
def test_callers_are_not_told_the_message(
    error: type[WixUnavailable | StorageUnavailable],
) -> None:
    """The message of a failure is for the log; a framework answers that there was one (R35)."""
    raised = error("Host db-7 refused (28P01).")

    assert "Host db-7 refused (28P01)." == str(raised)
    assert "is not available at the moment" in raised.detail
    assert "db-7" not in raised.detail


class EarlyHTTPException(Exception):
    """The HTTPException of Starlette 1.0.1 to 1.6.0."""

    def __init__(
        self, status_code: int, detail: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.status_code = status_code
        self.detail = HTTPStatus(status_code).phrase if detail is None else detail
        self.headers = headers


class EarlyRefusal(WixError, EarlyHTTPException):
    """An error of ours as it was derived from the HTTPException of an early Starlette."""


def test_second_parent_is_given_no_message() -> None:
    """The message goes to no second parent, which may take it for a status code."""
    error = EarlyRefusal("Said here.")

    assert "Said here." == str(error)
    assert ("Said here.",) == error.args


RETRY_AFTER = [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.2, "2"), (30.0, "30")]


@pytest.mark.parametrize(("seconds", "header"), RETRY_AFTER)
def test_retry_after_is_in_whole_seconds(seconds: float, header: str) -> None:
    """Retry-After is rounded up, and is never 0."""
    error = StorageUnavailable(retry_after=seconds)

    assert seconds == error.retry_after
    assert {"Retry-After": header} == error.headers


def test_wix_unavailable_passes_on_what_wix_asked() -> None:
    """The seconds Wix asked for become Retry-After, and 5 where it asked for none."""
    silent, asked = WixUnavailable(), WixUnavailable(asked=17.5, unsent=True)

    assert (None, 5.0, False) == (silent.asked, silent.retry_after, silent.unsent)
    assert (17.5, 17.5, True) == (asked.asked, asked.retry_after, asked.unsent)
    assert {"Retry-After": "18"} == asked.headers


STATUSES = {
    "bad_request": 400,
    "state_missing": 400,
    "state_invalid": 400,
    "state_expired": 400,
    "state_reused": 409,
    "browser_mismatch": 403,
    "denied": 403,
    "exchange_rejected": 502,
    "wix_unavailable": 503,
    "instance_mismatch": 403,
    "storage_unavailable": 503,
    "internal": 500,
}


def test_reasons_and_their_statuses() -> None:
    """The reasons are stable codes, each with an HTTP status that is an error."""
    assert STATUSES == {reason.value: reason.status for reason in Reason}


@pytest.mark.parametrize("reason", Reason)
def test_refusal_answers_with_the_status_of_its_reason(reason: Reason) -> None:
    """A refusal has its reason's status and words."""
    refused = HandshakeRefused(reason)

    assert reason.value == str(refused)
    assert reason.status == refused.status
    assert {} == refused.headers


def test_refusal_may_say_more() -> None:
    """Status, headers and message can be set for one refusal."""
    refused = HandshakeRefused(
        Reason.BAD_REQUEST, "query of 70000 bytes", status=414, headers={"X-Test": "1"}
    )

    assert "query of 70000 bytes" == str(refused)
    assert 414 == refused.status
    assert {"X-Test": "1"} == refused.headers


def caught(error: Exception, *, context: Exception | None = None) -> Exception:
    """Raise `error`, while `context` is handled if there is one, and return it when caught."""

    def fail() -> None:
        try:
            raise context or error
        except KeyError:
            raise error  # noqa: B904 - the implicit chain is meant

    with pytest.raises(type(error)) as info:
        fail()
    return info.value


def test_frames_of_the_whole_chain_are_dropped() -> None:
    """Neither the error nor its cause keeps a frame, nor does the error that the cause followed."""
    first = KeyError("first")
    second = caught(LookupError("second"), context=first)
    third = caught(WixError("third"))
    third.__cause__ = second
    returned = without_frames(third)

    assert returned is third
    assert (second, first) == (third.__cause__, second.__context__)
    assert [None] * 3 == [error.__traceback__ for error in (first, second, third)]


def test_errors_that_led_to_each_other_lose_their_frames() -> None:
    """A circle, as `raise first from second` makes it while `first` is handled, has an end."""
    first = KeyError("first")
    second = caught(LookupError("second"), context=first)
    first.__cause__ = second
    without_frames(first)

    assert [None, None] == [first.__traceback__, second.__traceback__]
