"""The answers of `/oauth2/token`: plain and wrapped, with every kind of lifetime and refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from traceback import TracebackException

import pytest

from tests.support import SITE
from wix_asgi._http import httpx
from wix_asgi.errors import GrantRefused, WixError, WixMisconfigured, WixUnavailable
from wix_asgi.models import AccessToken, Grant
from wix_asgi.protocol.endpoints import Endpoints, parse_client_credentials
from wix_asgi.settings import WixSettings

TOKEN = "test-access-token-0123456789"
GRANTED = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 14_400}
REFUSED = {"error": "invalid_grant"}

Wrap = Callable[[int, object], httpx.Response]


def plain(status: int, body: object) -> httpx.Response:
    """Return an answer as it is."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content)


def wrapped(status: int, body: object) -> httpx.Response:
    """Return an answer that holds another answer, whose body is an object."""
    return plain(200, {"statusCode": status, "body": body})


def wrapped_text(status: int, body: object) -> httpx.Response:
    """Return an answer that holds another answer, whose body is the text of an object."""
    return plain(200, {"statusCode": status, "body": json.dumps(body)})


WRAPS = pytest.mark.parametrize("wrap", [plain, wrapped, wrapped_text])


def grant_of(response: httpx.Response) -> Grant:
    """Read the answer to a request that was sent at 1000 s of the monotonic clock."""
    return parse_client_credentials(response, requested_at=1_000.0)


def refusal(response: httpx.Response) -> WixError:
    """Return the error that the answer is taken for."""
    with pytest.raises(WixError) as caught:
        grant_of(response)
    return caught.value


def test_the_credentials_and_the_installation_are_the_request() -> None:
    """They are in the JSON body, and nowhere else."""
    settings = WixSettings.load(
        app_id="test-app", app_secret="test-secret-0123456789", public_url="https://app.test"
    )
    request = Endpoints(settings).client_credentials(SITE)

    assert "https://www.wixapis.com/oauth2/token" == str(request.url)
    assert {
        "client_id": "test-app",
        "client_secret": "test-secret-0123456789",
        "grant_type": "client_credentials",
        "instance_id": SITE,
    } == json.loads(request.content)
    assert "Authorization" not in request.headers


@WRAPS
def test_a_token_lives_for_as_long_as_wix_says(wrap: Wrap) -> None:
    """There is no refresh token, and the lifetime counts from before the request."""
    grant = grant_of(wrap(200, GRANTED))

    assert Grant(AccessToken(TOKEN, 14_400.0, 15_400.0)) == grant


@WRAPS
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 14_400.0),
        ({"expires_in": None}, 14_400.0),
        ({"expires_in": 300}, 300.0),
        ({"expires_in": 0.5}, 0.5),
        ({"expires_in": "3600"}, 3_600.0),
        ({"expires_in": 86_400}, 86_400.0),
    ],
)
def test_a_lifetime_may_be_missing(wrap: Wrap, fields: dict[str, object], expected: float) -> None:
    """Without `expires_in` it is the documented four hours; with it, `expires_in` (in digits)."""
    grant = grant_of(wrap(200, {"access_token": TOKEN, **fields}))

    assert expected == grant.access_token.lifetime


@WRAPS
@pytest.mark.parametrize(
    "expires_in",
    [
        0,
        -1,
        -14_400,
        86_401,
        10**400,
        True,
        False,
        float("nan"),
        float("inf"),
        float("-inf"),
        "",
        "soon",
        "-1",
        "9" * 400,
        [14_400],
        {"seconds": 14_400},
    ],
)
def test_a_senseless_lifetime_means_that_wix_is_failing(wrap: Wrap, expires_in: object) -> None:
    """It comes to mean neither "for ever" nor "for four hours"."""
    error = refusal(wrap(200, {**GRANTED, "expires_in": expires_in}))

    assert WixUnavailable is type(error)


@WRAPS
@pytest.mark.parametrize("token", [None, "", 5, ["x"], "line\nbreak", "\ud800", "clé"])
def test_an_answer_without_a_token_means_that_wix_is_failing(wrap: Wrap, token: object) -> None:
    """A token that cannot be sent in a header is none."""
    assert WixUnavailable is type(refusal(wrap(200, {**GRANTED, "access_token": token})))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html><title>Wix</title>",
        b'{"access_token": "test-acc',
        b"[" * 100_000,
        None,
        [],
        {},
        {"statusCode": 200},
        {"statusCode": 200, "body": None},
        {"statusCode": 200, "body": [GRANTED]},
        {"statusCode": 200, "body": "\ud800"},
        {"statusCode": 200, "body": "soon"},
        {"statusCode": 99, "body": GRANTED},
        {"statusCode": 600, "body": GRANTED},
        {"statusCode": "200", "body": GRANTED},
        {"statusCode": True, "body": GRANTED},
        {"statusCode": 10**400, "body": GRANTED},
        {"statusCode": 200, "body": {"statusCode": 200, "body": GRANTED}},
    ],
)
def test_another_body_means_that_wix_is_failing(body: object) -> None:
    """It is wrapped once at most, by a number that is a status of HTTP."""
    assert WixUnavailable is type(refusal(plain(200, body)))


def test_a_status_beside_a_token_wraps_nothing() -> None:
    """An answer that has a token is not searched for another one."""
    other = {"access_token": "another-token-0123456789"}
    grant = grant_of(plain(200, {**GRANTED, "statusCode": 404, "body": other}))

    assert TOKEN == grant.access_token.value


@WRAPS
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, {"error": "not_found"}, GrantRefused),
        (404, {"message": "app not found in any meta-site", "details": {}}, GrantRefused),
        (404, {}, GrantRefused),
        (403, {}, GrantRefused),
        (400, {}, GrantRefused),
        (400, REFUSED, GrantRefused),
        (401, REFUSED, GrantRefused),
        (401, {"details": {"applicationError": {"code": "NO_SUCH_SITE"}}}, GrantRefused),
        (401, {}, WixMisconfigured),
        (401, {"error": "invalid_client"}, WixMisconfigured),
        (400, {"error": "invalid_client"}, WixMisconfigured),
        (400, {"error": "unauthorized_client"}, WixMisconfigured),
        (404, {"details": {"applicationError": {"code": "APP_ID_NOT_FOUND"}}}, WixMisconfigured),
        (400, {"error": "server_error"}, WixUnavailable),
        (408, {}, WixUnavailable),
        (429, REFUSED, WixUnavailable),
        (500, {}, WixUnavailable),
        (503, REFUSED, WixUnavailable),
        (302, {}, WixUnavailable),
    ],
)
def test_refusals_are_sorted(
    wrap: Wrap, status: int, body: object, expected: type[WixError]
) -> None:
    """A refusal is transient, final or about credentials, wrapped or not, in both shapes."""
    assert expected is type(refusal(wrap(status, body)))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b"", GrantRefused),
        (404, b"<html>Not here</html>", WixUnavailable),
        (401, b"<html>Log in</html>", WixUnavailable),
        (401, b"", WixMisconfigured),
        (401, {"statusCode": 401, "body": {"error": "invalid_grant"}}, GrantRefused),
        (400, {"statusCode": 400, "body": '{"error": "invalid_client"}'}, WixMisconfigured),
        (400, {"statusCode": 400, "error": "invalid_client"}, WixMisconfigured),
        (503, {"statusCode": 404, "body": {"error": "not_found"}}, WixUnavailable),
        (200, {"statusCode": 404}, GrantRefused),
        (200, {"statusCode": 404, "body": "app not found in any meta-site"}, GrantRefused),
        (200, {"statusCode": 401, "error": "invalid_client"}, WixMisconfigured),
    ],
)
def test_refusals_of_http_are_sorted_by_its_status(
    status: int, body: object, expected: type[WixError]
) -> None:
    """The status in a wrapped answer counts where that of HTTP says that all is well."""
    assert expected is type(refusal(plain(status, body)))


def test_a_wrapped_refusal_keeps_the_headers() -> None:
    """The pause that Wix asks for, and the id of the request, are read."""
    response = wrapped(429, {})
    response.headers.update({"Retry-After": "7", "x-wix-request-id": "17.2"})
    error = refusal(response)

    assert isinstance(error, WixUnavailable)
    assert (7.0, "Wix answered 429 (x-wix-request-id 17.2)") == (error.asked, str(error))


@WRAPS
def test_a_senseless_grant_is_not_in_the_traceback(wrap: Wrap) -> None:
    """The frames of the error have no token in their locals (R35)."""
    error = refusal(wrap(200, {**GRANTED, "expires_in": True}))
    trace = TracebackException.from_exception(error, capture_locals=True)

    assert TOKEN not in "".join(
        line for line in trace.format() if "test_client_credentials" not in line
    )
