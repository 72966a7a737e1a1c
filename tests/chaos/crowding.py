"""Crowds of processes and tasks that all need a new token at the same moment."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import anyio
from starlette.types import Receive, Scope, Send

from tests.chaos.crew import Crew, Outcome
from tests.chaos.figures import Figure, at_most, exactly, noted
from tests.chaos.places import KINDS, Places
from tests.support import PUBLIC_URL
from wix_asgi.endpoints import Grant
from wix_asgi.installations import Installations
from wix_asgi.models import AccessToken
from wix_asgi.settings import WixSettings
from wix_asgi.storage import open_storage
from wix_asgi.testing import FakeWix
from wix_asgi.testing._serve import serve
from wix_asgi.vault import Vault

__all__ = ["ACCESS", "OVER", "Stage", "crowd", "many", "measure", "stage"]

ACCESS: Final = "/oauth/access"
LIFETIME: Final = 300.0
_SLOW: Final = 1.0


@dataclass
class Stage:
    """A fake Wix that is served, a store, and the sites that the app is installed on."""

    fake: FakeWix
    url: str
    settings: dict[str, Any]
    delay: float = 0.0

    @property
    def sites(self) -> list[str]:
        """The sites of the fake Wix."""
        return list(self.fake.sites)

    @property
    def refreshes(self) -> int:
        """How often Wix was asked for a new token."""
        return self.fake.count(ACCESS, grant_type="refresh_token")

    def install(self) -> None:
        """Install the app on every site, with tokens whose time is over."""
        anyio.run(self._install)

    def age(self) -> None:
        """Let the time of every stored token be over."""
        anyio.run(self._age)

    def crew(self, count: int, **options: Any) -> Crew:
        """Return so many workers of the app."""
        return Crew(count, self.url, self.settings, **options)

    @contextlib.asynccontextmanager
    async def installations(self) -> AsyncIterator[Installations]:
        """Give what is stored, past every worker."""
        settings = WixSettings.load(public_url=PUBLIC_URL, storage=self.url, **self.settings)
        async with open_storage(self.url) as storage:
            yield Installations(self.fake.app_id, storage, Vault.from_settings(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as Wix does, with new tokens after a while."""
        if scope["type"] == "http" and scope["path"] == ACCESS:
            await anyio.sleep(self.delay)
        await self.fake(scope, receive, send)

    async def _install(self) -> None:
        async with self.installations() as installations:
            for site in self.sites:
                value = self.fake.issue_access_token(site)
                grant = Grant(value, self.fake.issue_refresh_token(site))
                token = AccessToken(value, LIFETIME, monotonic())
                await installations.put(site, grant, token)

    async def _age(self) -> None:
        async with self.installations() as installations:
            for site in self.sites:
                stored = await installations.get(site)
                assert stored is not None
                assert stored.access_token is not None
                grant = Grant(stored.access_token.value, stored.refresh_token)
                token = AccessToken(stored.access_token.value, LIFETIME, monotonic())
                assert await installations.replace(stored, grant, token)


@contextlib.contextmanager
def stage(url: str, sites: int, **options: Any) -> Iterator[Stage]:
    """Serve a fake Wix of so many sites, on which the app in the store at `url` is installed."""
    names = {f"5e000000-0000-4000-8000-{n:012}": f"Site {n}" for n in range(sites)}
    fake = FakeWix(sites=names, **options)
    made = Stage(fake, url, {})
    with serve(made, "127.0.0.1", 0) as api_url:
        made.settings = {**fake.settings(), "api_url": api_url}
        made.install()
        yield made


def _over_by_time(on: Stage, crew: Crew) -> None:
    """Have every token's time be over, for workers that have none yet."""
    on.age()
    crew.forget()


def _over_by_refusal(on: Stage, crew: Crew) -> None:
    """Have Wix refuse the token that every worker has."""
    crew.call(on.sites)
    on.fake.expire_access_tokens()


OVER: Final[dict[str, Callable[[Stage, Crew], None]]] = {
    "whose time is over": _over_by_time,
    "that Wix refuses": _over_by_refusal,
}


def crowd(kind: str, url: str, over: str, *, workers: int, tasks: int, rounds: int) -> list[Figure]:
    """Have every task of every worker need the one token that is over."""
    total, calls = Outcome(), []
    with stage(url, 1) as on, on.crew(workers) as crew:
        for _ in range(rounds):
            OVER[over](on, crew)
            before = on.refreshes
            total.add(crew.call(on.sites, tasks))
            calls.append(on.refreshes - before)
    what = f"{workers} processes x {tasks} tasks, a token {over}"
    return [
        exactly(f"{what}: most token calls a round", kind, max(calls), 1),
        exactly(f"{what}: fewest token calls a round", kind, min(calls), 1),
        *_all_served(what, kind, total, workers * tasks * rounds),
        noted(f"{what}: the longest call, s", kind, total.longest),
    ]


def many(
    kind: str, url: str, *, workers: int, sites: int, rounds: int, delay: float
) -> list[Figure]:
    """Have many tokens be over at once, at a Wix that takes its time."""
    total, times = Outcome(), []
    with stage(url, sites) as on, on.crew(workers) as crew:
        crew.call(on.sites)
        on.delay = delay
        single, _ = _timed(on, crew, on.sites[:1])
        before = on.refreshes
        for _ in range(rounds):
            seconds, outcome = _timed(on, crew, on.sites)
            times.append(seconds)
            total.add(outcome)
        calls = on.refreshes - before
    what = f"{workers} processes x {sites} installations"
    bound = 1.5 * single + 0.1
    return [
        exactly(f"{what}, {rounds} rounds: token calls", kind, calls, sites * rounds),
        *_all_served(what, kind, total, workers * sites * rounds),
        noted(f"{what}: a single refresh, s", kind, single),
        at_most(f"{what}: the longest round, s", kind, max(times), bound, timed=True),
    ]


def _timed(on: Stage, crew: Crew, sites: list[str]) -> tuple[float, Outcome]:
    _over_by_time(on, crew)
    began = time.monotonic()
    outcome = crew.call(sites)
    return time.monotonic() - began, outcome


def _all_served(what: str, kind: str, total: Outcome, calls: int) -> list[Figure]:
    return [
        exactly(f"{what}: calls served", kind, total.served, calls),
        exactly(f"{what}: calls failed", kind, len(total.failed), 0),
        exactly(f"{what}: calls as another site", kind, total.strangers, 0),
    ]


def measure(places: Places) -> Iterator[Figure]:
    """Have 1,000 tasks need one token, and 400 need a hundred, on every store."""
    for kind in KINDS:
        for over in OVER:
            with places.empty(kind) as url:
                yield from crowd(kind, url, over, workers=4, tasks=250, rounds=5)
        with places.empty(kind) as url:
            yield from many(kind, url, workers=4, sites=100, rounds=20, delay=_SLOW)
