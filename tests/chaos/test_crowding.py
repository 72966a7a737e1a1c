"""Crowds that need a new token at the same moment."""

from __future__ import annotations

import pytest

from tests.chaos.crowding import OVER, crowd, many
from tests.chaos.figures import missed

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("over", OVER)
def test_one_token_is_refreshed_once(store: tuple[str, str], over: str) -> None:
    """All tasks of all processes are served by one call for a token, round after round."""
    assert [] == missed(crowd(*store, over, workers=3, tasks=20, rounds=2))


def test_many_tokens_are_refreshed_once_each(store: tuple[str, str]) -> None:
    """Each installation costs one call a round, and nobody calls as another site."""
    assert [] == missed(many(*store, workers=3, sites=10, rounds=2, delay=0.1))
