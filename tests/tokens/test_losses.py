"""Installations that Wix refuses every grant: what their row says, and when the app is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from tests.engine import (
    ACCESS,
    CREDENTIALS,
    FAILING,
    NOT_FOUND,
    Engine,
    ManualClock,
    Steps,
    get,
    refresh_failure,
)
from tests.support import SITE
from wix_asgi.errors import NotInstalled
from wix_asgi.installations.stored import RefreshFailure
from wix_asgi.sealing.vault import Vault
from wix_asgi.testing import FakeWix

KEY = b"n" * 32

Lost = list[NotInstalled]


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Do not pause between tries."""
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture(name="lost")
def _lost() -> Lost:
    return []


@pytest.fixture(name="keyed")
def _keyed(storage: Steps, clock: ManualClock, lost: Lost) -> Engine:
    return Engine(FakeWix(), storage, clock, vault=Vault([KEY]), note_lost=lost.append)


async def lose_blindly(keyed: Engine) -> Engine:
    """Have Wix refuse a process without the key; return its engine."""
    await keyed.install(left=0)
    keyed.fake.fail(CREDENTIALS, times=None, **NOT_FOUND)
    blind = keyed.another()
    await refresh_failure(blind)
    return blind


async def test_a_process_with_the_key_refreshes_at_once(keyed: Engine, lost: Lost) -> None:
    """What a process without it notes sends nobody away, and is told once."""
    blind = await lose_blindly(keyed)
    noted = (await keyed.stored()).failure
    error = await refresh_failure(blind)

    assert (RefreshFailure.UNREADABLE, NotInstalled) == (noted, type(error))
    assert await get(keyed)
    assert (1, 1) == (keyed.posts, keyed.recoveries)
    assert [SITE] == [each.instance_id for each in lost]


async def test_a_process_with_the_key_tells_no_second_time(keyed: Engine, lost: Lost) -> None:
    """Its own refusal is of the same loss, and is the verdict for all processes."""
    await lose_blindly(keyed)
    keyed.fake.fail(ACCESS, times=None, **NOT_FOUND)
    await refresh_failure(keyed)

    assert RefreshFailure.NOT_INSTALLED == (await keyed.stored()).failure
    assert [SITE] == [each.instance_id for each in lost]


@pytest.mark.parametrize("is_blind", [False, True])
async def test_an_outage_begins_no_new_loss(keyed: Engine, lost: Lost, is_blind: bool) -> None:
    """Wix's last word is kept while Wix fails, so that its next no is not told again."""
    engine = keyed
    if is_blind:
        engine = await lose_blindly(keyed)
    else:
        await keyed.install_by_credentials(left=0)
        keyed.fake.fail(CREDENTIALS, times=None, **NOT_FOUND)
        await refresh_failure(keyed)
    noted = (await keyed.stored()).failure
    for fault in (FAILING, NOT_FOUND):
        engine.clock.advance(60)
        engine.fake.heal()
        engine.fake.fail(CREDENTIALS, times=None, **fault)
        await refresh_failure(engine)

        assert noted == (await keyed.stored()).failure
    assert 1 == len(lost)
