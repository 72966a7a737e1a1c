"""The scene of refreshes: a fake Wix that takes its time, and a store that both sides know."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from chaos.installed import ACCESS, install, installations, many_sites
from tests.support import PUBLIC_URL
from wix_asgi.installations.versions import next_version
from wix_asgi.models import Record
from wix_asgi.storage import Storage, open_storage
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix._serve import serve

__all__ = ["REFRESH", "Scene", "scene"]

REFRESH: Final = {"path": ACCESS, "grant_type": "refresh_token"}


@dataclasses.dataclass
class Scene:
    """A fake Wix with an app that is installed on all of its sites.

    Attributes:
        options: The keywords of a `Wix` over the store.
    """

    fake: FakeWix
    storage: Storage
    options: dict[str, Any]

    @property
    def sites(self) -> list[str]:
        """The instance IDs of all sites."""
        return list(self.fake.sites)

    @property
    def refreshes(self) -> int:
        """How often Wix was asked for a refresh."""
        return self.fake.count(**REFRESH)

    def refreshed_again(self) -> int:
        """Return how many refresh tokens were sent more than once."""
        bodies = [call.json for call in self.fake.calls if call.path == ACCESS]
        return sum(
            times > 1 for times in Counter(body["refresh_token"] for body in bodies).values()
        )

    def refused(self) -> int:
        """Return how often the API was called with a token that is dead."""
        return sum(call.status == 401 for call in self.fake.calls)

    async def install(self, keys: Sequence[str] = ()) -> None:
        """Install the app on every site, with an access token whose time is over."""
        options = {**self.options, "encryption_keys": keys}
        stored = installations(self.fake, self.storage, options)
        for site in self.sites:
            await install(self.fake, stored, site, left=-1)
        self.fake.expire_access_tokens()

    async def end_tokens(self) -> None:
        """Have the time of every access token be over, at Wix and by the store's clock."""
        self.fake.expire_access_tokens()
        for site in self.sites:
            record = await self.record(site)
            ended = dataclasses.replace(
                record, version=next_version(record.version), expires_in=-1.0
            )
            assert await self.storage.replace(ended, expected=record.version)

    async def record(self, site: str) -> Record:
        """Return the stored record of a site."""
        record = await self.storage.get(self.fake.app_id, site)
        assert record is not None
        return record


@contextlib.asynccontextmanager
async def scene(
    url: str, *, sites: int = 1, rotating: bool = False, delay: float = 0.0
) -> AsyncIterator[Scene]:
    """Serve a fake Wix whose token endpoint takes `delay` seconds, beside the store at `url`."""
    fake = FakeWix(sites=many_sites(sites), rotate_refresh_tokens=rotating)
    with _served(fake, delay):
        async with open_storage(url) as storage:
            options = {**fake.settings(), "public_url": PUBLIC_URL, "storage": url}
            yield Scene(fake, storage, options)


@contextlib.contextmanager
def _served(fake: FakeWix, delay: float) -> Iterator[None]:
    with serve(_slow(fake, delay), "127.0.0.1", 0) as url:
        fake.url = url
        yield


def _slow(app: ASGIApp, delay: float) -> ASGIApp:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == ACCESS:
            await anyio.sleep(delay)
        await app(scope, receive, send)

    return slow
