"""One refresh over all processes, in a small way (R40)."""

from __future__ import annotations

import pytest

from chaos.figures import missed
from chaos.refreshing import ENDS, End, clocks_off, crowd, many
from chaos.refreshing_holders import SIGNALS, gone, held_up, replaced, woken
from wix_asgi.models import GrantType

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("grant_type", GrantType)
@pytest.mark.parametrize("end", ENDS)
async def test_a_crowd_costs_one_refresh(
    store: tuple[str, str], end: End, grant_type: GrantType
) -> None:
    """However the token ended, Wix is asked once, and every caller is served."""
    kind, url = store
    figures = await crowd(
        url, kind, processes=2, tasks=25, rounds=1, end=end, grant_type=grant_type
    )

    assert [] == missed(figures)


async def test_a_crowd_finds_an_installation_once(store: tuple[str, str]) -> None:
    """Where the row is gone, Wix is asked once for the installation, and it is stored again."""
    kind, url = store
    figures = await crowd(
        url,
        kind,
        processes=2,
        tasks=25,
        rounds=2,
        end="its row is gone",
        grant_type=GrantType.CLIENT_CREDENTIALS,
    )

    assert [] == missed(figures)


async def test_a_rotating_refresh_token_is_sent_once(store: tuple[str, str]) -> None:
    """A Wix that ends every token when one is sent twice still knows the site, rounds later."""
    kind, url = store
    figures = await crowd(url, kind, processes=2, tasks=10, rounds=3, rotating=True)

    assert [] == missed(figures)


async def test_many_sites_cost_one_refresh_each(store: tuple[str, str]) -> None:
    """Sites whose tokens end together are refreshed once each, and called as themselves (R40)."""
    kind, url = store
    figures = await many(url, kind, processes=2, sites=10, rounds=2, delay=0.0)

    assert [] == missed(figures)


@pytest.mark.parametrize("grant_type", GrantType)
@pytest.mark.parametrize("how", SIGNALS)
async def test_a_holder_that_is_gone_is_replaced(
    store: tuple[str, str], how: str, grant_type: GrantType
) -> None:
    """Another process refreshes and stores a good token; a woken holder serves its callers."""
    kind, url = store
    figures = await gone(url, kind, how, processes=2, tasks=5, rounds=1, grant_type=grant_type)

    assert [] == missed(figures)


async def test_who_wakes_with_the_only_token_saves_it(store: tuple[str, str]) -> None:
    """The verdict that others have noted meanwhile does not keep the new refresh token out."""
    kind, url = store
    figures = await woken(url, kind, processes=2, tasks=5, rounds=1)

    assert [] == missed(figures)


async def test_no_process_sends_the_token_of_a_frozen_holder(store: tuple[str, str]) -> None:
    """Where refresh tokens rotate, the others wait for it for longer than a short lease lasts."""
    kind, url = store
    figures = await held_up(url, kind, processes=2, tasks=5, rounds=1)

    assert [] == missed(figures)


async def test_a_killed_holder_is_replaced_where_tokens_rotate(store: tuple[str, str]) -> None:
    """Other processes are served when its long lease is over."""
    kind, url = store
    figures = await replaced(url, kind, processes=2, tasks=5, rounds=1)

    assert [] == missed(figures)


@pytest.mark.parametrize(
    "store",
    ["postgresql", pytest.param("pgbouncer", marks=pytest.mark.pgbouncer)],
    indirect=True,
)
async def test_clocks_an_hour_off(store: tuple[str, str]) -> None:
    """A host whose clock is off neither refreshes more nor uses a dead token.

    Processes over SQLite are on one host, and have one clock.
    """
    kind, url = store
    figures = await clocks_off(url, kind, tasks=2, rounds=1)

    assert [] == missed(figures)
