"""The same inputs where we are stricter than the SDK, or lose less, and why."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlencode

import pytest

from tests.sdk.side_by_side import Sdk, SideBySide
from tests.support import PUBLIC_URL, Browser, running
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.testing import FakeWix


async def reason_of(app: object, url: str, browser: Browser | None = None) -> str:
    """Return the reason with which our callback refuses an address."""
    http = (browser or Browser(app)).http
    answer = await http.get(url, headers={"Accept": "application/json"})
    reason: str = answer.json()["error"]
    return f"{answer.status_code} {reason}"


async def test_callback_without_a_state(sdk: Sdk, fake: FakeWix, both: SideBySide) -> None:
    """The SDK compares the state only where the address has one."""
    code = fake.issue_code(fake.site())
    query = urlencode({"code": code, "instanceId": fake.site()})
    url = f"{PUBLIC_URL}/wix/callback?{query}"
    async with running(fake) as app:
        ours = await reason_of(app, url)
    theirs = sdk.value("handleOAuthCallback", url, {"state": "the-expected-state"})

    both.differ(
        "callback without a state",
        sdk=f"installed {theirs['instanceId']}",
        ours=ours,
        because="a state that may be left out keeps no forged callback away (RFC 9700, 4.7)",
    )


async def test_callback_of_another_browser(sdk: Sdk, fake: FakeWix, both: SideBySide) -> None:
    """The SDK leaves the binding to the browser to the app."""
    async with running(fake) as app:
        callback = fake.approve(await Browser(app).begin(fake), instance_id=fake.site())
        ours = await reason_of(app, callback)
    theirs = sdk.value("handleOAuthCallback", callback)

    both.differ(
        "callback in another browser",
        sdk=f"installed {theirs['instanceId']}",
        ours=ours,
        because="else a stranger's install could be finished in the browser of a victim",
    )


async def test_callback_that_names_another_site(sdk: Sdk, fake: FakeWix, both: SideBySide) -> None:
    """The SDK believes the `instanceId` of the query."""
    async with running(fake) as app:
        browsers = Browser(app), Browser(app)
        first, second = [
            fake.approve(await browser.begin(fake), instance_id=fake.site()).replace(
                fake.site(), list(fake.sites)[1]
            )
            for browser in browsers
        ]
        ours = await reason_of(app, first, browsers[0])
    theirs = sdk.value("handleOAuthCallback", second)

    both.differ(
        "callback with another's instanceId",
        sdk=f"installed {theirs['instanceId']}",
        ours=ours,
        because="the query is no proof: token-info tells the site of the granted token",
    )


async def test_answer_without_a_refresh_token(
    sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide
) -> None:
    """The SDK loses the refresh token where an answer has none."""
    fake.answer_without_refresh_token = True
    refresh_token = fake.issue_refresh_token(fake.site())
    step = ["getAuthHeaders"]
    theirs = sdk.run(step, step, refreshToken=refresh_token)
    grant = await ours.refresh(refresh_token)

    both.differ(
        "refresh answered without refresh_token",
        sdk="then: " + ("error" if "error" in theirs[1] else "refreshed again"),
        ours="then: " + ("refreshed again" if await ours.refresh(refresh_token) else "error"),
        because="RFC 6749, 6: the old refresh token stays good where no new one comes",
    )
    assert grant.refresh_token is None


async def test_answer_without_expires_in(
    sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide
) -> None:
    """The SDK asks for a token at each call where the answer tells no lifetime."""
    fake.expires_in = None
    fake.mark_installed(fake.site())
    step = ["getAuthHeaders"]
    sdk.run(step, step, step, instanceId=fake.site())
    theirs = fake.count("/oauth2/token")
    grant = await ours.client_credentials(fake.site())

    both.differ(
        "token without expires_in",
        sdk=f"{theirs} requests for 3 calls",
        ours=f"good for {grant.access_token.lifetime:.0f} s",
        because="Wix documents four hours; asking each time would only load Wix",
    )


@pytest.mark.parametrize("subject_type", ["VISITOR", "MEMBER"])
async def test_token_of_a_visitor(
    sdk: Sdk, fake: FakeWix, both: SideBySide, subject_type: Literal["VISITOR", "MEMBER"]
) -> None:
    """The SDK elevates everybody with a token of the app's front end."""
    fake.mark_installed(fake.site())
    token = fake.issue_access_token(fake.site(), subject_type=subject_type)
    theirs = sdk.run(["elevated"], accessToken=token)[0]
    async with running(fake) as app:
        answer = await Browser(app).http.get("/echo", headers={"Authorization": token})

    both.differ(
        f"token of a {subject_type}",
        sdk="elevated" if "value" in theirs else "refused",
        ours="elevated" if answer.status_code == 200 else "refused",
        because="a visitor would get the rights of the app; allowed_subjects lends them",
    )
