"""FakeWix behind an access token: the app instance, BI events, and products."""

from __future__ import annotations

from typing import Any

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeSite, FakeWix

BAKERY, YOGA, _ = DEMO_SITES
PRODUCTS = "/stores/v1/products/query"


async def test_get_app_instance_names_the_installation(http: httpx.AsyncClient) -> None:
    """The answer has the instance and the site of the token."""
    answer = (await http.get("/apps/v1/instance")).json()

    assert (YOGA, "Your app") == (answer["instance"]["instanceId"], answer["instance"]["appName"])
    assert "Lighthouse Yoga" == answer["site"]["siteDisplayName"]
    assert answer["site"]["siteId"] not in {YOGA, ""}


@pytest.mark.parametrize(
    "event",
    [
        {"eventName": "APP_FINISHED_CONFIGURATION"},
        {"eventName": "CUSTOM", "customEventName": "ok", "eventData": {"a": "b"}},
    ],
)
async def test_a_bi_event_is_taken(
    fake: FakeWix, http: httpx.AsyncClient, event: dict[str, Any]
) -> None:
    """An event as documented is answered with an empty object, and is counted by its name."""
    answer = await http.post("/apps/v1/bi-event", json=event)

    assert (200, {}) == (answer.status_code, answer.json())
    assert 1 == fake.count("/apps/v1/bi-event", eventName=event["eventName"])


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"eventName": "UNKNOWN"},
        {"eventName": "APP_FINISHED"},
        {"eventName": "CUSTOM"},
        {"eventName": "CUSTOM", "customEventName": "x"},
        {"eventName": "CUSTOM", "customEventName": 12},
        {"eventName": "APP_UPGRADED", "customEventName": "name"},
        {"eventName": "APP_UPGRADED", "eventData": {"a": 1}},
        {"eventName": "APP_UPGRADED", "eventData": []},
        {"eventName": "APP_UPGRADED", "colour": "red"},
        {"eventName": ["APP_UPGRADED"]},
    ],
)
async def test_a_wrong_bi_event_is_refused(http: httpx.AsyncClient, event: dict[str, Any]) -> None:
    """An event that is not as documented is refused in Wix's standard shape."""
    answer = await http.post("/apps/v1/bi-event", json=event)

    error = answer.json()["details"]["applicationError"]
    assert (400, "INVALID_ARGUMENT") == (answer.status_code, error["code"])
    assert error["description"] == answer.json()["message"]


async def test_products_are_those_of_the_site(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """Three products, always the same, with the site's name in them; another site has its own."""
    mine, again = [(await http.post(PRODUCTS)).json() for _ in range(2)]
    other = {"authorization": fake.issue_access_token(BAKERY)}
    others = (await http.post(PRODUCTS, headers=other)).json()

    names = [product["name"] for product in mine["products"]]
    assert ["Lighthouse Yoga Mug", "Lighthouse Yoga Tote bag", "Lighthouse Yoga Gift card"] == names
    assert mine == again
    assert 3 == mine["totalResults"]
    ids = {product["id"] for answer in (mine, others) for product in answer["products"]}
    assert 6 == len(ids)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/apps/v1/instance"),
        ("POST", "/apps/v1/bi-event"),
        ("POST", PRODUCTS),
        ("DELETE", "/echo"),
        ("GET", "/unknown"),
    ],
)
@pytest.mark.parametrize("scheme", ["dead ", "Bearer ", " ", ""])
async def test_only_a_live_token_and_nothing_else_opens_the_api(
    fake: FakeWix, method: str, path: str, scheme: str
) -> None:
    """A dead token, one behind `Bearer`, an empty header or none: 401 in Wix's standard shape."""
    token = fake.issue_access_token() if scheme == "Bearer " else ""
    headers = {"authorization": f"{scheme}{token}"} if scheme else {}
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        answer = await http.request(method, path, headers=headers)

    error = answer.json()["details"]["applicationError"]
    assert (401, "UNAUTHENTICATED") == (answer.status_code, error["code"])


async def test_two_authorization_headers_are_refused(fake: FakeWix) -> None:
    """A header that came twice is not guessed about."""
    token = fake.issue_access_token()
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        answer = await http.get("/echo", headers=[("authorization", token)] * 2)

    assert 401 == answer.status_code


async def test_each_answer_has_a_request_id(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """`x-wix-request-id` is on every answer, refusals and faults included, and never the same."""
    fake.fail("/failing")
    answers = [
        await http.get("/echo"),
        await http.get("/oauth/access"),
        await http.get("/installer/install"),
        await http.get("/failing"),
        await http.get("/echo", headers={"authorization": "dead"}),
        await http.get("/unknown"),
    ]

    assert [200, 405, 400, 503, 401, 404] == [answer.status_code for answer in answers]
    assert 6 == len({answer.headers["x-wix-request-id"] for answer in answers})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/stores/v1/prodcuts/query"),
        ("GET", "/stores/v1/products"),
        ("GET", "/apps/v1/instance/"),
        ("GET", "//apps/v1/instance"),
        ("GET", "/Apps/v1/instance"),
        ("GET", "/"),
        ("POST", "/apps/v1/instance"),
        ("GET", PRODUCTS),
        ("DELETE", PRODUCTS),
        ("POST", "/oauth2/tokeninfo"),
    ],
)
async def test_an_unknown_path_or_method_is_not_found(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    """A typo gets 404 in Wix's standard shape, which says what there is."""
    answer = await http.request(method, httpx.URL(f"{http.base_url}".rstrip("/") + path))

    error = answer.json()["details"]["applicationError"]
    assert (404, "NOT_FOUND") == (answer.status_code, error["code"])
    assert f"FakeWix does not know {method} {path}." in error["description"]
    assert "* /echo, POST /oauth/access, " in error["description"]
    assert "GET /apps/v1/instance, " in error["description"]
    assert error["description"] == answer.json()["message"]


async def test_a_site_may_have_products_of_its_own(fake: FakeWix) -> None:
    """A `FakeSite` sells what it was made with; a site with a name alone sells three things."""
    bread = {"name": "Bread", "stock": {"quantity": 0}}
    fake = FakeWix(sites={"a": FakeSite("Bakery", [bread]), "b": "Yoga", "c": FakeSite("New", [])})
    answers = {site: await products_of(fake, site) for site in ("a", "b", "c")}

    assert {"a": "Bakery", "b": "Yoga", "c": "New"} == fake.sites
    assert [bread] == answers["a"]
    assert ["Yoga Mug", "Yoga Tote bag", "Yoga Gift card"] == [p["name"] for p in answers["b"]]
    assert [] == answers["c"]


async def test_products_can_be_changed(fake: FakeWix) -> None:
    """The list of a site is what it sells, the first site's by default; others stay as they are."""
    fake.products().append({"name": "Cake"})
    fake.products(YOGA)[0]["stock"]["quantity"] = 7
    added = fake.add_site("New")
    fake.products(added)[:] = []
    cakes, mugs = await products_of(fake, BAKERY), await products_of(fake, YOGA)

    assert (4, {"name": "Cake"}) == (len(cakes), cakes[-1])
    assert (3, 7) == (len(mugs), mugs[0]["stock"]["quantity"])
    assert [] == await products_of(fake, added)


def test_an_unknown_site_has_no_products(fake: FakeWix) -> None:
    """Its products can be neither read nor set."""
    with pytest.raises(LookupError, match="add_site"):
        fake.products("unknown")


async def products_of(fake: FakeWix, site: str) -> list[dict[str, Any]]:
    """Ask for the products of a site."""
    headers = {"authorization": fake.issue_access_token(site)}
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        answer = (await http.post(PRODUCTS, json={"query": {}}, headers=headers)).json()
    found: list[dict[str, Any]] = answer["products"]
    assert len(found) == answer["totalResults"]
    return found
