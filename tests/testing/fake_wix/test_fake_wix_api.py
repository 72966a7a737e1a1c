"""FakeWix behind an access token: the app instance, BI events, products, and the echo."""

from __future__ import annotations

from typing import Any

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

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


async def test_everything_else_is_an_echo(http: httpx.AsyncClient) -> None:
    """Any request is answered with itself and the site of its token, but without the token."""
    answer = await http.patch(
        "/any/v1/path%20x?a=1&b=2&b=3&b=4&c=", json={"k": [1]}, headers={"x-test": "yes"}
    )
    echo = answer.json()
    headers = echo.pop("headers")

    assert {
        "method": "PATCH",
        "path": "/any/v1/path x",
        "query": {"a": "1", "b": ["2", "3", "4"], "c": ""},
        "instanceId": YOGA,
        "siteDisplayName": "Lighthouse Yoga",
        "body": {"k": [1]},
    } == echo
    assert "yes" == headers["x-test"]
    assert "authorization" not in headers


@pytest.mark.parametrize(("content", "expected"), [(b"", None), (b"text", "text"), (b"\xff", "�")])
async def test_the_echo_shows_a_body_that_is_not_json_as_text(
    http: httpx.AsyncClient, content: bytes, expected: str | None
) -> None:
    """A body that is not said to be JSON comes back as text; none as null."""
    assert expected == (await http.post("/echo", content=content)).json()["body"]


async def test_the_echo_refuses_json_that_is_none(http: httpx.AsyncClient) -> None:
    """A body with the content type of JSON must be JSON."""
    headers = {"content-type": "application/json"}

    assert 400 == (await http.post("/echo", content=b"{", headers=headers)).status_code


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/apps/v1/instance"),
        ("POST", "/apps/v1/bi-event"),
        ("POST", PRODUCTS),
        ("DELETE", "/anything"),
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
        await http.get("/", headers={"authorization": "dead"}),
    ]

    assert [200, 405, 400, 503, 401] == [answer.status_code for answer in answers]
    assert 5 == len({answer.headers["x-wix-request-id"] for answer in answers})


async def test_a_path_of_the_api_takes_no_slash_at_its_end(http: httpx.AsyncClient) -> None:
    """Another path is another path: it is echoed, and nobody is redirected."""
    answer = await http.get("/apps/v1/instance/")

    assert "/apps/v1/instance/" == answer.json()["path"]
