"""Installations whose refresh token is gone, and that client credentials bring back."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from traceback import TracebackException
from typing import Any

import pytest
import stamina

from tests.engine import (
    ACCESS,
    CREDENTIALS,
    FAILING,
    MISCONFIGURED,
    REFUSED,
    Engine,
    ManualClock,
    Steps,
    get,
    refresh,
    refresh_failure,
)
from tests.support import SITE
from wix_asgi.errors import (
    GrantRefused,
    NotInstalled,
    StorageUnavailable,
    UnknownKey,
    UnsealError,
    WixError,
    WixMisconfigured,
    WixUnavailable,
)
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import RefreshFailure, UnreadableToken
from wix_asgi.models import GrantType, InstallFlow
from wix_asgi.sealing.vault import Vault
from wix_asgi.testing import FakeWix

GONE = ["refused", "missing", "unreadable"]


class Recovery(Engine):
    """An engine that notes what it tells the app."""

    def __init__(self, storage: Steps, clock: ManualClock, **options: Any) -> None:
        self.lost: list[NotInstalled] = []
        self.steps = storage
        super().__init__(FakeWix(), storage, clock, note_lost=self.lost.append, **options)

    async def lose(self, how: str) -> None:
        """Have an installation whose access token is over, and whose refresh token is gone."""
        await self.install(left=0)
        if how == "refused":
            self.fake.fail(ACCESS, times=None, **REFUSED)
        elif how == "missing":
            await self.install_by_credentials(left=0)
            self.steps.forget_grant_types()
        else:
            vault = Vault([b"n" * 32])
            lost = InstallationRepository(self.fake.app_id, self.storage, vault, clock=self.clock)
            stored = await self.stored()
            assert await lost.note_failure(stored, RefreshFailure.UNAVAILABLE, -1.0)

    async def damage(self, field: str) -> None:
        """Have a token of the installation be one that no key opens."""
        record = await self.storage.get(self.fake.app_id, SITE)
        assert record is not None
        tokens: dict[str, Any] = {field: b"damaged"}
        damaged = dataclasses.replace(record, **tokens)
        assert await self.storage.replace(damaged, expected=record.version)


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Do not pause between tries."""
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture(name="engine")
def _engine(storage: Steps, clock: ManualClock) -> Recovery:
    return Recovery(storage, clock)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("refused", "its refresh token is gone: Wix answered 400 invalid_grant"),
        ("missing", "its refresh token is gone: there is no refresh token"),
        ("unreadable", "cannot be opened here, and stays stored: A stored token was sealed with"),
    ],
)
async def test_an_installation_recovers(
    engine: Recovery, caplog: pytest.LogCaptureFixture, how: str, reason: str
) -> None:
    """It goes on by client credentials for good, and one line of the log says why."""
    await engine.lose(how)
    with caplog.at_level(logging.INFO, "wix_asgi"):
        token = await refresh(engine)
        engine.clock.advance(token.lifetime)
        await refresh(engine)
    lines = [record for record in caplog.records if "goes on by client cred" in record.message]

    assert 14_400.0 == token.lifetime
    assert GrantType.CLIENT_CREDENTIALS is (await engine.stored()).grant_type
    assert [1 if how == "refused" else 0, 2] == [engine.posts, engine.recoveries]
    assert [(logging.WARNING, SITE)] == [
        (line.levelno, vars(line)["instance_id"]) for line in lines
    ]
    assert reason in lines[0].message
    assert [] == engine.lost


@pytest.mark.parametrize("how", GONE)
async def test_an_installation_that_wix_does_not_know_is_lost(engine: Recovery, how: str) -> None:
    """The app is told once, whichever process finds it out, and however often it is tried."""
    await engine.lose(how)
    engine.fake.uninstall(SITE)
    errors = []
    for process in (engine, engine.another()):
        errors += [await refresh_failure(process) for _ in range(2)]
        engine.clock.advance(60)

    assert [NotInstalled] * 4 == [type(error) for error in errors]
    assert [(SITE, "not_installed")] == [(lost.instance_id, lost.reason) for lost in engine.lost]
    noted = RefreshFailure.UNREADABLE if how == "unreadable" else RefreshFailure.NOT_INSTALLED
    assert noted == (await engine.stored()).failure
    assert 2 == engine.recoveries


async def test_an_installation_that_was_lost_twice_is_told_of_twice(engine: Recovery) -> None:
    """A token in between ends the first loss."""
    await engine.install_by_credentials(left=0)
    for _ in range(2):
        engine.fake.uninstall(SITE)
        await refresh_failure(engine)
        engine.clock.advance(60)
        engine.fake.mark_installed(SITE)
        token = await refresh(engine)
        engine.clock.advance(token.lifetime)

    assert [SITE] * 2 == [lost.instance_id for lost in engine.lost]


@pytest.mark.parametrize(
    ("how", "expected", "noted"),
    [
        ("refused", NotInstalled, RefreshFailure.REFUSED),
        ("missing", NotInstalled, None),
        ("unreadable", UnknownKey, RefreshFailure.UNAVAILABLE),
    ],
)
async def test_nothing_recovers_unless_the_settings_allow_it(
    storage: Steps, clock: ManualClock, how: str, expected: type[WixError], noted: str | None
) -> None:
    """The error is that of the refresh token, and Wix is not asked for client credentials."""
    engine = Recovery(storage, clock, recover=False)
    await engine.lose(how)
    error = await refresh_failure(engine)

    assert expected is type(error)
    assert [1 if how == "refused" else 0, 0] == [engine.posts, engine.recoveries]
    assert (noted, []) == ((await engine.stored()).failure, engine.lost)


@pytest.mark.parametrize("how", GONE)
async def test_an_app_without_client_credentials_is_not_misconfigured(
    engine: Recovery, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    """Wix has not given them to each app of the advanced flow, whose own are good: said once."""
    await engine.lose(how)
    engine.fake.fail(CREDENTIALS, times=None, **MISCONFIGURED)
    errors = []
    for _ in range(2):
        errors.append(await refresh_failure(engine))
        engine.clock.advance(60)

    assert [NotInstalled] * 2 == [type(error) for error in errors]
    assert GrantRefused is type(errors[0].__cause__)
    assert [SITE] == [lost.instance_id for lost in engine.lost]
    assert 1 == caplog.text.count("Wix grants this app no client credentials, so that")


@pytest.mark.parametrize("how", GONE)
async def test_an_app_of_client_credentials_may_be_misconfigured(
    storage: Steps, clock: ManualClock, how: str
) -> None:
    """They are the usual grant of such an app, so that its secret is wrong."""
    engine = Recovery(storage, clock, flow=InstallFlow.CLIENT_CREDENTIALS)
    await engine.lose(how)
    engine.fake.fail(CREDENTIALS, times=None, **MISCONFIGURED)

    assert WixMisconfigured is type(await refresh_failure(engine))
    assert RefreshFailure.MISCONFIGURED == (await engine.stored()).failure
    assert [] == engine.lost


@pytest.mark.parametrize("how", GONE)
async def test_a_failing_wix_loses_nothing(engine: Recovery, how: str) -> None:
    """The installation recovers when Wix is well again."""
    await engine.lose(how)
    engine.fake.fail(CREDENTIALS, times=3, **FAILING)
    error = await refresh_failure(engine)
    engine.clock.advance(60)

    assert isinstance(error, WixUnavailable)
    assert await get(engine)
    assert [] == engine.lost


@pytest.mark.parametrize("fault", [MISCONFIGURED, FAILING])
async def test_only_a_refusal_gives_the_refresh_token_up(
    engine: Recovery, fault: dict[str, Any]
) -> None:
    """A failing Wix, or a wrong secret, says nothing of the refresh token."""
    await engine.install(left=0)
    engine.fake.fail(ACCESS, times=None, **fault)
    await refresh_failure(engine)

    assert 0 == engine.recoveries
    assert GrantType.REFRESH_TOKEN is (await engine.stored()).grant_type


async def test_a_living_token_is_served_while_its_installation_is_lost(engine: Recovery) -> None:
    """The app is told already, and its calls are served to the last second."""
    token = await engine.install(left=10)
    engine.fail(REFUSED)

    assert token.value == (await refresh(engine)).value
    assert [SITE] == [lost.instance_id for lost in engine.lost]


async def test_a_loss_that_cannot_be_noted_is_told_when_it_can(
    engine: Recovery, storage: Steps
) -> None:
    """Where the storage fails beside Wix, the next refusal counts."""
    await engine.lose("refused")
    engine.fake.uninstall(SITE)
    storage.fail("replace", StorageUnavailable())
    await refresh_failure(engine)
    before = len(engine.lost)
    await refresh_failure(engine)

    assert [0, 1] == [before, len(engine.lost)]


async def test_an_unreadable_access_token_is_replaced(storage: Steps, clock: ManualClock) -> None:
    """Where the refresh token can be read, it is used, whatever the settings are."""
    engine = Recovery(storage, clock, recover=False)
    await engine.install()
    await engine.damage("access_token")

    assert await get(engine)
    assert [1, 0] == [engine.posts, engine.recoveries]


async def test_credentials_need_no_readable_refresh_token(
    storage: Steps, clock: ManualClock
) -> None:
    """The sealed empty text of an installation without one may be of a lost key."""
    engine = Recovery(storage, clock, recover=False)
    await engine.install_by_credentials(left=0)
    await engine.damage("refresh_token")

    assert await get(engine)
    assert isinstance((await engine.stored()).unreadable, UnreadableToken)


async def test_a_living_token_is_served_where_no_key_opens_the_refresh_token(
    storage: Steps, clock: ManualClock
) -> None:
    """In the mandatory window, too: no refresh could bring another one."""
    engine = Recovery(storage, clock, recover=False)
    token = await engine.install(left=10)
    await engine.damage("refresh_token")

    assert token.value == (await refresh(engine)).value
    engine.clock.advance(10)
    assert UnsealError is type(await refresh_failure(engine))
    assert [] == engine.fake.calls


async def test_a_reinstall_wins_over_a_recovery(engine: Recovery, storage: Steps) -> None:
    """Its grant is served, and the installation has a refresh token again."""
    await engine.lose("refused")

    async def reinstall() -> None:
        del storage.before["replace"]
        await engine.install()

    storage.before["replace"] = reinstall
    token = await refresh(engine)
    stored = await engine.stored()

    assert 300.0 == token.lifetime
    assert GrantType.REFRESH_TOKEN is stored.grant_type


@pytest.mark.parametrize("how", GONE)
async def test_a_loss_shows_no_token(engine: Recovery, how: str) -> None:
    """Neither do the locals of the error's frames, nor those of what led to it (R35)."""
    await engine.lose(how)
    stored = await engine.stored()
    engine.fake.uninstall(SITE)
    error = await refresh_failure(engine)
    trace = "".join(TracebackException.from_exception(error, capture_locals=True).format())

    assert engine.fake.app_secret not in trace
    assert not stored.refresh_token or stored.refresh_token not in trace
