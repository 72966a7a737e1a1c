"""The search for secrets: the storage of the fake Wix in place."""

from __future__ import annotations

import anyio

from wix_asgi import Wix
from wix_asgi.storage import EventStorage
from wix_asgi.testing import FakeWix
from wix_asgi.testing.secret_search import SecretSearch, read_records
from wix_asgi.testing.storage_check.event_records import event


async def test_all_installations_are_read() -> None:
    """Each record is there once, and no token is to be seen."""
    sites = {f"site-{number:03}": "A site" for number in range(3)}
    with FakeWix(sites=sites).active() as fake:
        async with Wix() as wix:
            for site in sites:
                fake.mark_installed(site)
                await wix.client(site).get("/apps/v1/instance")
        fields = await read_records()

    assert [*sites] == [site for site, text in zip(sites, fields, strict=True) if site in text]
    assert not [text for text in fields if "OauthNG" in text]


async def test_all_events_are_read() -> None:
    """The rows of the inbox are read page by page, whatever their state."""
    with FakeWix().active():
        async with Wix() as wix:
            assert isinstance(wix.storage, EventStorage)
            names = [f"event-{number:03}" for number in range(101)]
            for name in names:
                await wix.storage.add_event(event(name, app_id=wix.settings.app_id))
            await wix.storage.drop_event(wix.settings.app_id, names[0], keep=60.0)
        fields = await read_records()

    assert names == [name for name, text in zip(names, fields, strict=True) if name in text]


def test_a_secret_in_an_event_is_found() -> None:
    """A payload that was not sealed is told as a secret in the storage."""
    with FakeWix().active() as fake, SecretSearch(fake.app_secret) as search:
        anyio.run(_keep, b"OauthNG.JWS." + b"a" * 60)
        found = search.found()

    assert ["an access token in the storage"] == found


async def _keep(payload: bytes) -> None:
    async with Wix() as wix:
        assert isinstance(wix.storage, EventStorage)
        await wix.storage.add_event(event("one", app_id=wix.settings.app_id, payload=payload))
