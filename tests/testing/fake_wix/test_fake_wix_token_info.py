"""FakeWix on whose a token is: token-info, and the signed instance."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.testing.fake_wix.signed import read_claims, read_json
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, Clock, FakeWix

BAKERY, YOGA, _ = DEMO_SITES
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix(clock=Clock(NOON))


@pytest.fixture(name="http")
def _http(fake: FakeWix) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=fake.transport, base_url=fake.url)


async def _token_info(http: httpx.AsyncClient, token: str) -> dict[str, Any]:
    # json.dumps escapes lone surrogates, which httpx cannot send.
    headers = {"content-type": "application/json"}
    content = json.dumps({"token": token})
    answer = await http.post("/oauth2/token-info", content=content, headers=headers)
    info: dict[str, Any] = answer.json()
    return info


async def test_token_info_answers_in_strings(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """Times and truth come as text, as Wix documents them."""
    info = await _token_info(http, fake.issue_access_token(YOGA))
    site = info.pop("siteId")

    assert {
        "active": "true",
        "subjectType": "APP",
        "subjectId": "fake-app-id",
        "iat": str(int(NOON.timestamp())),
        "exp": str(int(NOON.timestamp()) + 300),
        "clientId": "fake-app-id",
        "instanceId": YOGA,
    } == info
    assert site not in {YOGA, ""}


async def test_token_info_may_answer_in_json_types(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """The SDK types them as boolean and number, so that form is there, too."""
    fake.token_info_in_strings = False
    info = await _token_info(http, fake.issue_access_token(YOGA))

    assert (True, int(NOON.timestamp()) + 300) == (info["active"], info["exp"])


async def test_token_info_of_a_dead_token_is_inactive(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """The answer for an expired or unknown token has only the field `active`."""
    token = fake.issue_access_token()
    fake.clock.advance(300)

    assert {"active": "false"} == await _token_info(http, token)
    assert {"active": "false"} == await _token_info(http, "\ud800.\ud800")


async def test_token_info_can_be_made_to_lie(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """An override gets the true answer and returns the answer to send (for R21)."""

    def lie(info: dict[str, Any]) -> Mapping[str, Any]:
        return {**info, "instanceId": BAKERY}

    fake.token_info_override = lie
    info = await _token_info(http, fake.issue_access_token(YOGA))

    assert (BAKERY, "fake-app-id") == (info["instanceId"], info["clientId"])


async def test_token_info_knows_the_signed_instance(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """Wix takes the `instance` of a page there, too; a forged one is inactive."""
    instance = fake.signed_instance(YOGA)
    info = await _token_info(http, instance)

    assert ("true", YOGA) == (info["active"], info["instanceId"])
    assert {"active": "false"} == await _token_info(http, instance + "A")
    nobody = fake.signed_instance(YOGA, instanceId=None)
    assert {"active": "false"} == await _token_info(http, nobody)


def test_a_signed_instance_has_the_documented_form(fake: FakeWix) -> None:
    """The instance is the HMAC-SHA256 of the data and the data, both base64url without padding."""
    instance = fake.signed_instance("an-instance", uid=None, aid="visitor")
    signature, data = instance.split(".")
    mac = hmac.new(fake.app_secret.encode(), data.encode(), hashlib.sha256).digest()
    claims = read_claims(instance)

    assert base64.urlsafe_b64encode(mac).decode().rstrip("=") == signature
    assert "=" not in instance
    assert ("an-instance", "fake-app-id") == (claims["instanceId"], claims["appDefId"])
    assert "OWNER" == claims["permissions"]
    assert "visitor" == claims["aid"]
    assert "uid" not in claims


def test_a_signed_instance_is_written_as_wix_writes_it(fake: FakeWix) -> None:
    """The claims have today's order, without spaces; claims of a test stand where Wix's would."""
    shopper = fake.signed_instance(YOGA, uid=None, permissions=None, aid="visitor", bs="extra")
    plan = fake.signed_instance(fake.copy_site(YOGA), vendorProductId="premium")

    assert " " not in read_json(plan)
    assert "instanceId appDefId metaSiteId signDate demoMode aid biToken siteOwnerId bs" == (
        " ".join(read_claims(shopper))
    )
    assert (
        "instanceId appDefId metaSiteId signDate uid permissions vendorProductId demoMode"
        " originInstanceId biToken siteOwnerId"
    ) == " ".join(read_claims(plan))


def test_a_signed_instance_carries_real_time() -> None:
    """However its clock is moved, an instance is signed now, unless a test says when (R53)."""
    fake = FakeWix(clock=Clock(at=0))
    before = datetime.now(UTC).isoformat(timespec="milliseconds")
    signed_at = read_claims(fake.signed_instance(YOGA))["signDate"]
    after = datetime.now(UTC).isoformat(timespec="milliseconds")
    old = fake.signed_instance(YOGA, signDate="2020-01-01T00:00:00Z")

    assert before <= signed_at.replace("Z", "+00:00") <= after
    assert "2020-01-01T00:00:00Z" == read_claims(old)["signDate"]


def test_the_settings_are_those_of_this_fake() -> None:
    """`settings()` has the keywords of Wix and WixMiddleware for this fake."""
    fake = FakeWix(app_id="an-app", app_secret="a-secret-0123456789", url="https://wix.test/")

    assert {
        "app_id": "an-app",
        "app_secret": "a-secret-0123456789",
        "wix_url": "https://wix.test",
        "api_url": "https://wix.test",
        "public_key": fake.public_key,
    } == fake.settings()
