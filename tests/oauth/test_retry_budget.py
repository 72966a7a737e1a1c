"""How many retries a process may make beside its calls."""

from __future__ import annotations

from wix_asgi.oauth.retry_budget import RetryBudget


def test_retries_are_a_share_of_the_calls() -> None:
    """Ten are there in advance; then there is one for every five calls."""
    budget = RetryBudget()
    at_once = [budget.spend() for _ in range(12)]
    for _ in range(10):
        budget.note_call()
    earned = [budget.spend() for _ in range(3)]

    assert [True] * 10 + [False] * 2 == at_once
    assert [True, True, False] == earned


def test_retries_do_not_pile_up() -> None:
    """However many calls there were, no more than ten retries are saved up."""
    budget = RetryBudget()
    for _ in range(1000):
        budget.note_call()

    assert 10 == sum(budget.spend() for _ in range(1000))
