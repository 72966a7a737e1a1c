"""FakeWix's `/oauth2/token`: tokens by the app's own credentials, its refusals and its forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, Clock, FakeWix

BAKERY, YOGA, _ = DEMO_SITES
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
CREDENTIALS = {"client_id": "fake-app-id", "client_secret": "fake-app-secret-0123456789"}
FORMS: tuple[Literal["text", "object"], ...] = ("text", "object")


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix(clock=Clock(NOON))


@pytest.fixture(name="http")
def _http(fake: FakeWix) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=fake.transport, base_url=fake.url)


async def _request(http: httpx.AsyncClient, site: str | None, **changes: Any) -> httpx.Response:
    body = {"grant_type": "client_credentials", **CREDENTIALS, **changes}
    if site is not None:
        body["instance_id"] = site
    return await http.post("/oauth2/token", json=body)


async def _status(http: httpx.AsyncClient, token: str) -> int:
    answer = await http.get("/apps/v1/instance", headers={"authorization": token})
    return answer.status_code


def _error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def test_a_site_with_the_app_gets_a_token_for_four_hours(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """The answer has a token, its kind and its lifetime, and no refresh token."""
    fake.mark_installed(YOGA)
    answer = await _request(http, YOGA)
    token = answer.json().pop("access_token")
    fake.clock.advance(14_399)
    live = await _status(http, token)
    fake.clock.advance(1)

    assert {"token_type": "Bearer", "expires_in": 14400} == {
        name: value for name, value in answer.json().items() if name != "access_token"
    }
    assert "no-store" == answer.headers["cache-control"]
    assert (200, 401) == (live, await _status(http, token))


async def test_a_new_token_ends_no_earlier_one(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """Each is different and equally valid."""
    fake.mark_installed(YOGA)
    tokens = [(await _request(http, YOGA)).json()["access_token"] for _ in range(3)]

    assert 3 == len(set(tokens))
    assert [200] * 3 == [await _status(http, token) for token in tokens]


@pytest.mark.parametrize("how", ["refresh token", "code", "external install"])
async def test_the_kind_of_the_install_does_not_matter(
    fake: FakeWix, http: httpx.AsyncClient, how: str
) -> None:
    """A site of the legacy flow gets tokens by client credentials, too, as its migration needs."""
    if how == "refresh token":
        fake.issue_refresh_token(YOGA)
    elif how == "code":
        body = {"grant_type": "authorization_code", "code": fake.issue_code(YOGA), **CREDENTIALS}
        await http.post("/oauth/access", json=body)
    else:
        callback = "postInstallationUrl=https://app.example.com/"
        fake.approve(f"/app-installer?appId=fake-app-id&{callback}", instance_id=YOGA)
    answer = await _request(http, YOGA)

    assert 200 == await _status(http, answer.json()["access_token"])


async def test_a_lost_refresh_token_does_not_uninstall_the_app() -> None:
    """A grant that is revoked for misuse leaves the app on the site, and this is its remedy."""
    fake = FakeWix(rotate_refresh_tokens=True)
    http = httpx.AsyncClient(transport=fake.transport, base_url=fake.url)
    body = {"grant_type": "refresh_token", "refresh_token": fake.issue_refresh_token(YOGA)}
    refreshes = [await http.post("/oauth/access", json={**body, **CREDENTIALS}) for _ in range(2)]

    assert [200, 400] == [answer.status_code for answer in refreshes]
    assert {YOGA} == fake.installed
    assert 200 == (await _request(http, YOGA)).status_code


@pytest.mark.parametrize("site", ["nobody", YOGA, "00000000-0000-0000-0000-000000000000"])
async def test_an_unknown_installation_is_not_found(http: httpx.AsyncClient, site: str) -> None:
    """A site that never had the app is 404, as seen of Wix."""
    answer = await _request(http, site)

    assert 404 == answer.status_code
    assert "app not found in any meta-site" == answer.json()["error_description"]


@pytest.mark.parametrize("refusal", [(404, "not_found"), (400, "invalid_grant"), (401, "gone")])
async def test_the_refusal_of_an_uninstalled_site_can_be_chosen(
    fake: FakeWix, http: httpx.AsyncClient, refusal: tuple[int, str]
) -> None:
    """Wix does not document it: 404 by default, or an error of RFC 6749's kind."""
    token = (await _request(http, fake.mark_installed(YOGA))).json()["access_token"]
    fake.uninstall(YOGA)
    default = await _request(http, YOGA)
    fake.uninstalled_refusal = refusal

    assert (404, "not_found") == _error(default)
    assert refusal == _error(await _request(http, YOGA))
    assert (404, "not_found") == _error(await _request(http, BAKERY))
    assert 401 == await _status(http, token)


async def test_a_reinstalled_site_gets_tokens_again(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The installation keeps its ID, and is found again."""
    fake.mark_installed(YOGA)
    fake.uninstall(YOGA)
    fake.mark_installed(YOGA)

    assert 200 == (await _request(http, YOGA)).status_code


@pytest.mark.parametrize("changes", [{"client_id": "other"}, {"client_secret": "other"}])
async def test_wrong_credentials_are_refused(
    fake: FakeWix, http: httpx.AsyncClient, changes: dict[str, str]
) -> None:
    """They are told from a missing site: 401 `invalid_client`, or the refusal that a test sets."""
    fake.mark_installed(YOGA)
    default = await _request(http, YOGA, **changes)
    fake.client_refusal = (400, "unauthorized_client")

    assert (401, "invalid_client") == _error(default)
    assert (400, "unauthorized_client") == _error(await _request(http, YOGA, **changes))


async def test_an_app_that_was_not_moved_gets_no_tokens(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """An app of custom authentication may not use this grant: RFC 6749's `unauthorized_client`."""
    fake.admits_client_credentials = False
    fake.issue_refresh_token(YOGA)

    assert (400, "unauthorized_client") == _error(await _request(http, YOGA))


async def test_a_token_without_an_installation_opens_nothing(
    http: httpx.AsyncClient,
) -> None:
    """Without `instance_id` a token comes all the same, whose calls get 403, as seen of Wix."""
    answer = await _request(http, None)
    token = answer.json()["access_token"]
    info = (await http.post("/oauth2/token-info", json={"token": token})).json()

    assert 200 == answer.status_code
    assert 403 == await _status(http, token)
    assert "instanceId" not in info


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"instance_id": ""}, (400, "invalid_request")),
        ({"instance_id": None}, (400, "invalid_request")),
        ({"instanceId": YOGA}, (400, "invalid_request")),
        ({"scope": "all"}, (400, "invalid_request")),
        ({"grant_type": "refresh_token"}, (400, "unsupported_grant_type")),
    ],
)
async def test_a_malformed_request_is_refused(
    fake: FakeWix, http: httpx.AsyncClient, changes: dict[str, Any], refusal: tuple[int, str]
) -> None:
    """Exactly the documented fields are expected, and all of them with a text."""
    body = {
        "grant_type": "client_credentials",
        "instance_id": fake.mark_installed(YOGA),
        **CREDENTIALS,
        **changes,
    }

    assert refusal == _error(await http.post("/oauth2/token", json=body))


async def test_the_lifetime_can_be_shorter(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The token lives for the time that the answer tells."""
    fake.mark_installed(YOGA)
    fake.expires_in = 60
    answer = (await _request(http, YOGA)).json()
    fake.clock.advance(60)

    assert 60 == answer["expires_in"]
    assert 401 == await _status(http, answer["access_token"])


@pytest.mark.parametrize("told", [None, True, -1, 0, "soon", "14400", 1e12, [60]])
async def test_the_lifetime_can_be_missing_or_senseless(
    fake: FakeWix, http: httpx.AsyncClient, told: Any
) -> None:
    """The answer tells any value, or none; the token itself lives for four hours."""
    fake.mark_installed(YOGA)
    fake.expires_in = told
    answer = (await _request(http, YOGA)).json()
    fake.clock.advance(14_399)

    assert told == answer.get("expires_in")
    assert (told is not None) is ("expires_in" in answer)
    assert 200 == await _status(http, answer["access_token"])


@pytest.mark.parametrize("form", FORMS)
async def test_the_answer_can_be_wrapped(
    fake: FakeWix, http: httpx.AsyncClient, form: Literal["text", "object"]
) -> None:
    """Wix's prose has the answer inside another: with the status, and as text or as an object."""
    fake.client_credentials_wrapped = form
    fake.mark_installed(YOGA)
    answer = await _request(http, YOGA)
    refusals = [await _request(http, BAKERY), await _request(http, YOGA, client_secret="other")]

    def read(answer: httpx.Response) -> tuple[int, int, Any]:
        wrapped = answer.json()
        assert {"statusCode", "body"} == wrapped.keys()
        body = json.loads(wrapped["body"]) if form == "text" else wrapped["body"]
        return answer.status_code, wrapped["statusCode"], body

    (status, inner, granted), refused = read(answer), [read(refusal) for refusal in refusals]
    assert (200, 200, 14400) == (status, inner, granted["expires_in"])
    assert 200 == await _status(http, granted["access_token"])
    assert [(200, 404, "not_found"), (200, 401, "invalid_client")] == [
        (status, inner, body["error"]) for status, inner, body in refused
    ]
