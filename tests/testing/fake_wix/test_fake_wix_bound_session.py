"""The grant type by which @wix/sdk uses the access token of a front end as it is."""

from __future__ import annotations

from typing import Any

import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix


async def strip(fake: FakeWix, access_token: str, secret: str | None = None) -> httpx.Response:
    """Send the request of the SDK."""
    body = {
        "grant_type": "strip_bound_session",
        "client_secret": secret or fake.app_secret,
        "access_token": access_token,
    }
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        return await http.post("/oauth2/token", json=body)


async def test_bearer_stays_the_same(fake: FakeWix) -> None:
    """The new token is of the same member, and lives no longer than the token of the request."""
    token = fake.issue_access_token(fake.site(), subject_type="MEMBER", seconds=100)
    answer = (await strip(fake, token)).json()
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
        infos: list[dict[str, Any]] = [
            (await http.post("/oauth2/token-info", json={"token": each})).json()
            for each in (token, answer["access_token"])
        ]

    assert token != answer["access_token"]
    assert 99 <= answer["expires_in"] <= 100
    assert ["MEMBER", "MEMBER"] == [info["subjectType"] for info in infos]
    assert infos[0]["subjectId"] == infos[1]["subjectId"]


@pytest.mark.parametrize("case", ["unknown", "another app's", "wrong secret"])
async def test_no_other_token_is_taken(fake: FakeWix, case: str) -> None:
    """A token that is dead, or of another app, and a wrong secret are refused."""
    client_id = "another-app" if case == "another app's" else None
    token = fake.issue_access_token(fake.site(), client_id=client_id)
    if case == "unknown":
        fake.expire_access_tokens()
    answer = await strip(fake, token, "wrong" if case == "wrong secret" else None)

    assert answer.status_code in {400, 401}
    assert "access_token" not in answer.json()
