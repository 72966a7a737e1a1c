"""The answer to the question about an access token: whose it is, and whether it is active."""

from __future__ import annotations

import pytest

from tests.protocol.answering import answer
from wix_asgi._http import httpx
from wix_asgi.errors import WixUnavailable
from wix_asgi.protocol.token_info import TokenInfo, parse_token_info


@pytest.mark.parametrize(
    ("active", "expected"),
    [
        ("true", True),
        (True, True),
        ("false", False),
        (False, False),
        ("True", False),
        (1, False),
        ("", False),
        (None, False),
        (["true"], False),
        ({"true": True}, False),
    ],
)
def test_only_an_active_token_is_active(active: object, expected: bool) -> None:
    """`active` may be the text "true" or JSON's true; any other value means inactive."""
    info = parse_token_info(answer({"active": active, "clientId": "app", "instanceId": "site"}))

    assert TokenInfo(expected, "app", "site") == info


@pytest.mark.parametrize("value", [None, "", 5, ["site"]])
def test_the_owner_of_a_token_may_be_unknown(value: object) -> None:
    """Ids that are no text, or empty, are None."""
    info = parse_token_info(answer({"active": "true", "clientId": value, "instanceId": value}))

    assert TokenInfo(active=True, client_id=None, instance_id=None) == info


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, {}), (401, {"error": "invalid_client"}), (404, b"no"), (200, {}), (200, {"active": 0})],
)
def test_a_token_that_wix_refuses_is_inactive(status: int, body: object) -> None:
    """A refusal of the question means that the token is inactive."""
    info = parse_token_info(answer(body, status))

    assert TokenInfo(active=False, client_id=None, instance_id=None) == info


@pytest.mark.parametrize("response", [answer({}, 503), answer(b"<html>"), answer({}, 429)])
def test_token_info_tells_failing_from_inactive(response: httpx.Response) -> None:
    """A failing Wix is an error, since nothing is known of the token."""
    with pytest.raises(WixUnavailable):
        parse_token_info(response)
