"""FakeWix with answers of a test's own: what they say, to whom, how often, and the echo."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, Call, FakeWix

BAKERY, YOGA, _ = DEMO_SITES
CONTACTS = "/contacts/v4/contacts"
INSTANCE = "/apps/v1/instance"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"json": {"contacts": []}}, (200, b'{"contacts":[]}', "application/json")),
        ({"json": [], "status": 404}, (404, b"[]", "application/json")),
        ({"json": False}, (200, b"false", "application/json")),
        ({"body": b"\x00", "headers": {"content-type": "image/png"}}, (200, b"\x00", "image/png")),
        (
            {"body": "text", "headers": {"Content-Type": "x/y"}},
            (200, b"text", "x/y"),
        ),
        ({"status": 204}, (204, b"", None)),
        ({"status": 302, "headers": {"location": "/y"}}, (302, b"", None)),
    ],
)
async def test_an_answer_says_what_it_is_told(
    fake: FakeWix, http: httpx.AsyncClient, options: dict[str, Any], expected: Any
) -> None:
    """Status, headers and body are the test's; without a body it is empty."""
    fake.answer("GET", CONTACTS, **options)
    answer = await http.get(CONTACTS, params={"limit": 1})

    assert expected == (answer.status_code, answer.content, answer.headers.get("content-type"))
    assert options.get("headers", {}).get("location") == answer.headers.get("location")


async def test_an_answer_is_for_its_method_and_path(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """Any other method or path is still unknown; `*` stands for all methods."""
    fake.answer("get", CONTACTS, json={})
    fake.answer("*", "/any", json={})
    calls = [("GET", CONTACTS), ("POST", CONTACTS), ("GET", f"{CONTACTS}/"), ("GET", "/contacts")]
    calls += [("PATCH", "/any"), ("DELETE", "/any")]
    statuses = [(await http.request(method, path)).status_code for method, path in calls]

    assert [200, 404, 404, 404, 200, 200] == statuses


async def test_the_newest_answer_is_sent(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """A pattern covers the paths that it matches, FakeWix's own too, and newer ones go first."""
    fake.answer("*", "/stores/*", json=1)
    fake.answer("POST", "/stores/v1/products/query", json=2)
    fake.answer("GET", "/stores/a[bc]", json=3)
    paths = ["/stores/v1/collections", "/stores/ab", "/stores/ad", "/stores"]
    answers = [await http.get(path) for path in paths]
    products = await http.post("/stores/v1/products/query")
    fake.answer("POST", "/stores/v1/products/*", json=4)
    newer = await http.post("/stores/v1/products/query")

    assert [1, 3, 1] == [answer.json() for answer in answers[:3]]
    assert 404 == answers[3].status_code
    assert (2, 4) == (products.json(), newer.json())


async def test_an_answer_may_be_given_a_number_of_times(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """Then the older answer is sent again, or FakeWix's own; calls of others do not count."""
    fake.answer("GET", INSTANCE, json=1)
    fake.answer("GET", INSTANCE, status=429, times=2)
    for _ in range(3):
        await http.post(INSTANCE)
        await http.get(INSTANCE, headers={"authorization": "dead"})
    statuses = [(await http.get(INSTANCE)).status_code for _ in range(3)]

    assert [429, 429, 200] == statuses
    assert 1 == (await http.get(INSTANCE)).json()


async def test_an_answer_may_be_for_one_site(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The other sites get the answer that they would have without it."""
    fake.answer("GET", INSTANCE, json="bakery", instance_id=BAKERY)
    fake.answer("GET", CONTACTS, json="bakery", instance_id=BAKERY)
    bakery = {"authorization": fake.issue_access_token(BAKERY)}
    answers = [await http.get(path, headers=bakery) for path in (INSTANCE, CONTACTS)]
    other, none = await http.get(INSTANCE), await http.get(CONTACTS)

    assert ["bakery", "bakery"] == [answer.json() for answer in answers]
    assert YOGA == other.json()["instance"]["instanceId"]
    assert 404 == none.status_code


async def test_a_function_answers_by_the_call(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """It knows the site, the query and the body, and returns JSON or a whole response."""

    def answer(call: Call) -> Any:
        if call.method == "DELETE":
            return PlainTextResponse("gone", 410)
        return {"site": call.instance_id, "limit": call.query.get("limit"), "asked": call.json}

    fake.answer("*", CONTACTS, answer, status=202, headers={"x-of": "all"})
    made = await http.post(CONTACTS, params={"limit": 3}, json={"a": 1})
    response = await http.delete(CONTACTS)

    assert {"site": YOGA, "limit": "3", "asked": {"a": 1}} == made.json()
    assert (202, "all") == (made.status_code, made.headers["x-of"])
    assert (410, "gone") == (response.status_code, response.text)


async def test_only_a_live_token_gets_an_answer(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """Without a token, or with a dead one, the answer is a 401 in Wix's standard shape."""
    fake.answer("GET", CONTACTS, json={}, times=1)
    fake.expire_access_tokens()
    dead = await http.get(CONTACTS)
    del http.headers["authorization"]
    nobody = await http.get(CONTACTS)
    http.headers["authorization"] = fake.issue_access_token(YOGA)

    assert [401, 401] == [dead.status_code, nobody.status_code]
    assert "UNAUTHENTICATED" == nobody.json()["details"]["applicationError"]["code"]
    assert 200 == (await http.get(CONTACTS)).status_code


async def test_a_failure_goes_before_an_answer(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """What `fail` and `hold` say is true of calls with an answer, too."""
    fake.answer("GET", CONTACTS, json={})
    fake.fail(CONTACTS)
    statuses = [(await http.get(CONTACTS)).status_code for _ in range(2)]

    assert [503, 200] == statuses
    assert [503, 200] == [call.status for call in fake.calls]


async def test_calls_tell_their_site(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The site of the access token is in the record; a dead token has none."""
    await http.get(INSTANCE)
    await http.get("/unknown")
    await http.get(INSTANCE, headers={"authorization": "dead"})

    assert [YOGA, YOGA, None] == [call.instance_id for call in fake.calls]


async def test_a_pattern_leaves_the_token_endpoints_and_the_installer(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """An echo of everything does not stand in the way of an install."""
    fake.echo("/*")
    code = {"grant_type": "authorization_code", "code": fake.issue_code()}
    body = {**code, "client_id": fake.app_id, "client_secret": fake.app_secret}
    del http.headers["authorization"]
    exchanged = await http.post("/oauth/access", json=body)
    installer = await http.get("/installer/install")

    assert (200, 400) == (exchanged.status_code, installer.status_code)
    assert "html" in installer.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("stores", {}, "begin with a slash"),
        ("", {}, "begin with a slash"),
        ("https://www.wixapis.com/x", {}, "begin with a slash"),
        ("/x?limit=1", {}, "has no query"),
        ("/x", {"times": 0}, "times must be"),
        ("/x", {"json": {}, "body": b""}, "one of"),
        ("/x", {"json": {}, "function": lambda _: {}}, "one of"),
        ("/oauth/access", {}, r"fail\(\)"),
        ("/oauth2/token-info", {}, r"fail\(\)"),
        ("/installer/install", {}, r"fail\(\)"),
    ],
)
def test_an_answer_that_could_never_be_sent_is_an_error(
    fake: FakeWix, path: str, options: dict[str, Any], message: str
) -> None:
    """It is refused where it is defined, not passed over."""
    with pytest.raises(ValueError, match=message):
        fake.answer("GET", path, **options)


async def test_the_echo_is_the_call(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """Any call is answered with itself and the site of its token, but without the token."""
    fake.echo("/any/*")
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
