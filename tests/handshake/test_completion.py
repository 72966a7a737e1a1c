"""Grants of installs that are kept in memory: stored in the end, and over nothing that is newer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar, cast

import anyio
import pytest

from tests.engine import ManualClock
from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import ACCESS, TOKEN_INFO, query_of
from tests.support import PUBLIC_URL, SITE
from wix_asgi.errors import GrantRefused, HandshakeRefused, Reason, StorageUnavailable
from wix_asgi.handshake._code_exchange import CodeExchange
from wix_asgi.handshake._completion import Completion
from wix_asgi.handshake._install_proof import ProvenInstall
from wix_asgi.handshake._retrying import Retrying
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.models import AccessToken, Grant, Record
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.testing import Clock, FakeWix
from wix_asgi_backends.memory import MemoryStorage

T = TypeVar("T")

APP = "test-app"
KEY, OTHER_KEY = b"k" * 32, b"o" * 32


class LostAnswers(FlakyStorage):
    """A storage that loses the answers to some new records, which it writes or not."""

    def __init__(self, *, lost: int, carries_out: bool) -> None:
        super().__init__()
        self.lost = lost
        self.carries_out = carries_out

    async def put(self, record: Record) -> None:
        await self._lose(super().put, record)

    async def add(self, record: Record) -> bool:
        return await self._lose(super().add, record)

    async def _lose(self, write: Callable[[Record], Awaitable[T]], record: Record) -> T:
        self.lost -= 1
        outcome = await write(record) if self.lost < 0 or self.carries_out else None
        if self.lost >= 0:
            raise StorageUnavailable("The answer of the test storage was lost.")
        return cast("T", outcome)


class Scene:
    """The completion of installs over one storage, with pauses that the test fills."""

    def __init__(self, storage: MemoryStorage, fake: FakeWix | None = None) -> None:
        self.fake = fake or FakeWix()
        self.clock = ManualClock()
        self.pauses: list[float] = []
        self.during_pause: Callable[[], Awaitable[object]] = anyio.lowlevel.checkpoint
        self.installations = self.with_key(storage, KEY)
        settings = WixSettings.load(public_url=PUBLIC_URL, **self.fake.settings())
        self._endpoints = Endpoints(settings)
        self.oauth = OAuthClient(self._endpoints, self.fake.transport, clock=self.clock)
        policy = CallbackPolicy()
        retrying = Retrying(policy, clock=self.clock, jitter=lambda: 0.5, sleep=self._sleep)
        self.completion = Completion(self.installations, retrying)
        self.code_exchange = CodeExchange(
            self.oauth, retrying, app_id=settings.app_id, policy=policy, clock=self.clock
        )

    def with_key(self, storage: MemoryStorage, key: bytes) -> InstallationRepository:
        """Return the installations in `storage`, sealed with this key."""
        return InstallationRepository(APP, storage, Vault([key]), clock=self.clock)

    def grant(self, name: str) -> Grant:
        """Return a grant of this moment."""
        token = AccessToken(f"test-access-{name}", 300.0, self.clock() + 300.0)
        return Grant(token, f"test-refresh-{name}")

    def credentials(self, name: str) -> Grant:
        """Return a grant of this moment without a refresh token."""
        return replace(self.grant(name), refresh_token=None)

    async def store(self, name: str) -> str:
        """Store a grant; return the refresh token that is stored then."""
        proven = ProvenInstall(SITE, self.grant(name))
        stored = await self.completion.store(proven, begun_at=0.0, owes_on_install=False)
        return stored.refresh_token

    async def exchange(self) -> Grant:
        """Return a grant of the fake Wix."""
        url = self.fake.approve(self._endpoints.installer_url("state", None))
        return await self.oauth.exchange(query_of(url)["code"])

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self.during_pause()


@pytest.mark.parametrize("carries_out", [True, False])
async def test_put_of_unknown_outcome(carries_out: bool) -> None:
    """A put without an answer is carried out once, by its first try or its second (R50)."""
    storage = LostAnswers(lost=1, carries_out=carries_out)
    scene = Scene(storage)
    stored = await scene.store("new")

    assert "test-refresh-new" == stored
    assert 1 == storage.steps.count("put")


@pytest.mark.parametrize("carries_out", [True, False])
async def test_put_of_unknown_outcome_without_a_refresh_token(*, carries_out: bool) -> None:
    """By client credentials as well a put without an answer is carried out once."""
    storage = LostAnswers(lost=1, carries_out=carries_out)
    scene = Scene(storage)
    proven = ProvenInstall(SITE, scene.credentials("new"))
    stored = await scene.completion.store(proven, begun_at=0.0, owes_on_install=True)

    assert stored.access_token is not None
    assert "test-access-new" == stored.access_token.value
    assert 1 == storage.steps.count("put")


@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["readable", "unreadable"])
async def test_earlier_installation_is_replaced(key: bytes) -> None:
    """A row of an earlier install is replaced, whether its key is at hand or not (R50)."""
    storage = LostAnswers(lost=0, carries_out=False)
    scene = Scene(storage)
    await scene.with_key(storage, key).put(SITE, scene.grant("earlier"))
    storage.lost = 2

    assert "test-refresh-new" == await scene.store("new")
    assert [1.0, 2.0] == scene.pauses


async def test_rotated_token_is_not_overwritten() -> None:
    """Once stored it is stored: a token that was rotated before the read-back stays (R50)."""
    storage = FlakyStorage()
    scene = Scene(storage)
    storage.down = {"get"}

    async def rotate() -> None:
        storage.down = set()
        stored = await scene.installations.require(SITE)
        await scene.installations.replace(stored, scene.grant("rotated"))

    scene.during_pause = rotate

    assert "test-refresh-rotated" == await scene.store("new")
    assert 1 == storage.steps.count("put")


async def test_later_install_of_the_site_wins() -> None:
    """A grant in memory never overwrites that of a later install of the same site (R50)."""
    storage = FlakyStorage()
    scene = Scene(storage)
    storage.down = {"put"}

    async def install_again() -> None:
        storage.down = set()
        await scene.store("later")

    scene.during_pause = install_again
    with pytest.raises(HandshakeRefused) as caught:
        await scene.store("earlier")

    assert Reason.STATE_REUSED is caught.value.reason
    assert "test-refresh-later" == (await scene.installations.require(SITE)).refresh_token


async def test_pauses_grow_up_to_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    """The tries come seconds apart until one succeeds, and the log has few of them (R50)."""
    storage = FlakyStorage()
    scene = Scene(storage)
    storage.down = {"put"}

    async def pass_time() -> None:
        scene.clock.advance(120)
        if len(scene.pauses) == 11:
            storage.down = set()

    scene.during_pause = pass_time

    assert "test-refresh-new" == await scene.store("new")
    assert [1.0, 2.0, 4.0, *[5.0] * 8] == scene.pauses
    assert 3 == caplog.text.count(f"the install on site {SITE} is not stored yet")
    assert "(5 failed tries)" in caplog.text


async def test_token_that_dies_meanwhile_is_renewed() -> None:
    """When Wix comes back after the token's life, it is renewed before it is proved (R21, R50)."""
    clock = Clock(1_700_000_000)
    scene = Scene(FlakyStorage(), FakeWix(clock=clock))
    grant = await scene.exchange()
    scene.fake.fail(TOKEN_INFO, times=None)

    async def pass_time() -> None:
        scene.clock.advance(301)
        clock.advance(301)
        scene.fake.heal()

    scene.during_pause = pass_time
    proven = await scene.code_exchange.identify(grant, SITE)
    renewed = proven.grant

    assert SITE == proven.instance_id
    assert renewed.access_token.value != grant.access_token.value
    assert renewed.refresh_token is not None
    assert 1 == scene.fake.count(ACCESS, grant_type="refresh_token")


async def test_token_that_cannot_be_renewed_ends_the_install() -> None:
    """If Wix refuses to renew it, nothing is left to keep."""
    scene = Scene(FlakyStorage())
    grant = await scene.exchange()
    grant = replace(grant, access_token=replace(grant.access_token, expires_at=scene.clock()))
    scene.fake.fail(ACCESS, status=400, body={"error": "invalid_grant"})

    with pytest.raises(GrantRefused):
        await scene.code_exchange.identify(grant, SITE)


@pytest.mark.parametrize(
    ("named", "told"), [(SITE, SITE), (None, "(not named)"), ("a\u2028b", "(not named)")]
)
async def test_log_names_the_site(
    named: str | None, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The site of the address is in the log, unless its characters could forge a line (R35)."""
    scene = Scene(FlakyStorage())
    grant = await scene.exchange()
    scene.fake.fail(TOKEN_INFO, times=None)

    assert await scene.code_exchange.try_to_identify(grant, named) is None
    assert f"the install on site {told} is not proved yet" in caplog.text
    assert "\u2028" not in caplog.text


class Combined(MemoryStorage):
    """A storage that takes two steps at once, and notes its reads and writes."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []
        self.lost = 0

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        self.steps.append("get")
        return await super().get(app_id, instance_id)

    async def put_and_get(self, record: Record) -> Record:
        self.steps.append("put")
        return self._answer(await super().put_and_get(record))

    async def add_and_get(self, record: Record) -> Record | None:
        self.steps.append("add")
        return self._answer(await super().add_and_get(record))

    def _answer(self, outcome: T) -> T:
        self.lost -= 1
        if self.lost >= 0:
            raise StorageUnavailable("The answer of the test storage was lost.")
        return outcome


async def test_install_that_is_not_read_back() -> None:
    """An install is added, and returned as it is stored, in one step."""
    storage = Combined()
    scene = Scene(storage)

    assert "test-refresh-new" == await scene.store("new")
    assert ["add"] == storage.steps


async def test_reinstall_that_is_not_read_back() -> None:
    """A row that is there is read once, and replaced and returned in one step."""
    storage = Combined()
    scene = Scene(storage)
    await scene.store("earlier")
    storage.steps.clear()

    assert "test-refresh-new" == await scene.store("new")
    assert ["add", "get", "put"] == storage.steps


async def test_combined_put_of_unknown_outcome() -> None:
    """An install that was added and returned to nobody is found by a read, and not added again."""
    storage = Combined()
    scene = Scene(storage)
    storage.lost = 1

    assert "test-refresh-new" == await scene.store("new")
    assert ["add", "get", "get"] == storage.steps
