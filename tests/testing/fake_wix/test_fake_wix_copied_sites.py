"""FakeWix's copied sites: installations that nobody has consented to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.testing.fake_wix.signed import read_claims
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeSite, FakeWix

BAKERY, YOGA, _ = DEMO_SITES


async def _about(fake: FakeWix, site: str) -> dict[str, Any]:
    headers = {"authorization": fake.issue_access_token(site)}
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        about: dict[str, Any] = (await http.get("/apps/v1/instance", headers=headers)).json()
    return about


async def test_a_copy_is_an_installation_of_its_own(fake: FakeWix) -> None:
    """The copy has another instance ID and another site, and the app is on it."""
    fake.mark_installed(YOGA)
    copy = fake.copy_site(YOGA)
    origin_site, copied_site = await _about(fake, YOGA), await _about(fake, copy)

    assert {YOGA, copy} == fake.installed
    assert "Copy of Lighthouse Yoga" == copied_site["site"]["siteDisplayName"]
    assert origin_site["site"]["siteId"] != copied_site["site"]["siteId"]


async def test_a_copy_may_have_a_name(fake: FakeWix) -> None:
    """The site owner names the copy."""
    copy = fake.copy_site(YOGA, "Second Lighthouse")

    assert "Second Lighthouse" == fake.sites[copy]


async def test_get_app_instance_tells_of_the_origin(fake: FakeWix) -> None:
    """Only a copy has the field, and says that it was copied."""
    copy = fake.copy_site(YOGA)
    copied, other = await _about(fake, copy), await _about(fake, YOGA)

    assert (True, YOGA) == (
        copied["instance"]["copiedFromTemplate"],
        copied["instance"]["originInstanceId"],
    )
    assert other["instance"]["copiedFromTemplate"] is False
    assert "originInstanceId" not in other["instance"]


def test_the_signed_instance_tells_of_the_origin(fake: FakeWix) -> None:
    """The pages of a copy learn of the origin, and other pages have no such claim."""
    copy = fake.copy_site(YOGA)

    assert YOGA == read_claims(fake.signed_instance(copy))["originInstanceId"]
    assert "originInstanceId" not in read_claims(fake.signed_instance(YOGA))


def test_a_copy_of_a_copy_comes_from_the_copy(fake: FakeWix) -> None:
    """The origin is the installation that was copied, not the first of the chain."""
    first = fake.copy_site(YOGA)
    second = fake.copy_site(first)

    assert first == read_claims(fake.signed_instance(second))["originInstanceId"]


def test_a_copy_has_the_products_of_its_origin() -> None:
    """Wix's own data is copied, and changes apart from then on."""
    fake = FakeWix(sites={BAKERY: FakeSite("Bakery", products=[{"name": "Bread", "tags": []}])})
    copy = fake.copy_site(BAKERY)
    fake.products(copy)[0]["tags"].append("fresh")

    assert [{"name": "Bread", "tags": ["fresh"]}] == fake.products(copy)
    assert [{"name": "Bread", "tags": []}] == fake.products(BAKERY)


async def test_client_credentials_alone_bring_tokens_of_a_copy(fake: FakeWix) -> None:
    """A copy works at once by client credentials: nobody has a code or a refresh token for it."""
    body = {
        "grant_type": "client_credentials",
        "client_id": fake.app_id,
        "client_secret": fake.app_secret,
        "instance_id": fake.copy_site(YOGA),
    }
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        answer = await http.post("/oauth2/token", json=body)

    assert {"access_token", "token_type", "expires_in"} == answer.json().keys()


def test_only_a_site_can_be_copied(fake: FakeWix) -> None:
    """A site that was never added is a mistake of the test, and said to be."""
    with pytest.raises(LookupError, match="add_site"):
        fake.copy_site("nobody")
