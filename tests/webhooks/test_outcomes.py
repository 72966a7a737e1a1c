"""What has become of the handlers of an event, as the inbox keeps it."""

from __future__ import annotations

import pytest

from wix_asgi.webhooks.outcomes import HandlerOutcome, Outcomes


def test_outcomes_are_read_as_they_were_written() -> None:
    """Handlers, the preparation, and the attempts before any handler."""
    outcomes = (
        Outcomes()
        .of("a", HandlerOutcome.RETURNED)
        .of("b", HandlerOutcome.FAILED)
        .of("b", HandlerOutcome.GIVEN_UP)
        .prepared()
        .with_spared_attempt()
        .with_spared_attempt()
        .passed_on()
    )
    read = Outcomes.read(str(outcomes))

    assert outcomes == read
    assert (2, 1) == (read.spared, read.passed)
    assert [True, True, False] == [read.has_ended(name) for name in ("a", "b", "c")]


def test_an_event_without_outcomes_has_no_text() -> None:
    """Most events never have any."""
    assert not str(Outcomes())
    assert Outcomes() == Outcomes.read("")


def test_a_failed_handler_has_not_ended() -> None:
    """It is called again."""
    assert not Outcomes().of("a", HandlerOutcome.FAILED).has_ended("a")


def test_a_retry_calls_all_handlers_again_that_have_not_returned() -> None:
    """Their attempts count from one; the preparation is not repeated."""
    outcomes = (
        Outcomes()
        .of("a", HandlerOutcome.RETURNED)
        .of("b", HandlerOutcome.GIVEN_UP)
        .of("c", HandlerOutcome.FAILED)
        .prepared()
        .with_spared_attempt()
    )

    assert Outcomes({"a": HandlerOutcome.RETURNED}, is_prepared=True) == outcomes.for_retry()


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "3",
        '{"handlers": []}',
        '{"handlers": {"a": "another word"}}',
        '{"spared": "2"}',
        '{"spared": -1}',
        '{"prepared": 1}',
    ],
)
def test_words_of_another_release_are_left_out(text: str) -> None:
    """A handler is called once more rather than never."""
    assert Outcomes() == Outcomes.read(text)
