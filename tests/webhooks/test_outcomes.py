"""The outcomes of handlers, as a storage keeps them."""

from __future__ import annotations

import pytest

from wix_asgi.webhooks.outcomes import Outcome, for_another_try, read_outcomes, write_outcomes

BOTH = {"app.first": Outcome.RETURNED, "app.second": Outcome.GIVEN_UP}


def test_outcomes_are_read_as_they_were_written() -> None:
    """The text is JSON that an operator can read in the table."""
    text = write_outcomes(BOTH)

    assert '{"app.first":"returned","app.second":"given_up"}' == text
    assert BOTH == read_outcomes(text)


def test_no_outcome_is_no_text() -> None:
    """A new event has an empty text, and so has an event whose handlers all are to be called."""
    assert "" == write_outcomes({})
    assert {} == read_outcomes("")


@pytest.mark.parametrize(
    "text",
    ["returned", "[]", "null", '{"a": "elsewhere"}', '{"a": 1}', '{"a": ["returned"]}', "[" * 9999],
    ids=["text", "list", "null", "word", "number", "inner-list", "deep"],
)
def test_foreign_texts_count_as_no_outcome(text: str) -> None:
    """What another release or a hand has written calls a handler again, and breaks nothing."""
    assert {} == read_outcomes(text)


def test_words_of_another_release_cost_the_others_nothing() -> None:
    """A handler with a known outcome keeps it beside one with an unknown outcome."""
    assert {"a": Outcome.RETURNED} == read_outcomes('{"a": "returned", "b": "elsewhere"}')


def test_another_try_calls_those_that_were_given_up() -> None:
    """A handler that has returned is not called again because another is to be (R44)."""
    assert '{"app.first":"returned"}' == for_another_try(write_outcomes(BOTH))
