"""Workers that are killed or frozen while they refresh a token."""

from __future__ import annotations

import pytest

from tests.chaos.figures import missed
from tests.chaos.holding import HOLDERS, clocks_apart, replaced, rotating, woken

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("how", HOLDERS)
def test_a_holder_that_is_gone_is_replaced(store: tuple[str, str], how: str) -> None:
    """The others refresh when its lease has run out, and none of their calls fails."""
    assert [] == missed(replaced(*store, how, tasks=5, rounds=1))


def test_a_woken_holder_saves_the_only_good_token(store: tuple[str, str]) -> None:
    """What the others were refused meanwhile does not keep it from being stored."""
    assert [] == missed(woken(*store, rounds=1))


def test_a_family_that_rotates_stays_alive(store: tuple[str, str]) -> None:
    """No refresh token is used twice, whoever asks."""
    assert [] == missed(rotating(*store, workers=3, tasks=10, rounds=3))


def test_clocks_do_not_matter(store: tuple[str, str]) -> None:
    """A host an hour off refreshes no more often than others, and uses no dead token."""
    assert [] == missed(clocks_apart(*store, rounds=2))
