"""A Wix that fails while it is needed for new tokens."""

from __future__ import annotations

import pytest

from chaos.figures import missed
from chaos.outages import Times, outages
from chaos.outages_many import busiest_second, crowd


async def test_an_outage_that_the_token_outlives_costs_no_call(
    store: tuple[str, str],
) -> None:
    """However the token endpoint fails, it is asked seldom, and nobody is refused meanwhile."""
    scaled = Times(left=6.0, outage=3.0, lifetime=60.0, read=1.0)

    assert [] == missed(await outages(*store, scaled))


@pytest.mark.processes
@pytest.mark.parametrize("processes", [1, 2])
def test_a_crowd_is_served_after_an_outage(store: tuple[str, str], processes: int) -> None:
    """Every installation recovers, and none fails again, from one process or from two."""
    assert [] == missed(crowd(*store, sites=40, outage=3.0, processes=processes))


def test_the_busiest_second_may_begin_at_any_moment() -> None:
    """Calls are counted over every second, and not from one full second to the next."""
    assert 3 == busiest_second([0.0, 0.6, 0.9, 1.5, 1.6])
    assert 0 == busiest_second([])
