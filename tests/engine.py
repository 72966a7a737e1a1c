"""What tests of the token engine share: a clock, a storage that notes its steps, an engine."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from tests.clocks import ManualClock as ManualClock  # noqa: PLC0414 - tests take it from here
from tests.limits import PATIENCE
from tests.support import PUBLIC_URL, SITE, StepByStep
from wix_asgi._http import httpx
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import WixError
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.leases.lease import Lease
from wix_asgi.models import AccessToken, Grant, Record
from wix_asgi.oauth.client import OAuthClient, OAuthPolicy
from wix_asgi.oauth.throttle import FailureThrottle
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix._signal import Signal
from wix_asgi.tokens._lease_terms import LeaseTerms
from wix_asgi.tokens.cache import TokenCache
from wix_asgi.tokens.policy import RefreshPolicy
from wix_asgi.tokens.recheck import RecheckPolicy, Rechecks
from wix_asgi.tokens.refresh import Refresher
from wix_asgi_backends.memory import MemoryStorage

ACCESS: Final = "/oauth/access"
CREDENTIALS: Final = "/oauth2/token"
REFUSED: Final[dict[str, Any]] = {"status": 400, "body": {"error": "invalid_grant"}}
NOT_FOUND: Final[dict[str, Any]] = {"status": 404, "body": {"error": "not_found"}}
MISCONFIGURED: Final[dict[str, Any]] = {"status": 401, "body": {"error": "invalid_client"}}
FAILING: Final[dict[str, Any]] = {"status": 503}
# Of a token that lives 300 seconds, with a jitter of 0.5.
FRESH, ADVISORY, MANDATORY, EXPIRED = 209.9, 210.0, 280.0, 300.0
# Since the last read of the row: nothing is due, the row is read in the background, a call waits.
QUIET, DUE, OVERDUE = 44.9, 45.0, 55.0


class Steps(StepByStep):
    """A storage that notes what it is asked in order, and waits or fails where it is told."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.log: list[str] = []
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}
        self.after: dict[str, Callable[[], Awaitable[object]]] = {}
        self.holders: set[str] = set()
        self._signal = Signal()

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        await self._begin("get")
        record = await super().get(app_id, instance_id)
        await self._end("get")
        return record

    async def put(self, record: Record) -> None:
        await self._begin("put")
        await super().put(record)
        await self._end("put")

    async def add(self, record: Record) -> bool:
        await self._begin("add")
        added = await super().add(record)
        await self._end("add")
        return added

    async def replace(self, record: Record, *, expected: str) -> bool:
        await self._begin("replace")
        replaced = await super().replace(record, expected=expected)
        await self._end("replace")
        return replaced

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        await self._begin("delete")
        deleted = await super().delete(app_id, instance_id, installed_before=installed_before)
        await self._end("delete")
        return deleted

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        await self._begin("scan")
        return await super().scan(app_id, after=after, limit=limit)

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        await self._begin("claim")
        claimed = await super().claim(name, owner, ttl)
        if claimed:
            self.holders.add(name)
        await self._end("claim")
        return claimed

    async def release(self, name: str, owner: str) -> None:
        await self._begin("release")
        await super().release(name, owner)
        self.holders.discard(name)
        await self._end("release")

    def fail(self, step: str, error: Exception, *, times: int = 1) -> None:
        """Raise `error` at the next steps of this name."""
        left = [error] * times

        async def raise_next() -> None:
            if left:
                raise left.pop()

        self.before[step] = raise_next

    async def asked(self, step: str, times: int = 1) -> None:
        """Wait until there were so many steps of this name."""
        with anyio.fail_after(PATIENCE):
            await self._signal.wait_until(lambda: self.log.count(step) >= times)

    def forget_grant_types(self) -> None:
        """Keep no field that the first release did not know."""
        for key, (record, read_at) in self._rows.items():
            older = dataclasses.replace(record, grant_type=None, origin_instance_id=None)
            self._rows[key] = (older, read_at)

    async def _begin(self, step: str) -> None:
        self.log.append(step)
        self._signal.notify()
        await self.before.get(step, checkpoint)()

    async def _end(self, step: str) -> None:
        await self.after.get(step, checkpoint)()


class Engine:
    """The token engine of one process; several over one storage are several processes."""

    def __init__(
        self,
        fake: FakeWix,
        storage: MemoryStorage,
        clock: ManualClock,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        policy: RefreshPolicy | None = None,
        rechecks: RecheckPolicy | None = None,
        vault: Vault | None = None,
        **options: Any,
    ) -> None:
        self.options = options
        self.sleep: Callable[[float], Awaitable[object]] = anyio.sleep
        self.policy = policy or RefreshPolicy()
        self.recheck_jitter = 0.5
        self.fake = fake
        self.clock = clock
        self.storage = storage
        self.settings = make_settings(fake)
        self.installations = InstallationRepository(
            fake.app_id, storage, vault or Vault(self.settings.key_ring()), clock=clock
        )
        self.oauth = make_oauth(fake, transport, clock=clock)
        self.refresher = Refresher(
            self.installations,
            storage,
            self.oauth,
            app_id=fake.app_id,
            clock=clock,
            policy=self.policy,
            jitter=lambda: 0.5,
            sleep=self._pause,
            **options,
        )
        self.detached = DetachedTasks()
        self.rechecks = Rechecks(
            self.installations, policy=rechecks, clock=clock, jitter=lambda: self.recheck_jitter
        )
        self.tokens = TokenCache(
            self.refresher, self.detached, self.rechecks, clock=clock, jitter=lambda: 0.5
        )

    def another(self, **changes: Any) -> Engine:
        """Return the engine of another process over the same storage, with changes of policy."""
        policy = dataclasses.replace(self.policy, **changes)
        return Engine(self.fake, self.storage, self.clock, policy=policy, **self.options)

    async def install(self, site: str = SITE, *, left: float = 300.0) -> AccessToken:
        """Store a new installation whose access token has `left` seconds to live."""
        value = self.fake.issue_access_token()
        token = AccessToken(value, 300.0, self.clock() + left)
        await self.installations.put(site, Grant(token, self.fake.issue_refresh_token(site)))
        return token

    async def install_by_credentials(
        self, site: str = SITE, *, left: float = 14_400.0, **facts: Any
    ) -> AccessToken:
        """Store an installation without a refresh token; its access token has `left` seconds."""
        self.fake.mark_installed(site)
        token = AccessToken(self.fake.issue_access_token(site), 14_400.0, self.clock() + left)
        await self.installations.put(site, Grant(token), **facts)
        return token

    async def stored(self, site: str = SITE) -> StoredInstallation:
        """Return what the storage has of `site`."""
        stored = await self.installations.get(site)
        assert stored is not None
        return stored

    async def _pause(self, seconds: float) -> None:
        await self.sleep(seconds)

    @property
    def posts(self) -> int:
        """How many refreshes Wix was asked for."""
        return self.fake.count(ACCESS, grant_type="refresh_token")

    @property
    def recoveries(self) -> int:
        """How many tokens of client credentials Wix was asked for."""
        return self.fake.count(CREDENTIALS)

    def fail(self, fault: Mapping[str, Any], *, times: int | None = None) -> None:
        """Let refreshes fail; where Wix refuses the refresh token, so do client credentials."""
        self.fake.fail(ACCESS, times=times, **fault)
        if fault == REFUSED:
            self.fake.fail(CREDENTIALS, times=times, **NOT_FOUND)

    async def settle(self) -> None:
        """Wait for what goes on in the background."""
        with anyio.fail_after(PATIENCE):
            await self.detached.aclose(10)


def make_oauth(
    fake: FakeWix,
    transport: httpx.AsyncBaseTransport | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
    policy: OAuthPolicy | None = None,
) -> OAuthClient:
    """Return a client of `fake` whose throttle never waits."""
    throttle = FailureThrottle(clock=clock, sleep=lambda _: checkpoint())
    endpoints = Endpoints(make_settings(fake))
    return OAuthClient(
        endpoints,
        transport or fake.transport,
        clock=clock,
        jitter=jitter,
        throttle=throttle,
        policy=policy,
    )


def make_lease(
    storage: Storage,
    name: str,
    *,
    ttl: float,
    clock: Callable[[], float] = time.monotonic,
    growth: float = 0.0,
) -> Lease:
    """Return a lease of `ttl` seconds, which delays make longer by `growth` times themselves."""
    policy = RefreshPolicy(lease_ttl=ttl, lease_growth=growth)
    terms = LeaseTerms(storage, "app", policy=policy, longest_call=15.0, clock=clock)
    return Lease(storage, name, terms=terms, title="a refresh lease", clock=clock)


def make_settings(fake: FakeWix) -> WixSettings:
    """Return settings for `fake`."""
    return WixSettings.load(public_url=PUBLIC_URL, storage="memory://", **fake.settings())


async def get(engine: Engine, site: str = SITE) -> str:
    """Return the value of a token, with a bound."""
    with anyio.fail_after(PATIENCE):
        return (await engine.tokens.get(site)).value


async def failure(work: Callable[[], Awaitable[object]]) -> WixError:
    """Return what `work` raises, with a bound."""
    with pytest.raises(WixError) as caught, anyio.fail_after(PATIENCE):
        await work()
    return caught.value


async def refresh(engine: Engine, *unwanted: str) -> AccessToken:
    """Refresh past the cache, with a bound."""
    with anyio.fail_after(PATIENCE):
        return await engine.refresher.refresh(SITE, unwanted)


async def refresh_failure(engine: Engine, *unwanted: str) -> WixError:
    """Return what such a refresh raises."""
    return await failure(lambda: refresh(engine, *unwanted))


@asynccontextmanager
async def refreshing(refresher: Refresher, sites: Iterable[str]) -> AsyncIterator[TaskGroup]:
    """Refresh all of these past the cache; the block ends when they are done, with a bound."""
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for site in sites:
                tasks.start_soon(refresher.refresh, site, ())
            yield tasks


async def overdue_sites(engine: Engine, count: int) -> list[str]:
    """Have so many installations whose access token is over; return where."""
    sites = [engine.fake.add_site(f"Site {number}") for number in range(count)]
    for site in sites:
        await engine.install(site, left=0)
    return sites


async def warm(engine: Engine, age: float) -> AccessToken:
    """Have a token of this age in the cache."""
    token = await engine.install()
    await get(engine)
    engine.clock.advance(age)
    return token


async def crowd(count: int, *engines: Engine) -> list[str]:
    """Have `count` tasks of each process ask at once; return what they got."""
    values: list[str] = []

    async def ask(engine: Engine) -> None:
        values.append(await get(engine))

    async with anyio.create_task_group() as tasks:
        for engine in engines:
            for _ in range(count):
                tasks.start_soon(ask, engine)
    return values
