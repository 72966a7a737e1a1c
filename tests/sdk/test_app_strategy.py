"""Every mode of `AppStrategy`, and the same of ours: the fake Wix takes both."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.engine import make_settings
from tests.sdk.side_by_side import Sdk, SideBySide, requests_of
from tests.support import PUBLIC_URL, Browser, running
from wix_asgi.models import AccessToken
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.testing import FakeWix

CALLBACK = f"{PUBLIC_URL}/wix/callback"


def parts(url: str) -> tuple[str, dict[str, str]]:
    """Return the path and the query of an address at Wix."""
    split = urlsplit(url)
    return split.path, dict(parse_qsl(split.query, strict_parsing=True))


def shown(requests: list[tuple[str, str, Any, bool]]) -> str:
    """Return requests for the table: with the names in their bodies, without a secret."""
    return "; ".join(
        f"{method} {path} {sorted(body or {})}{' with a token' if token else ''}"
        for method, path, body, token in requests
    )


def test_install_url(sdk: Sdk, fake: FakeWix, both: SideBySide) -> None:
    """Both lead the browser to the same page with the same query."""
    token = fake.install_token(fake.site())
    given = {"redirectUrl": CALLBACK, "token": token, "state": "a-state"}
    theirs = parts(sdk.value("getInstallUrl", given))
    path, query = parts(Endpoints(make_settings(fake)).installer_url("a-state", token))

    both.same("getInstallUrl", sdk=sorted(theirs[1]), ours=sorted(query))
    assert theirs == (path, query)


async def test_code_exchange(sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide) -> None:
    """Both send a code with the same body, and get both tokens."""
    begun = Endpoints(make_settings(fake)).installer_url("a-state", fake.install_token(fake.site()))
    first, second = fake.approve(begun), fake.approve(begun)
    fake.calls.clear()
    theirs = sdk.value("handleOAuthCallback", first, {"state": "a-state"})
    sdk_requests = requests_of(fake)
    grant = await ours.exchange(parts(second)[1]["code"])
    our_requests = requests_of(fake)
    for requests in sdk_requests, our_requests:
        del requests[0][2]["code"]

    both.same("handleOAuthCallback", sdk=shown(sdk_requests), ours=shown(our_requests))
    assert sdk_requests == our_requests
    assert fake.site() == theirs["instanceId"]
    assert theirs["refreshToken"]
    assert grant.refresh_token


async def test_refresh_token(sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide) -> None:
    """Both send a refresh token with the same body, and carry the access token without Bearer."""
    refresh_token = fake.issue_refresh_token(fake.site())
    theirs = sdk.value("getAuthHeaders", refreshToken=refresh_token)
    sdk_requests = requests_of(fake)
    grant = await ours.refresh(refresh_token)
    our_requests = requests_of(fake)

    both.same("refreshToken", sdk=shown(sdk_requests), ours=shown(our_requests))
    assert sdk_requests == our_requests
    assert theirs["headers"]["Authorization"].startswith("OauthNG.JWS.")
    assert grant.access_token.value.startswith("OauthNG.JWS.")


async def test_instance_id(sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide) -> None:
    """Both ask for a token of the app's own credentials with the same body."""
    fake.mark_installed(fake.site())
    sdk.value("getAuthHeaders", instanceId=fake.site())
    sdk_requests = requests_of(fake)
    await ours.client_credentials(fake.site())
    our_requests = requests_of(fake)

    both.same("instanceId", sdk=shown(sdk_requests), ours=shown(our_requests))
    assert sdk_requests == our_requests


def test_access_token(sdk: Sdk, fake: FakeWix, both: SideBySide) -> None:
    """The SDK has the bearer's token unbound from its session; we never call in a bearer's name."""
    token = fake.issue_access_token(fake.site(), subject_type="USER")
    sdk.value("getAuthHeaders", accessToken=token)

    both.differ(
        "accessToken",
        sdk=shown(requests_of(fake)),
        ours="no request",
        because="a call is made by the app, as a site; the token of a caller only tells the site",
    )


async def test_elevated(sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide) -> None:
    """Both ask whose token it is, and then for the app's own token of that site."""
    fake.mark_installed(fake.site())
    token = fake.issue_access_token(fake.site(), subject_type="USER")
    sdk.value("elevated", accessToken=token)
    sdk_requests = requests_of(fake)
    info = await ours.token_info(token)
    assert info.instance_id is not None
    await ours.client_credentials(info.instance_id)
    our_requests = requests_of(fake)

    both.same("elevated", sdk=shown(sdk_requests), ours=shown(our_requests))
    assert sdk_requests == our_requests


async def test_token_info(sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide) -> None:
    """Both ask about an access token, and read the same site."""
    token = fake.issue_access_token(fake.site())
    theirs = sdk.value("getTokenInfo", accessToken=token)
    sdk_requests = requests_of(fake)
    info = await ours.token_info(token)

    both.same("getTokenInfo", sdk=shown(sdk_requests), ours=shown(requests_of(fake)))
    assert (theirs["clientId"], theirs["instanceId"]) == (info.client_id, info.instance_id)


async def test_signed_instance_as_a_token(
    sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide
) -> None:
    """Token-info answers about a signed instance, too, to both."""
    instance = fake.signed_instance(fake.site())
    theirs = sdk.value("getTokenInfo", accessToken=instance)
    info = await ours.token_info(instance)

    both.same("getTokenInfo(instance)", sdk=theirs["instanceId"], ours=info.instance_id)


async def test_get_app_instance(
    sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide
) -> None:
    """`appInstances.getAppInstance` and ours are one request with the same token header."""
    fake.mark_installed(fake.site())
    theirs = sdk.value("getAppInstance", instanceId=fake.site())
    sdk_requests = requests_of(fake)
    grant = await ours.client_credentials(fake.site())
    site = await ours.app_instance(grant.access_token)
    our_requests = requests_of(fake)

    both.same("appInstances.getAppInstance", sdk=shown(sdk_requests), ours=shown(our_requests))
    assert sdk_requests == our_requests
    assert site is not None
    assert (theirs["instance"]["instanceId"], theirs["site"]["siteId"]) == (
        site.instance_id,
        site.site_id,
    )


async def test_bi_event(sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide) -> None:
    """`biEvents.sendBiEvent` and `finish_setup` are one request with the same body."""
    fake.mark_installed(fake.site())
    event = {"eventName": "APP_FINISHED_CONFIGURATION"}
    sdk.value("sendBiEvent", event, instanceId=fake.site())
    sdk_requests = requests_of(fake)
    token: AccessToken = (await ours.client_credentials(fake.site())).access_token
    await ours.send_event(token, event["eventName"])
    our_requests = requests_of(fake)

    both.same("biEvents.sendBiEvent", sdk=shown(sdk_requests), ours=shown(our_requests))
    assert sdk_requests == our_requests


async def test_headers(sdk: Sdk, fake: FakeWix, ours: OAuthClient, both: SideBySide) -> None:
    """Both send JSON; we name ourselves, and the answers that we can read."""
    refresh_token = fake.issue_refresh_token(fake.site())
    sdk.value("getAuthHeaders", refreshToken=refresh_token)
    await ours.refresh(refresh_token)
    theirs, own = (call.headers for call in fake.calls)
    names = ("user-agent", "accept")

    both.same("content-type", sdk=theirs["content-type"], ours=own["content-type"])
    both.differ(
        "user-agent, accept",
        sdk=[theirs[name] for name in names],
        ours=[own[name] for name in names],
        because="RFC 9110, 10.1.5 and 12.5.1: a client names itself, and the types it can read",
    )


async def test_callback_of_our_install_is_read_by_the_sdk(
    sdk: Sdk, fake: FakeWix, both: SideBySide
) -> None:
    """The SDK finishes an install that our install path began."""
    async with running(fake) as app:
        callback = fake.approve(await Browser(app).begin(fake), instance_id=fake.site())
    theirs = sdk.value("handleOAuthCallback", callback)

    both.same("handleOAuthCallback of our install", sdk=theirs["instanceId"], ours=fake.site())
