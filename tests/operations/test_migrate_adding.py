"""Installations that were never stored, from a file or from Wix's own list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import stamina

from tests.operations.migrating import CLIENT_CREDENTIALS, Listing, Moving
from wix_asgi.errors import GrantRefused, WixUnavailable
from wix_asgi.models import Grant
from wix_asgi.operations.migrate import AskPolicy
from wix_asgi.protocol.app_installations import PATH, ListingCredential

KEY = ListingCredential("test-api-key", "test-account")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops, once."""
    backend: str = request.param
    return backend


@pytest.fixture(name="moving")
def _moving() -> Iterator[Moving]:
    """Give an app whose calls to Wix are not repeated below the migration."""
    with stamina.set_testing(True, attempts=1):
        yield Moving()


def at_wix(moving: Moving, *sites: str) -> None:
    """Have these sites the app, without a row."""
    for site in sites:
        moving.fake.sites[site] = f"Site {site}"
        moving.fake.mark_installed(site)


def listed(app_id: str, *sites: str, cursor: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a page of Wix's list."""
    one = {"appId": app_id, "status": "INSTALLED", **fields}
    return {
        "appInstallations": [{"instanceId": site, **one} for site in sites],
        "pagingMetadata": {"count": len(sites), "cursors": {"next": cursor}},
    }


async def test_an_unknown_site_is_stored(moving: Moving) -> None:
    """It gets a row without a refresh token, which serves calls and owes on_install."""
    at_wix(moving, "new")
    await moving.migration().add(["new"])
    stored = await moving.stored("new")

    assert {"new": "added"} == moving.outcomes
    assert (CLIENT_CREDENTIALS, "") == (stored.grant_type, stored.refresh_token)
    assert stored.owes_on_install
    assert stored.live_token(moving.clock(), ()) is not None


async def test_a_dry_run_stores_no_unknown_site(moving: Moving) -> None:
    """It only asks."""
    at_wix(moving, "new")
    await moving.migration(applies=False).add(["new"])

    assert {"new": "added"} == moving.outcomes
    assert await moving.storage.get(moving.fake.app_id, "new") is None


async def test_a_copy_is_known_as_one(moving: Moving) -> None:
    """Get App Instance tells the origin of a copied site, for on_install."""
    at_wix(moving, "copy")
    moving.fake.answer(
        "GET",
        "/apps/v1/instance",
        json={"instance": {"instanceId": "copy", "originInstanceId": "original"}, "site": {}},
    )
    await moving.migration().add(["copy"])

    assert "original" == (await moving.stored("copy")).origin_instance_id


@pytest.mark.parametrize("status", [401, 403, 503])
async def test_a_site_is_stored_where_wix_does_not_tell_its_origin(
    moving: Moving, status: int
) -> None:
    """Whatever Get App Instance answers, the token has proved the installation."""
    at_wix(moving, "new")
    moving.fake.answer("GET", "/apps/v1/instance", status=status, json={"message": "no"})
    await moving.migration().add(["new"])

    assert {"new": "added"} == moving.outcomes
    assert (await moving.stored("new")).origin_instance_id is None


async def test_stored_sites_are_left_out(moving: Moving) -> None:
    """Wix is not asked for them, and nothing is told: `move` has told it."""
    await moving.install("a")
    await moving.migration().add(["a"])

    assert ([], {}) == (moving.calls, moving.outcomes)


async def test_a_site_that_is_stored_meanwhile_keeps_its_row(moving: Moving) -> None:
    """An install of the same moment is not written over."""
    at_wix(moving, "new")
    migration = moving.migration()

    async def install() -> None:
        moving.storage.after.clear()
        token = await migration._oauth.client_credentials("new")
        await moving.installations.put("new", Grant(token.access_token, "test-refresh-token"))

    moving.storage.after["get"] = install
    await migration.add(["new"])

    assert {"new": "kept"} == moving.outcomes
    assert "test-refresh-token" == (await moving.stored("new")).refresh_token


async def test_a_refused_id_is_not_stored(moving: Moving) -> None:
    """An id that Wix does not know is told as refused; more than one question's worth is asked."""
    at_wix(moving, "new")
    await moving.migration(policy=AskPolicy(at_once=1)).add(["unknown", "new"])

    assert {"unknown": "refused", "new": "added"} == moving.outcomes
    assert await moving.storage.get(moving.fake.app_id, "unknown") is None


async def test_an_id_that_wix_writes_otherwise_is_not_stored(moving: Moving) -> None:
    """A token of another installation than was asked for makes no row."""
    at_wix(moving, "NEW")
    moving.fake.token_info_override = lambda info: {**info, "instanceId": "new"}
    await moving.migration().add(["NEW"])

    assert {"NEW": "refused"} == moving.outcomes
    assert await moving.storage.get(moving.fake.app_id, "NEW") is None


async def test_all_pages_are_read(moving: Moving) -> None:
    """The first question has the filter, the next the cursor; other apps are left out."""
    app = moving.fake.app_id
    pages = [
        listed(app, "a", "b", cursor="next-page"),
        listed("another-app", "x", cursor="last-page"),
        listed(app, "c", status="UNINSTALLED"),
    ]
    network = Listing(moving.fake, PATH, *pages)
    found = await moving.migration(transport=network).listed_at_wix(KEY)
    first, second, third = (json.loads(request.content)["query"] for request in network.requests)

    assert ["a", "b"] == found
    assert {"appId": app, "status": "INSTALLED"} == first["filter"]
    assert {"cursorPaging": {"limit": 100, "cursor": "next-page"}} == second
    assert {"cursorPaging": {"limit": 100, "cursor": "last-page"}} == third
    assert {("test-api-key", "test-account")} == {
        (request.headers["Authorization"], request.headers["wix-account-id"])
        for request in network.requests
    }


async def test_an_endless_list_ends(moving: Moving) -> None:
    """An empty page is the last, even with a cursor."""
    network = Listing(moving.fake, PATH, listed(moving.fake.app_id, cursor="again"))

    assert [] == await moving.migration(transport=network).listed_at_wix(KEY)


async def test_an_app_token_is_borrowed(moving: Moving) -> None:
    """Without a key, an access token of the first installation that gets one asks Wix."""
    await moving.install("a", "b")
    moving.fake.uninstall("a")
    network = Listing(moving.fake, PATH, listed(moving.fake.app_id, "b"))
    found = await moving.migration(transport=network).listed_at_wix(None)
    (request,) = network.requests

    assert (["b"], ["a", "b"]) == (found, moving.calls)
    assert request.headers["Authorization"].startswith("OauthNG.JWS.")
    assert "wix-account-id" not in request.headers


async def test_no_token_can_be_borrowed(moving: Moving) -> None:
    """Of many stored sites without the app some are asked for, and then it says so."""
    await moving.install("a", "b", "c")
    for site in "abc":
        moving.fake.uninstall(site)
    migration = moving.migration(policy=AskPolicy(at_once=2))
    with pytest.raises(GrantRefused, match="No stored installation"):
        await migration.listed_at_wix(None)

    assert ["a", "b"] == moving.calls


async def test_nothing_is_stored_to_borrow_from(moving: Moving) -> None:
    """An empty storage has no token to ask with."""
    with pytest.raises(GrantRefused, match="No stored installation"):
        await moving.migration().listed_at_wix(None)


@pytest.mark.parametrize("body", [{}, {"appInstallations": {}}], ids=["nothing", "an object"])
async def test_an_answer_without_a_list_is_a_failure(moving: Moving, body: dict[str, Any]) -> None:
    """An answer that is no list does not count as an empty list."""
    network = Listing(moving.fake, PATH, *[body] * 2)
    migration = moving.migration(transport=network, policy=AskPolicy(max_tries=1))
    with pytest.raises(WixUnavailable, match="without a list"):
        await migration.listed_at_wix(KEY)

    assert 1 == len(network.requests)


@pytest.mark.parametrize(
    "paging",
    [None, "x", {"cursors": None}, {"cursors": {"next": 7}}],
    ids=["none", "a text", "no cursors", "a number"],
)
async def test_a_page_without_a_cursor_is_the_last(moving: Moving, paging: object) -> None:
    """Entries that are no installations are left out, and nothing more is asked."""
    entries = ["x", {"appId": moving.fake.app_id, "status": "INSTALLED", "instanceId": 7}]
    page = {"appInstallations": entries, "pagingMetadata": paging}
    network = Listing(moving.fake, PATH, page)

    assert [] == await moving.migration(transport=network).listed_at_wix(KEY)
    assert 1 == len(network.requests)
