"""FakeWix grants: codes, refresh tokens, access tokens, and the two endpoints for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, Clock, FakeWix

BAKERY, YOGA, _ = DEMO_SITES
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
CREDENTIALS = {"client_id": "fake-app-id", "client_secret": "fake-app-secret-0123456789"}


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix(clock=Clock(NOON))


@pytest.fixture(name="http")
def _http(fake: FakeWix) -> httpx.AsyncClient:
    return _client_of(fake)


def _client_of(fake: FakeWix) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=fake.transport, base_url=fake.url)


async def _post(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
    # json.dumps escapes lone surrogates, which httpx cannot send.
    headers = {"content-type": "application/json"}
    return await http.post(path, content=json.dumps(body), headers=headers)


async def _exchange(http: httpx.AsyncClient, code: str, /, **changes: Any) -> httpx.Response:
    body = {"grant_type": "authorization_code", "code": code, **CREDENTIALS, **changes}
    return await _post(http, "/oauth/access", body)


async def _refresh(http: httpx.AsyncClient, refresh_token: str) -> httpx.Response:
    body = {"grant_type": "refresh_token", "refresh_token": refresh_token, **CREDENTIALS}
    return await _post(http, "/oauth/access", body)


async def _is_live(http: httpx.AsyncClient, access_token: str) -> bool:
    answer = await http.get("/apps/v1/instance", headers={"authorization": access_token})
    return answer.status_code == 200


def _error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def test_a_code_is_exchanged_for_exactly_two_tokens(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """The answer has an access token and a refresh token, and neither `expires_in` nor anything."""
    query = urlencode({"appId": "fake-app-id", "redirectUrl": "https://app.example.com/"})
    location = fake.approve(f"/installer/install?{query}", instance_id=YOGA)
    code = parse_qs(urlsplit(location).query)["code"][0]
    answer = await _exchange(http, code)

    assert 200 == answer.status_code
    assert {"access_token", "refresh_token"} == answer.json().keys()
    assert await _is_live(http, answer.json()["access_token"])
    assert {YOGA} == fake.installed


async def test_the_path_may_end_in_a_slash(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """One page of Wix's documentation writes `/oauth/access/`."""
    body = {"grant_type": "authorization_code", "code": fake.issue_code(), **CREDENTIALS}

    assert 200 == (await http.post("/oauth/access/", json=body)).status_code


async def test_a_code_lives_ten_minutes(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """A code is good for 600 seconds by the clock, and not in the last of them."""
    early, late = fake.issue_code(), fake.issue_code()
    fake.clock.advance(599.9)
    in_time = await _exchange(http, early)
    fake.clock.advance(0.1)

    assert 200 == in_time.status_code
    assert (400, "invalid_grant") == _error(await _exchange(http, late))


async def test_a_code_used_twice_revokes_what_it_gave(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """A second use is refused and ends both tokens of the first (RFC 6749, 4.1.2)."""
    code = fake.issue_code()
    first = (await _exchange(http, code)).json()
    second = await _exchange(http, code)
    third = await _exchange(http, code)

    assert [(400, "invalid_grant")] * 2 == [_error(second), _error(third)]
    assert not await _is_live(http, first["access_token"])
    assert (400, "invalid_grant") == _error(await _refresh(http, first["refresh_token"]))


@pytest.mark.parametrize(
    "changes", [{"client_secret": "another-secret-0123456789"}, {"client_id": "another-app"}]
)
async def test_wrong_credentials_are_refused_and_leave_the_code_unspent(
    fake: FakeWix, http: httpx.AsyncClient, changes: dict[str, str]
) -> None:
    """The app is checked first: 401 `invalid_client`, and the code still works."""
    code = fake.issue_code()
    refused = await _exchange(http, code, **changes)

    assert (401, "invalid_client") == _error(refused)
    assert 200 == (await _exchange(http, code)).status_code


@pytest.mark.parametrize("code", ["OAUTH2.unknown", "\ud800"])
async def test_an_unknown_code_is_refused(http: httpx.AsyncClient, code: str) -> None:
    """A code that was never issued is `invalid_grant`, with any content."""
    assert (400, "invalid_grant") == _error(await _exchange(http, code))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": ["refresh_token"]}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"redirect_uri": "https://app.example.com/"}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
        ({"code": 5}, "invalid_request"),
        ({"refresh_token": "another field"}, "invalid_request"),
    ],
)
async def test_a_body_is_what_is_documented_and_no_more(
    fake: FakeWix, http: httpx.AsyncClient, changes: dict[str, Any], expected: str
) -> None:
    """A field that is missing, empty, of another type or unknown is refused."""
    code = fake.issue_code()

    assert (400, expected) == _error(await _exchange(http, code, **changes))


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"grant_type=refresh_token", "application/x-www-form-urlencoded", 415),
        (b"{}", "", 415),
        (b"{", "application/json", 400),
        (b'{"token": "a", "token": "b"}', "application/json", 400),
        (b'{"token": NaN}', "application/json; charset=utf-8", 400),
        (b'["token"]', "application/json", 400),
        (b"\xff", "application/json", 400),
    ],
)
@pytest.mark.parametrize("path", ["/oauth/access", "/oauth2/token-info"])
async def test_only_json_is_taken(
    http: httpx.AsyncClient, path: str, content: bytes, content_type: str, status: int
) -> None:
    """The body must be said to be JSON, and be one object of it without repeated names."""
    headers = {"content-type": content_type}

    assert (status, "invalid_request") == _error(
        await http.post(path, content=content, headers=headers)
    )


@pytest.mark.parametrize("path", ["/oauth/access", "/oauth2/token-info"])
async def test_the_endpoints_refuse_an_access_token(
    fake: FakeWix, http: httpx.AsyncClient, path: str
) -> None:
    """Neither endpoint is documented to take an Authorization header: sending one is a leak."""
    headers = {"authorization": fake.issue_access_token()}

    assert (400, "invalid_request") == _error(await http.post(path, json={}, headers=headers))


async def test_the_endpoints_are_posted_to(http: httpx.AsyncClient) -> None:
    """GET is refused with the method that is allowed."""
    answer = await http.get("/oauth/access")

    assert (405, "POST") == (answer.status_code, answer.headers["allow"])


async def test_an_access_token_lives_five_minutes(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """An access token is good for 300 seconds by the clock, and not in the last of them."""
    token = fake.issue_access_token()
    fake.clock.advance(299.9)
    alive = await _is_live(http, token)
    fake.clock.advance(0.1)

    assert alive
    assert not await _is_live(http, token)


async def test_expired_access_tokens_are_forgotten(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """Issuing a token removes the expired tokens, and keeps the live tokens."""
    over = fake.issue_access_token()
    fake.clock.advance(200)
    live = fake.issue_access_token()
    fake.clock.advance(150)
    fake.issue_access_token()

    assert (False, True) == (await _is_live(http, over), await _is_live(http, live))


async def test_access_tokens_may_be_ended_early(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The tokens of one site end, or those of all sites."""
    bakery, yoga = fake.issue_access_token(BAKERY), fake.issue_access_token(YOGA)
    fake.expire_access_tokens(BAKERY)
    after_one = (await _is_live(http, bakery), await _is_live(http, yoga))
    fake.expire_access_tokens()

    assert (False, True) == after_one
    assert not await _is_live(http, yoga)


async def test_a_refresh_answers_with_the_same_refresh_token(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """The refresh token is identical to the one sent; the access token is new."""
    refresh_token = fake.issue_refresh_token(YOGA)
    first, second = [(await _refresh(http, refresh_token)).json() for _ in range(2)]

    assert refresh_token == first["refresh_token"] == second["refresh_token"]
    assert first["access_token"] != second["access_token"]
    assert await _is_live(http, first["access_token"])


async def test_a_refresh_may_answer_without_a_refresh_token(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """A missing refresh token in the answer means that the old one stays good."""
    fake.answer_without_refresh_token = True
    refresh_token = fake.issue_refresh_token(YOGA)
    answer = await _refresh(http, refresh_token)

    assert {"access_token"} == answer.json().keys()
    assert 200 == (await _refresh(http, refresh_token)).status_code


async def test_rotated_refresh_tokens_work_once() -> None:
    """With rotation each answer has a new refresh token; using one twice revokes the family."""
    fake = FakeWix(rotate_refresh_tokens=True)
    http = _client_of(fake)
    first = fake.issue_refresh_token(YOGA)
    second = (await _refresh(http, first)).json()
    third = (await _refresh(http, second["refresh_token"])).json()
    reused = await _refresh(http, first)

    assert 3 == len({first, second["refresh_token"], third["refresh_token"]})
    assert (400, "invalid_grant") == _error(reused)
    assert (400, "invalid_grant") == _error(await _refresh(http, third["refresh_token"]))
    assert not await _is_live(http, third["access_token"])


@pytest.mark.parametrize("token", ["OAUTH2.forged", "forged", "\ud800", "OAUTH2.\ud800"])
async def test_an_unknown_refresh_token_is_refused(http: httpx.AsyncClient, token: str) -> None:
    """An unknown refresh token is `invalid_grant`, with any content."""
    assert (400, "invalid_grant") == _error(await _refresh(http, token))


async def test_the_prefix_belongs_to_a_refresh_token(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """A refresh token is taken whole, with nothing before it and nothing left out."""
    token = fake.issue_refresh_token()
    answers = [await _refresh(http, wrong) for wrong in ("x" + token, token[7:], token[:-1])]

    assert [(400, "invalid_grant")] * 3 == [_error(answer) for answer in answers]


async def test_a_refresh_token_outlives_the_object_that_issued_it(fake: FakeWix) -> None:
    """Another FakeWix of the same app takes it, and learns of a site it did not know."""
    site = fake.add_site("Garage")
    restarted = FakeWix()
    answer = await _refresh(_client_of(restarted), fake.issue_refresh_token(site))

    assert 200 == answer.status_code
    assert f"Site {site[:8]}" == restarted.sites[site]
    assert {site} == restarted.installed


@pytest.mark.parametrize(
    "other", [FakeWix(app_secret="another-secret-0123456789"), FakeWix(app_id="another-app")]
)
async def test_a_refresh_token_is_for_one_app(fake: FakeWix, other: FakeWix) -> None:
    """A FakeWix of another app or with another secret does not know it."""
    body = {
        "grant_type": "refresh_token",
        "refresh_token": fake.issue_refresh_token(),
        "client_id": other.app_id,
        "client_secret": other.app_secret,
    }

    assert (400, "invalid_grant") == _error(
        await _client_of(other).post("/oauth/access", json=body)
    )


async def test_uninstalling_ends_everything_of_the_site(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """Codes, refresh tokens and access tokens of the site stop working; those of others do not."""
    code = fake.issue_code(YOGA)
    refresh_token, access_token = fake.issue_refresh_token(YOGA), fake.issue_access_token(YOGA)
    refreshed = (await _refresh(http, refresh_token)).json()["access_token"]
    other = fake.issue_refresh_token(BAKERY)
    fake.uninstall(YOGA)

    assert {BAKERY} == fake.installed
    assert (400, "invalid_grant") == _error(await _exchange(http, code))
    assert (400, "invalid_grant") == _error(await _refresh(http, refresh_token))
    assert not await _is_live(http, access_token)
    assert not await _is_live(http, refreshed)
    assert 200 == (await _refresh(http, other)).status_code


async def test_a_reinstall_does_not_revive_old_refresh_tokens(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """After a reinstall the new refresh token works; old ones stay dead, wherever they are from."""
    foreign = FakeWix().issue_refresh_token(YOGA)
    old = fake.issue_refresh_token(YOGA)
    fake.uninstall(YOGA)
    new = fake.issue_refresh_token(YOGA)

    assert [400, 400, 200] == [
        (await _refresh(http, token)).status_code for token in (foreign, old, new)
    ]
