"""FakeWix's App Installations Query: its filters, its pages, and the credentials it takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, Clock, FakeWix

BAKERY, YOGA, PAPER = DEMO_SITES
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
PATH = "/app-installations/v1/app-installations/query"
OURS = {"appId": "fake-app-id"}


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    """Return a FakeWix with three installations, an hour apart; the second was ended."""
    fake = FakeWix(clock=Clock(NOON))
    fake.issue_refresh_token(BAKERY)
    fake.clock.advance(3600)
    fake.mark_installed(YOGA)
    fake.clock.advance(3600)
    fake.mark_installed(PAPER)
    fake.clock.advance(3600)
    fake.uninstall(YOGA)
    return fake


@pytest.fixture(name="http")
def _http(fake: FakeWix) -> httpx.AsyncClient:
    headers = {"authorization": fake.issue_access_token(BAKERY)}
    return httpx.AsyncClient(transport=fake.transport, base_url=fake.url, headers=headers)


async def _ids(http: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await http.post(PATH, json={"query": query})
    return [found["instanceId"] for found in answer.raise_for_status().json()["appInstallations"]]


async def test_installed_and_uninstalled_sites_are_listed(http: httpx.AsyncClient) -> None:
    """An uninstall changes the status of an installation, which stays; the newest comes first."""
    body = {"query": {"filter": OURS}}
    found = (await http.post(PATH, json=body)).json()["appInstallations"]

    assert [(PAPER, "INSTALLED"), (YOGA, "UNINSTALLED"), (BAKERY, "INSTALLED")] == [
        (entry["instanceId"], entry["status"]) for entry in found
    ]
    assert ["2025-06-01T13:00:00.000Z", "2025-06-01T15:00:00.000Z", "2"] == [
        found[1][name] for name in ("createdDate", "updatedDate", "revision")
    ]
    assert {"fake-app-id"} == {entry["appId"] for entry in found}


async def test_a_reinstall_is_the_same_installation(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The first install's date and both IDs stay, the revision grows."""
    query = {"filter": {**OURS, "instanceId": YOGA}}
    (before,) = (await http.post(PATH, json={"query": query})).json()["appInstallations"]
    fake.mark_installed(YOGA)
    fake.mark_installed(YOGA)
    (after,) = (await http.post(PATH, json={"query": query})).json()["appInstallations"]

    assert ("INSTALLED", "3") == (after["status"], after["revision"])
    for name in ("id", "instanceId", "firstInstallationDate", "createdDate"):
        assert before[name] == after[name]


async def test_an_account_has_another_app_on_its_sites(http: httpx.AsyncClient) -> None:
    """Without a filter by app, the installations of all apps of the account are listed."""
    answer = await http.post(PATH, json={})
    entries = answer.json()["appInstallations"]

    assert 4 == len(entries)
    (foreign,) = [entry for entry in entries if entry["appId"] != "fake-app-id"]
    assert foreign["instanceId"] not in {BAKERY, YOGA, PAPER}


@pytest.mark.parametrize(
    ("conditions", "sites"),
    [
        ({"status": "INSTALLED"}, [PAPER, BAKERY]),
        ({"status": {"$eq": "UNINSTALLED"}}, [YOGA]),
        ({"instanceId": {"$in": [YOGA, BAKERY, "nobody"]}}, [YOGA, BAKERY]),
        ({"instanceId": {"$in": []}}, []),
        ({"status": "INSTALLED", "instanceId": YOGA}, []),
    ],
)
async def test_filters_choose(
    http: httpx.AsyncClient, conditions: dict[str, Any], sites: list[str]
) -> None:
    """All conditions of a filter must hold."""
    assert sites == await _ids(http, filter={**OURS, **conditions})


@pytest.mark.parametrize(
    ("name", "order", "sites"),
    [
        ("createdDate", "ASC", [BAKERY, YOGA, PAPER]),
        ("updatedDate", "DESC", [YOGA, PAPER, BAKERY]),
    ],
)
async def test_the_order_can_be_chosen(
    http: httpx.AsyncClient, name: str, order: str, sites: list[str]
) -> None:
    """The dates of creation and of the last change order the list, either way."""
    sort = [{"fieldName": name, "order": order}]

    assert sites == await _ids(http, filter=OURS, sort=sort)


async def test_a_cursor_leads_through_all_pages(http: httpx.AsyncClient) -> None:
    """The cursor carries filter and order; the last page has none."""
    query: dict[str, Any] = {
        "filter": OURS,
        "sort": [{"fieldName": "createdDate", "order": "ASC"}],
        "cursorPaging": {"limit": 2},
    }
    first = (await http.post(PATH, json={"query": query})).json()
    cursor = first["pagingMetadata"]["cursors"]["next"]
    second = await http.post(PATH, json={"query": {"cursorPaging": {"cursor": cursor, "limit": 2}}})

    pages = [first, second.json()]
    assert [[BAKERY, YOGA], [PAPER]] == [
        [entry["instanceId"] for entry in page["appInstallations"]] for page in pages
    ]
    assert [(2, True), (1, False)] == [
        (page["pagingMetadata"]["count"], page["pagingMetadata"]["hasNext"]) for page in pages
    ]
    assert {} == second.json()["pagingMetadata"]["cursors"]


async def test_a_page_has_fifty_entries_by_default_and_a_hundred_at_most(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """The limits are those of the documentation."""
    for _ in range(150):
        fake.mark_installed(fake.add_site("One of many"))

    assert 50 == len(await _ids(http, filter=OURS))
    assert 100 == len(await _ids(http, filter=OURS, cursorPaging={"limit": 100}))


async def _cursor(http: httpx.AsyncClient) -> str:
    answer = await http.post(PATH, json={"query": {"cursorPaging": {"limit": 1}}})
    cursor: str = answer.json()["pagingMetadata"]["cursors"]["next"]
    return cursor


@pytest.mark.parametrize(
    "body",
    [
        {"filter": OURS},
        {"query": []},
        {"query": {"fields": ["id"]}},
        {"query": {"paging": {"limit": 10}}},
        {"query": {"cursorPaging": []}},
        {"query": {"cursorPaging": {"offset": 1}}},
        *({"query": {"cursorPaging": {"limit": limit}}} for limit in (0, 101, True, "10", 1.5)),
        *({"query": {"cursorPaging": {"cursor": cursor}}} for cursor in ("forged", "", 7, None)),
        {"query": {"filter": []}},
        {"query": {"filter": {"country": "US"}}},
        {"query": {"filter": {"status": 7}}},
        {"query": {"filter": {"status": {"$ne": "INSTALLED"}}}},
        {"query": {"filter": {"status": {"$in": "INSTALLED"}}}},
        {"query": {"filter": {"status": {"$in": [7]}}}},
        {"query": {"sort": {}}},
        {"query": {"sort": [{"fieldName": "id", "order": "ASC"}]}},
        {"query": {"sort": [{"fieldName": "createdDate", "order": "UP"}]}},
        {"query": {"sort": [{"fieldName": "createdDate", "order": "ASC"}] * 2}},
    ],
)
async def test_a_malformed_query_is_refused(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """An unknown field, condition, limit or cursor is a 400."""
    answer = await http.post(PATH, json=body)

    assert 400 == answer.status_code


async def test_a_cursor_stands_alone(http: httpx.AsyncClient) -> None:
    """A filter beside a cursor is refused: it is in the cursor already."""
    paging = {"cursor": await _cursor(http)}
    answer = await http.post(PATH, json={"query": {"filter": OURS, "cursorPaging": paging}})

    assert 400 == answer.status_code


async def _status(fake: FakeWix, credential: str | None) -> int:
    headers = {} if credential is None else {"authorization": credential}
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        return (await http.post(PATH, json={}, headers=headers)).status_code


async def test_access_tokens_of_the_app_open_the_query(fake: FakeWix) -> None:
    """Any token of the app itself will do, one without an installation, too; others will not."""
    credentials = [
        fake.issue_access_token(PAPER),
        fake.issue_access_token(with_instance=False),
        fake.issue_access_token(subject_type="USER"),
        fake.issue_access_token(client_id="another-app"),
        "dead",
        None,
    ]

    assert [200, 200, 403, 403, 401, 401] == [await _status(fake, given) for given in credentials]


async def test_the_query_may_need_the_key_of_the_account(fake: FakeWix) -> None:
    """Wix does not document the credential: where a key is set, the key alone opens the query."""
    fake.api_key = "IST.the-key-of-the-account"
    credentials = [fake.api_key, "IST.another", fake.issue_access_token(PAPER), None]

    assert [200, 403, 403, 401] == [await _status(fake, given) for given in credentials]


async def test_a_test_may_answer_in_place_of_the_query(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """Like all of the API it can be overridden, to try the answers that Wix may have."""
    fake.answer("POST", PATH, json={"appInstallations": []})

    assert [] == await _ids(http)
