"""The search for secrets: the storage of the fake Wix in place."""

from __future__ import annotations

from wix_asgi import Wix
from wix_asgi.testing import FakeWix
from wix_asgi.testing.secret_search import read_records


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
