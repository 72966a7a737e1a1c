"""The scene of refreshes: a fake Wix that takes its time, and a store that both sides know."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from chaos.installed import ACCESS, CREDENTIALS, install, installations, many_sites
from tests.support import PUBLIC_URL
from wix_asgi.installations.versions import next_version
from wix_asgi.models import GrantType, Record
from wix_asgi.storage import Storage, open_storage
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix._serve import serve

__all__ = ["Scene", "scene"]

_PATHS: Final = {GrantType.REFRESH_TOKEN: ACCESS, GrantType.CLIENT_CREDENTIALS: CREDENTIALS}
_PROOFS: Final = {
    GrantType.REFRESH_TOKEN: "refresh_token",
    GrantType.CLIENT_CREDENTIALS: "instance_id",
}
"""The field that tells the requests of the sites apart."""


@dataclasses.dataclass
class Scene:
    """A fake Wix with an app that is installed on all of its sites.

    Attributes:
        options: The keywords of a `Wix` over the store.
        grant_type: The grant by which all sites get their tokens.
    """

    fake: FakeWix
    storage: Storage
    options: dict[str, Any]
    grant_type: GrantType = GrantType.REFRESH_TOKEN

    @property
    def request(self) -> dict[str, str]:
        """The fields of a request for a new token, as `FakeWix.count` takes them."""
        return {"path": _PATHS[self.grant_type], "grant_type": self.grant_type}

    @property
    def sites(self) -> list[str]:
        """The instance IDs of all sites."""
        return list(self.fake.sites)

    @property
    def refreshes(self) -> int:
        """How often Wix was asked for a refresh."""
        return self.fake.count(**self.request)

    def refreshed_again(self) -> int:
        """Return how many refresh tokens, or sites, were sent more than once."""
        path, proof = _PATHS[self.grant_type], _PROOFS[self.grant_type]
        bodies = [call.json for call in self.fake.calls if call.path == path]
        return sum(times > 1 for times in Counter(body[proof] for body in bodies).values())

    def refused(self) -> int:
        """Return how often the API was called with a token that is dead."""
        return sum(call.status == 401 for call in self.fake.calls)

    async def install(self, keys: Sequence[str] = ()) -> None:
        """Install the app on every site, with an access token whose time is over."""
        options = {**self.options, "encryption_keys": keys}
        stored = installations(self.fake, self.storage, options)
        for site in self.sites:
            await install(self.fake, stored, site, left=-1, grant_type=self.grant_type)
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

    async def lose_rows(self) -> None:
        """Have the store know none of the sites, on which the app still is."""
        self.fake.expire_access_tokens()
        for site in self.sites:
            assert await self.storage.delete(self.fake.app_id, site)

    async def record(self, site: str) -> Record:
        """Return the stored record of a site."""
        record = await self.storage.get(self.fake.app_id, site)
        assert record is not None
        return record


@contextlib.asynccontextmanager
async def scene(
    url: str,
    *,
    sites: int = 1,
    rotating: bool = False,
    delay: float = 0.0,
    grant_type: GrantType = GrantType.REFRESH_TOKEN,
) -> AsyncIterator[Scene]:
    """Serve a fake Wix whose token endpoint takes `delay` seconds, beside the store at `url`."""
    fake = FakeWix(sites=many_sites(sites), rotate_refresh_tokens=rotating)
    with _served(fake, delay):
        async with open_storage(url) as storage:
            options = {**fake.settings(), "public_url": PUBLIC_URL, "storage": url}
            yield Scene(fake, storage, options, grant_type)


@contextlib.contextmanager
def _served(fake: FakeWix, delay: float) -> Iterator[None]:
    with serve(_slow(fake, delay), "127.0.0.1", 0) as url:
        fake.url = url
        yield


def _slow(app: ASGIApp, delay: float) -> ASGIApp:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in _PATHS.values():
            await anyio.sleep(delay)
        await app(scope, receive, send)

    return slow
