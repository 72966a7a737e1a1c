"""FakeWix's access tokens of every subject: the app, its users, and the visitors of a site."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from tests.testing.fake_wix.signed import read_claims
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, Clock, FakeWix

BAKERY, YOGA, _ = DEMO_SITES
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
Subject = Literal["APP", "USER", "MEMBER", "VISITOR"]
SUBJECTS: tuple[Subject, ...] = ("APP", "USER", "MEMBER", "VISITOR")
INACTIVE = {"active": "false"}


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix(clock=Clock(NOON))


@pytest.fixture(name="http")
def _http(fake: FakeWix) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=fake.transport, base_url=fake.url)


async def _token_info(http: httpx.AsyncClient, token: str) -> dict[str, Any]:
    info: dict[str, Any] = (await http.post("/oauth2/token-info", json={"token": token})).json()
    return info


async def _status(http: httpx.AsyncClient, path: str, token: str) -> int:
    return (await http.get(path, headers={"authorization": token})).status_code


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_token_info_tells_the_subject(
    fake: FakeWix, http: httpx.AsyncClient, subject: Subject
) -> None:
    """The subject of a token is told beside app, site and installation."""
    token = fake.issue_access_token(YOGA, subject_type=subject, subject_id="somebody", seconds=60)
    info = await _token_info(http, token)

    assert ("true", subject, "somebody") == (info["active"], info["subjectType"], info["subjectId"])
    assert ("fake-app-id", YOGA) == (info["clientId"], info["instanceId"])
    assert str(int(NOON.timestamp()) + 60) == info["exp"]


async def test_subjects_have_ids_of_their_own(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """A user is the owner that signed instances name; every other ID stays the same, too."""
    ids = [
        [
            (await _token_info(http, fake.issue_access_token(YOGA, subject_type=subject)))[
                "subjectId"
            ]
            for subject in SUBJECTS
        ]
        for _ in range(2)
    ]

    owner = read_claims(fake.signed_instance(YOGA))["siteOwnerId"]
    assert ids[0] == ids[1]
    assert ["fake-app-id", owner] == ids[0][:2]
    assert 4 == len(set(ids[0]))


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_a_token_ends_at_its_second(
    fake: FakeWix, http: httpx.AsyncClient, subject: Subject
) -> None:
    """A token is inactive from its `exp` on, and a token that was never issued always."""
    token = fake.issue_access_token(subject_type=subject, seconds=10)
    fake.clock.advance(9)
    before = await _token_info(http, token)
    fake.clock.advance(1)

    assert "true" == before["active"]
    assert INACTIVE == await _token_info(http, token)
    assert INACTIVE == await _token_info(http, "OauthNG.JWS.never")


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_an_uninstall_ends_the_tokens_of_every_subject(
    fake: FakeWix, http: httpx.AsyncClient, subject: Subject
) -> None:
    """Nobody's token for an installation outlives it; those of other sites do."""
    ended = fake.issue_access_token(BAKERY, subject_type=subject)
    other = fake.issue_access_token(YOGA, subject_type=subject)
    fake.uninstall(BAKERY)

    assert INACTIVE == await _token_info(http, ended)
    assert "true" == (await _token_info(http, other))["active"]


async def test_a_token_of_another_app_says_so(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The app that a token was issued to is told, and is the subject of an app's own token."""
    token = fake.issue_access_token(client_id="another-app")
    info = await _token_info(http, token)

    assert ("another-app", "another-app") == (info["clientId"], info["subjectId"])


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_a_token_may_name_no_installation(
    fake: FakeWix, http: httpx.AsyncClient, subject: Subject
) -> None:
    """Tokens of accounts and of headless apps are live, yet have neither site nor installation."""
    token = fake.issue_access_token(subject_type=subject, with_instance=False)
    info = await _token_info(http, token)

    assert {"active", "subjectType", "subjectId", "exp", "iat", "clientId"} == info.keys()
    assert "true" == info["active"]


async def test_only_tokens_of_the_app_for_a_site_open_the_api(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """To call with somebody else's token is the app's mistake: 403, and 401 for a dead token."""
    fake.echo("/x")
    refused = [
        *(fake.issue_access_token(subject_type=subject) for subject in SUBJECTS[1:]),
        fake.issue_access_token(client_id="another-app"),
        fake.issue_access_token(with_instance=False),
    ]

    for path in ("/apps/v1/instance", "/x", "/unknown"):
        assert [403] * 5 == [await _status(http, path, token) for token in refused]
    assert 200 == await _status(http, "/x", fake.issue_access_token())
    assert 401 == await _status(http, "/x", "OauthNG.JWS.never")


async def test_close_window_takes_the_apps_own_token_alone(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """The end of an install is opened by the token that the install brought."""
    token = fake.issue_access_token(subject_type="USER")
    page = await http.get("/installer/close-window", params={"access_token": token})

    assert 400 == page.status_code
