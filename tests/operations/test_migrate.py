"""Moving installations to client credentials, back, and forgetting their refresh tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
import stamina

from tests.operations.migrating import CLIENT_CREDENTIALS, REFRESH_TOKEN, Moving
from tests.support import make_wix
from wix_asgi.errors import WixMisconfigured, WixUnavailable
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.operations.migrate import AskPolicy
from wix_asgi.sealing.vault import Vault

SITES: Final = ("a", "b", "c")
TOKEN: Final = "/oauth2/token"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops, once."""
    backend: str = request.param
    return backend


@pytest.fixture(name="moving")
def _moving() -> Iterator[Moving]:
    """Give an app whose calls to Wix are not repeated below the migration."""
    with stamina.set_testing(True, attempts=1):
        yield Moving()


async def test_a_dry_run_asks_and_writes_nothing(moving: Moving) -> None:
    """Every site is tried at Wix and told, and no row is touched."""
    await moving.install(*SITES)
    before = [await moving.row(site) for site in SITES]
    migration = moving.migration(applies=False)
    await migration.move()

    assert dict.fromkeys(SITES, "moved") == moving.outcomes
    assert sorted(SITES) == sorted(moving.calls)
    assert before == [await moving.row(site) for site in SITES]
    assert not migration.has_trouble


async def test_a_moved_installation_has_the_new_grant_and_the_old_token(moving: Moving) -> None:
    """The row gets the granted token for its four hours, keeps the refresh token, and is well."""
    await moving.install("a")
    before = await moving.stored("a")
    await moving.installations.note_failure(before, RefreshFailure.REFUSED, 40.0)
    await moving.migration().move()
    after = await moving.stored("a")

    assert after.grant_type is CLIENT_CREDENTIALS
    assert before.refresh_token == after.refresh_token
    assert before.installed_at == after.installed_at
    assert after.access_token is not None
    assert 14_400.0 == after.seconds_left(moving.clock())
    assert (None, 0.0) == (after.failure, after.retry_in)


async def test_a_worker_serves_with_the_moved_grant(moving: Moving) -> None:
    """The first call after the move costs Wix no token: its own is in the row."""
    await moving.install("a")
    await moving.migration().move()
    async with make_wix(moving.fake, storage=moving.storage) as wix:
        answer = await wix.client("a").get("/x")

    assert 200 == answer.status_code
    assert ["a"] == moving.calls
    assert 0 == moving.fake.count("/oauth/access")


async def test_a_moved_installation_is_not_asked_for_again(moving: Moving) -> None:
    """A second run tells all sites, and asks Wix for the rest."""
    await moving.install("a", "b")
    await moving.migration().move()
    await moving.install("c")
    moving.fake.calls.clear()
    moving.reports.clear()
    await moving.migration().move()

    assert {"a": "kept", "b": "kept", "c": "moved"} == moving.outcomes
    assert ["c"] == moving.calls


async def test_a_refused_installation_stays_as_it_is(moving: Moving) -> None:
    """Where Wix has the app on a site no more, the row stays, and the reason is told."""
    await moving.install("a", "b")
    moving.fake.uninstall("b")
    before = await moving.row("b")
    migration = moving.migration()
    await migration.move()

    assert {"a": "moved", "b": "refused"} == moving.outcomes
    assert "404" in moving.reports[-1].reason
    assert before == await moving.row("b")
    assert migration.has_trouble


async def test_wrong_credentials_end_the_run(moving: Moving) -> None:
    """A wrong app secret is told once, not for each site."""
    await moving.install(*SITES)
    moving.fake.fail(TOKEN, status=401, body={"error": "invalid_client"}, times=None)
    with pytest.raises(WixMisconfigured):
        await moving.migration().move()

    assert [] == moving.reports


async def test_a_failing_wix_is_waited_for(moving: Moving) -> None:
    """Pauses of Wix's choice and then of ours are told; afterwards every site is moved."""
    await moving.install(*SITES)
    moving.fake.fail(TOKEN, status=429, headers={"Retry-After": "60"})
    moving.fake.fail(TOKEN, status=503, times=4)
    await moving.migration(policy=AskPolicy(at_once=1)).move()

    assert dict.fromkeys(SITES, "moved") == moving.outcomes
    assert [60.0, 4.0, 8.0, 16.0, 30.0] == moving.pauses


async def test_one_site_that_fails_for_good_is_told(moving: Moving) -> None:
    """All other sites are moved; the run has trouble, and another one may try it again."""
    await moving.install(*SITES)
    moving.fake.fail(TOKEN, instance_id="b", times=None)
    migration = moving.migration(policy=AskPolicy(at_once=1))
    await migration.move()

    assert {"a": "moved", "b": "failed", "c": "moved"} == moving.outcomes
    assert migration.has_trouble


async def test_a_pause_of_an_hour_is_not_waited_out(moving: Moving) -> None:
    """Where Wix asks for an hour, the site has failed, and nobody watches a silent command."""
    await moving.install("a")
    moving.fake.fail(TOKEN, status=429, headers={"Retry-After": "3600"})
    await moving.migration().move()

    assert ({"a": "failed"}, []) == (moving.outcomes, moving.pauses)


async def test_an_outage_ends_the_run(moving: Moving) -> None:
    """Where Wix fails for several sites in a row, they are told, and the rest is not tried."""
    await moving.install("a", "b", "c", "d", "e")
    moving.fake.fail(TOKEN, instance_id="a", times=None)
    moving.fake.fail(TOKEN, instance_id="c", times=None)
    moving.fake.fail(TOKEN, instance_id="d", times=None)
    with pytest.raises(WixUnavailable, match="the rest was not tried"):
        await moving.migration(policy=AskPolicy(at_once=1, hopeless=2)).move()

    assert {"a": "failed", "b": "moved", "c": "failed", "d": "failed"} == moving.outcomes


async def test_installations_are_moved_back(moving: Moving) -> None:
    """They use their refresh tokens again, without a question to Wix, until these are forgotten."""
    await moving.install(*SITES)
    await moving.migration().move()
    moving.fake.calls.clear()
    await moving.migration(applies=False).move_back()
    dry = await moving.grants(SITES)
    await moving.migration().move_back()

    assert dict.fromkeys(SITES, (CLIENT_CREDENTIALS, True)) == dry
    assert dict.fromkeys(SITES, (REFRESH_TOKEN, True)) == await moving.grants(SITES)
    assert dict.fromkeys(SITES, "moved_back") == moving.outcomes
    assert [] == moving.fake.calls


async def test_what_was_not_moved_is_neither_moved_back_nor_emptied(moving: Moving) -> None:
    """An installation with its refresh token keeps it."""
    await moving.install("a")
    await moving.migration().move_back()
    await moving.migration().forget_refresh_tokens()

    assert ["not moved", "not moved"] == [report.reason for report in moving.reports]
    assert {"a": (REFRESH_TOKEN, True)} == await moving.grants("a")


async def test_forgetting_is_for_good(moving: Moving) -> None:
    """A forgotten refresh token is in no row, and there is no way back."""
    await moving.install("a")
    await moving.migration().move()
    await moving.migration(applies=False).forget_refresh_tokens()
    dry = await moving.grants("a")
    await moving.migration().forget_refresh_tokens()
    moving.reports.clear()
    await moving.migration().forget_refresh_tokens()
    await moving.migration().move_back()

    assert {"a": (CLIENT_CREDENTIALS, True)} == dry
    assert {"a": (CLIENT_CREDENTIALS, False)} == await moving.grants("a")
    assert ["no refresh token"] * 2 == [report.reason for report in moving.reports]


async def test_an_unreadable_refresh_token_is_no_way_back(moving: Moving) -> None:
    """A token under a lost key is moved from, is not moved back to, and can be forgotten."""
    moving.installations._vault = Vault([bytes(32)])
    await moving.install("a")
    await moving.migration().move()
    await moving.migration().move_back()
    failed = moving.reports[-1]
    moving.installations._vault = moving.vault
    await moving.migration().forget_refresh_tokens()

    assert "failed" == failed.outcome
    assert "key" in failed.reason
    assert {"a": (CLIENT_CREDENTIALS, False)} == await moving.grants("a")
