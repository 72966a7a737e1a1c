"""Installs in which a connection fails, in every way at every moment, and the promises that hold.

At every fault: no code is exchanged twice, no install is lost after it was answered as a
success, an address that may be loaded again works again (but where a changed byte falsified the
answer of the database), every request ends within 30 seconds, no secret is in any log, and the site
can be installed on once all is well.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import anyio

from chaos.figures import Figure, at_most, exactly, noted
from chaos.installed import many_sites
from chaos.proxy import HARMLESS, KINDS, Fault, Kind, Proxy, address_of, before_postgres
from chaos.stores import KINDS as STORES
from chaos.stores import Stores
from tests.handshake.handshaking import (
    ACCESS,
    Answer,
    ask,
    cookies_set,
    query_of,
    split_url,
)
from tests.processes.apps import Secrets
from tests.support import PUBLIC_URL, make_app
from wix_asgi import Wix, WixMiddleware
from wix_asgi.storage import Storage, open_storage
from wix_asgi.testing import FakeWix
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage

__all__ = ["MOMENTS", "Case", "Moment", "Night", "cases", "measure", "moments_of", "night"]

logger = logging.getLogger(__name__)

_LONGEST: Final = 30.0
_USUAL: Final = Retry().total
_PAUSE: Final = 0.1
_AT_ONCE: Final = 60


SEEDS: Final = range(1, 4)


@dataclass(frozen=True, slots=True)
class Moment:
    """When in an install a fault happens, and to the connection to whom."""

    name: str
    to_wix: bool
    when: bytes = b""
    after: int = 0

    def __str__(self) -> str:
        return self.name


_CLAIM: Final = b"INSERT INTO wix_claims"
_WRITE: Final = b"INSERT INTO wix_installations"
MOMENTS: Final = (
    Moment("connecting to Wix", to_wix=True),
    Moment("exchange", to_wix=True, when=b"POST /oauth/access "),
    Moment("token-info", to_wix=True, when=b"POST /oauth2/token-info "),
    # A statement is sent first, then its values: with these it is carried out.
    Moment("claim", to_wix=False, when=_CLAIM),
    Moment("commit of the claim", to_wix=False, when=_CLAIM, after=1),
    Moment("between exchange and store", to_wix=False, when=_WRITE),
    Moment("commit", to_wix=False, when=_WRITE, after=1),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One install and the fault in it, which happens once or until the install is answered."""

    kind: Kind
    moment: Moment
    lasting: bool
    seed: int

    def __str__(self) -> str:
        lasting = "lasting" if self.lasting else "once"
        return f"{self.kind}, {lasting}, at {self.moment} (seed {self.seed})"

    @property
    def fault(self) -> Fault:
        """The fault that the proxy has to make."""
        times = None if self.lasting else 1
        return Fault(self.kind, self.moment.when, self.moment.after, times)

    @property
    def costs_nothing(self) -> bool:
        """Whether the install has to succeed at the first load."""
        passing = not self.may_mislead and not self.lasting and not self.moment.to_wix
        return self.kind in HARMLESS or (passing and self.kind != "refuse")

    @property
    def may_mislead(self) -> bool:
        """Whether a changed byte may change a statement or an answer of the database."""
        return self.kind == "corrupt" and not self.moment.to_wix


def moments_of(kind: str) -> list[Moment]:
    """Return the moments that depend on this kind of store: one in a file has no connection."""
    return [moment for moment in MOMENTS if moment.to_wix == (kind == "sqlite")]


def cases(moments: Sequence[Moment], seed: int) -> list[Case]:
    """Return every fault at each of these moments."""
    every = itertools.product(KINDS, moments, [False, True])
    return [Case(kind, moment, lasting, seed) for kind, moment, lasting in every]


class _Log(logging.Handler):
    """Everything that is logged, at every level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep everything that any formatter could show."""
        self.lines += [self.format(record), repr(record.__dict__)]


@dataclass
class Install:
    """One browser before one app, which reaches Wix and its storage through proxies."""

    wix: Wix
    fake: FakeWix
    site: str
    callback: str = ""
    cookie: str = ""

    async def begin(self) -> None:
        """Begin an install and approve it."""
        begun = await ask(self._app, "/wix/install")
        (cookie,) = cookies_set(begun)
        self.cookie = f"{cookie.name}={cookie.value}"
        self.callback = self.fake.approve(begun.one("Location") or "", instance_id=self.site)

    async def load(self) -> Answer:
        """Load the callback with the cookies of the browser; keep the cookies of the answer."""
        path, query = split_url(self.callback)
        headers = [(b"host", b"app.example.com"), (b"cookie", self.cookie.encode())]
        answer = await ask(self._app, path, query, headers=headers)
        if any(cookie.attributes.get("Max-Age") == "0" for cookie in cookies_set(answer)):
            self.cookie = ""
        return answer

    async def calls_as(self) -> str | None:
        """Return for which site Wix takes a call of the app."""
        answer = await self.wix.client(self.site).get("/apps/v1/instance")
        return str(answer.json()["instance"]["instanceId"]) if answer.is_success else None

    @property
    def _app(self) -> WixMiddleware:
        return WixMiddleware(make_app(), self.wix)


@dataclass
class Night:
    """A fake Wix that is served, a store, and all that is logged meanwhile."""

    fake: FakeWix
    url: str
    store: Storage
    log: _Log
    secrets: Secrets = field(default_factory=Secrets)
    longest: float = 0.0
    patience: float = _LONGEST
    tries_for: float = _USUAL

    async def broken(self, every: Sequence[Case]) -> list[str]:
        """Carry out all cases, many at once; return which promises were broken in which of them."""
        broken: list[str] = []
        limit = anyio.CapacityLimiter(_AT_ONCE)

        async def one(case: Case, site: str) -> None:
            async with limit:
                promises = [promise async for promise in self._broken(case, site)]
            broken.extend(f"{promise}: {case}" for promise in promises)

        async with anyio.create_task_group() as tasks:
            for case, site in zip(every, self.fake.sites, strict=False):
                tasks.start_soon(one, case, site)
        return broken + [f"logged: …{secret}" for secret in self._secrets_logged()]

    async def _broken(self, case: Case, site: str) -> AsyncIterator[str]:
        async with self._installing(case, site) as (install, proxy):
            await self._begin(install)
            await proxy.arm(case.fault)
            first = await self._load(install)
            struck = proxy.struck
            await proxy.heal()
            for promise in [p async for p in self._judge(case, install, first)]:
                yield promise
        if not struck:
            yield "the fault did not happen"

    @asynccontextmanager
    async def _installing(self, case: Case, site: str) -> AsyncIterator[tuple[Install, Proxy]]:
        async with AsyncExitStack() as stack:
            if case.moment.to_wix:
                proxy = await stack.enter_async_context(Proxy(address_of(self.fake.url), seed=case))
                api_url, url = proxy.url, self.url
            else:
                proxy, url = await stack.enter_async_context(before_postgres(self.url, seed=case))
                api_url = self.fake.url
            settings = {**self.fake.settings(), "api_url": api_url}
            storage: str | Storage = url
            if case.costs_nothing and not case.moment.to_wix:
                retry = Retry(total=self.tries_for)
                storage = PostgresStorage(parse_url(url), retry=retry)
                await stack.enter_async_context(storage)
            wix = Wix(public_url=PUBLIC_URL, storage=storage, **settings)
            await stack.enter_async_context(wix)
            yield Install(wix, self.fake, site), proxy

    async def _begin(self, install: Install) -> None:
        await install.begin()
        self.secrets.note(install.callback, "code", "state")
        self.secrets.values.add(install.cookie.partition("=")[2])

    async def _load(self, install: Install) -> Answer | None:
        began = monotonic()
        answer = None
        with anyio.move_on_after(self.patience):
            answer = await install.load()
        self.longest = max(self.longest, monotonic() - began)
        return answer

    async def _load_again(self, install: Install) -> Answer | None:
        """Load once more; where the install is said to be under way, until it is over."""
        with anyio.move_on_after(self.patience):
            while True:
                again = await install.load()
                if again.status != 202:
                    return again
                # A claim is given back, and a grant is stored, behind the answer.
                await anyio.sleep(_PAUSE)
        return None

    async def _judge(
        self, case: Case, install: Install, first: Answer | None
    ) -> AsyncIterator[str]:
        """Say which promises were broken, now that all is well again."""
        if first is None:
            yield f"the request did not end within {self.patience:.0f} s"
            return
        succeeded, may_come_again = _succeeded(first), bool(install.cookie)
        # 202 is no failure: the same address has to succeed when it is loaded again.
        if case.costs_nothing and not (succeeded or first.status == 202):
            yield f"an install failed ({first.status})"
        if succeeded and not await self._is_kept(install):
            yield "an install was lost after its success"
        if not case.may_mislead:
            again = await self._load_again(install)
            # A changed byte may make Wix's word on the token that of another site.
            is_falsified = case.kind == "corrupt" and first.status == 202
            if again is None or (_succeeded(again) != may_come_again and not is_falsified):
                yield f"loaded again: {again and again.status}, after {first.status}"
        if self.fake.count(ACCESS, code=query_of(install.callback)["code"]) > 1:
            yield "a code was exchanged twice"
        await self._begin(install)
        last = await install.load()
        if last.status == 202:
            # A slow machine takes longer than a browser is kept waiting.
            last = await self._load_again(install) or last
        if not _succeeded(last) or not await self._is_kept(install):
            yield f"the site cannot be installed on ({last.status})"

    async def _is_kept(self, install: Install) -> bool:
        record = await self.store.get(self.fake.app_id, install.site)
        return record is not None and await install.calls_as() == install.site

    def _secrets_logged(self) -> list[str]:
        self.secrets.note_calls(self.fake)
        return self.secrets.found_in("".join(self.log.lines).encode())


def measure(stores: Stores) -> Iterator[Figure]:
    """Have every fault happen at every moment of installs, with bytes chosen by many seeds."""
    for kind in STORES:
        moments = [moment for moment in MOMENTS if moment.to_wix or kind != "sqlite"]
        every = [case for seed in SEEDS for case in cases(moments, seed)]
        with stores.empty(kind) as url:
            broken, longest = anyio.run(_carry_out, url, every)
        for promise in broken:
            logger.error("%s, on %s", promise, kind)
        yield noted("installs in which a connection failed", kind, len(every))
        yield exactly("promises broken in them", kind, len(broken), 0)
        yield at_most("the longest request, s", kind, longest, _LONGEST, timed=True)


async def _carry_out(url: str, every: Sequence[Case]) -> tuple[list[str], float]:
    async with night(url, len(every)) as tonight:
        return await tonight.broken(every), tonight.longest


def _succeeded(answer: Answer | None) -> bool:
    location = answer.one("Location") if answer else None
    return location is not None and "/installer/close-window?" in location


@asynccontextmanager
async def night(
    url: str, sites: int, *, patience: float = _LONGEST, tries_for: float = _USUAL
) -> AsyncIterator[Night]:
    """Serve a fake Wix of `sites` sites beside the store at `url`, and listen to every log.

    A request has to end within `patience` seconds. Where a fault may cost no install, the storage
    tries each operation for `tries_for` seconds.
    """
    fake = FakeWix(
        app_secret="test-secret-of-a-bad-night",
        sites=many_sites(sites),
    )
    log, root = _Log(), logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    try:
        with fake.serve():
            async with open_storage(url) as store:
                yield Night(fake, url, store, log, patience=patience, tries_for=tries_for)
    finally:
        root.setLevel(level)
        root.removeHandler(log)
