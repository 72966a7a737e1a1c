"""Requests to Wix, and its answers: grants, refusals, events, and the addresses of browsers."""

from __future__ import annotations

import json
from traceback import TracebackException
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.protocol.answering import answer
from wix_asgi._http import httpx
from wix_asgi.errors import GrantRefused, WixError, WixMisconfigured, WixUnavailable
from wix_asgi.models import AccessToken, Grant
from wix_asgi.protocol.endpoints import FINISHED, Endpoints, check_event, parse_grant
from wix_asgi.settings import WixSettings

SECRET = "test-app-secret-0123456789"
ACCESS_TOKEN = "test-access-token-0123456789"
REFRESH_TOKEN = "test-refresh-token-0123456789"
TOKENS = {"access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN}


@pytest.fixture(name="endpoints")
def _endpoints() -> Endpoints:
    settings = WixSettings.load(
        app_id="test-app", app_secret=SECRET, public_url="https://app.test", storage="memory://"
    )
    return Endpoints(settings)


def wix_error(code: object) -> dict[str, Any]:
    """Return an error body as Wix's own APIs write it."""
    return {"message": "no", "details": {"applicationError": {"code": code, "data": {}}}}


def refusal(response: httpx.Response) -> WixError:
    """Return the error that `parse_grant` raises."""
    with pytest.raises(WixError) as caught:
        grant_of(response)
    return caught.value


def grant_of(response: httpx.Response) -> Grant:
    """Read the answer to a request that was sent at 1000 s of the monotonic clock."""
    return parse_grant(response, requested_at=1_000.0)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            lambda endpoints: endpoints.exchange("a-code"),
            {"grant_type": "authorization_code", "code": "a-code"},
        ),
        (
            lambda endpoints: endpoints.refresh("a-token"),
            {"grant_type": "refresh_token", "refresh_token": "a-token"},
        ),
    ],
    ids=["exchange", "refresh"],
)
def test_a_grant_is_asked_for_in_json(
    endpoints: Endpoints, request_: Any, expected: dict[str, str]
) -> None:
    """The credentials and the grant go into a JSON body, and nowhere else."""
    request = request_(endpoints)

    assert ("POST", "https://www.wixapis.com/oauth/access") == (request.method, str(request.url))
    assert "application/json" == request.headers["Content-Type"]
    assert {"client_id": "test-app", "client_secret": SECRET, **expected} == json.loads(
        request.content
    )
    assert "Authorization" not in request.headers


def test_token_info_is_asked_without_credentials(endpoints: Endpoints) -> None:
    """The question has the token in its body, and no credentials."""
    request = endpoints.token_info("a-token")

    assert ("POST", "https://www.wixapis.com/oauth2/token-info") == (
        request.method,
        str(request.url),
    )
    assert {"token": "a-token"} == json.loads(request.content)
    assert "Authorization" not in request.headers


def test_an_event_is_sent_with_the_token(endpoints: Endpoints) -> None:
    """The access token goes into Authorization as it is, without Bearer."""
    request = endpoints.event("a-token", FINISHED)

    assert ("POST", "https://www.wixapis.com/apps/v1/bi-event") == (
        request.method,
        str(request.url),
    )
    assert {"eventName": "APP_FINISHED_CONFIGURATION"} == json.loads(request.content)
    assert "a-token" == request.headers["Authorization"]


def test_the_installer_url_has_the_redirect_url(endpoints: Endpoints) -> None:
    """The query has token, app, redirect URL and state, each escaped."""
    url = urlsplit(endpoints.installer_url("a state&", "a/token"))

    assert "https://www.wix.com/installer/install" == f"{url.scheme}://{url.netloc}{url.path}"
    assert [
        ("token", "a/token"),
        ("appId", "test-app"),
        ("redirectUrl", "https://app.test/wix/callback"),
        ("state", "a state&"),
    ] == parse_qsl(url.query, strict_parsing=True)


def test_an_install_begun_outside_wix_has_no_token(endpoints: Endpoints) -> None:
    """Where no token came, the parameter is left out instead of being empty."""
    query = parse_qsl(urlsplit(endpoints.installer_url("state", None)).query)

    assert ["appId", "redirectUrl", "state"] == [name for name, _ in query]


def test_the_window_is_closed_with_the_token(endpoints: Endpoints) -> None:
    """The access token is escaped into the query of Wix's close-window page."""
    assert "https://www.wix.com/installer/close-window?access_token=a%2Fb%26" == (
        endpoints.close_window_url("a/b&")
    )


def test_two_tokens_are_a_grant() -> None:
    """The two fields that Wix documents are a grant, whose access token lives 300 seconds."""
    token = AccessToken(ACCESS_TOKEN, 300.0, 1_300.0)

    assert Grant(token, REFRESH_TOKEN) == grant_of(answer(TOKENS))


@pytest.mark.parametrize("token", [None, "", 5, ["x"], "line\nbreak", "\ud800", "clé"])
def test_a_missing_refresh_token_is_none(token: object) -> None:
    """A refresh token that is null, empty, or cannot be sent is none: the old one stays good."""
    grant = grant_of(answer({"access_token": ACCESS_TOKEN, "refresh_token": token}))

    assert grant.refresh_token is None


@pytest.mark.parametrize(
    ("expires_in", "expected"),
    [
        (14400, 14400.0),
        (0.5, 0.5),
        ("14400", 14400.0),
        (86_400, 86_400.0),
        (86_401, 300.0),
        (None, 300.0),
        (0, 300.0),
        (-1, 300.0),
        ("-1", 300.0),
        ("", 300.0),
        ("soon", 300.0),
        ("9" * 400, 300.0),
        (10**400, 300.0),
        (True, 300.0),
        (False, 300.0),
        ([14400], 300.0),
        ({"seconds": 14400}, 300.0),
        (float("nan"), 300.0),
        (float("inf"), 300.0),
    ],
)
def test_a_senseless_lifetime_is_five_minutes(expires_in: object, expected: float) -> None:
    """A lifetime that is missing, odd or over a day is the documented five minutes."""
    grant = grant_of(answer({**TOKENS, "expires_in": expires_in}))

    assert expected == grant.access_token.lifetime


@pytest.mark.parametrize(
    "response",
    [
        answer({}),
        answer({"refresh_token": REFRESH_TOKEN}),
        answer({**TOKENS, "access_token": None}),
        answer({**TOKENS, "access_token": ""}),
        answer({**TOKENS, "access_token": 5}),
        answer({**TOKENS, "access_token": "line\nbreak"}),
        answer({**TOKENS, "access_token": "\ud800"}),
        answer([]),
        answer(None),
        answer(b""),
        answer(b"<!doctype html><title>Wix</title>"),
        answer(b'{"access_token": "test-acc'),
        answer(b"\xff\xfe"),
        answer(b"[" * 100_000),
        answer(b"9" * 10_000),
        answer(TOKENS, 201),
        answer(TOKENS, 204),
        answer(b"", 302, {"Location": "https://elsewhere.test/"}),
        answer(b"", 304),
    ],
)
def test_an_answer_that_is_no_grant_means_that_wix_is_failing(response: httpx.Response) -> None:
    """A 200 without an access token, another success or a redirect may be transient."""
    assert isinstance(refusal(response), WixUnavailable)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": "invalid_grant"}, GrantRefused),
        (400, {"error": "invalid_request"}, GrantRefused),
        (401, {"error": "invalid_client"}, WixMisconfigured),
        (400, {"error": "INVALID_CLIENT"}, WixMisconfigured),
        (400, {"error": "unauthorized_client"}, WixMisconfigured),
        (404, wix_error("APP_ID_NOT_FOUND"), WixMisconfigured),
        (400, wix_error("INVALID_CODE"), GrantRefused),
        (400, wix_error(5), GrantRefused),
        (400, {"details": {"validationError": {"fieldViolations": []}}}, GrantRefused),
        (400, {"details": {"applicationError": "odd"}}, GrantRefused),
        (400, {"details": "odd"}, GrantRefused),
        (400, {"error": {"odd": "shape"}}, GrantRefused),
        (400, b"Invalid authorization code", GrantRefused),
        (403, b"<html>Forbidden</html>", WixUnavailable),
        (404, b"\n <!doctype html><title>Not here</title>", WixUnavailable),
        (404, b"", GrantRefused),
        (400, {"error": "server_error"}, WixUnavailable),
        (400, {"error": "temporarily_unavailable"}, WixUnavailable),
        (408, {}, WixUnavailable),
        (425, {}, WixUnavailable),
        (429, {"error": "invalid_grant"}, WixUnavailable),
        (500, {"message": "", "details": {}}, WixUnavailable),
        (502, b"<html>Bad Gateway</html>", WixUnavailable),
        (503, b"", WixUnavailable),
        (504, {"error": "invalid_grant"}, WixUnavailable),
    ],
)
def test_refusals_are_sorted(status: int, body: object, expected: type[WixError]) -> None:
    """A refusal is transient, final or about credentials, in RFC 6749's shape and in Wix's."""
    assert expected is type(refusal(answer(body, status)))


def test_a_refusal_has_the_facts_for_a_support_request() -> None:
    """The message has the status, the code and the id of the request."""
    error = refusal(answer({"error": "invalid_grant"}, 400, {"x-wix-request-id": "1700.22-a b;"}))

    assert "Wix answered 400 invalid_grant (x-wix-request-id 1700.22-ab)" == str(error)


def test_a_refusal_repeats_nothing_else_of_the_answer() -> None:
    """No other part of the body is shown, and an error code cannot forge a log line (R35, R36)."""
    body = {"error": "x\n\x1b[2J" + "y" * 100, "error_description": REFRESH_TOKEN, **TOKENS}
    error = refusal(answer(body, 401))

    assert f"Wix answered 401 x2j{'y' * 58} (x-wix-request-id -)" == str(error)


def test_a_senseless_grant_is_not_in_the_traceback() -> None:
    """The frames of the error have no token in their locals (R35)."""
    error = refusal(answer({"refresh_token": REFRESH_TOKEN}))
    trace = TracebackException.from_exception(error, capture_locals=True)

    assert REFRESH_TOKEN not in "".join(
        line for line in trace.format() if "test_endpoints" not in line
    )


@pytest.mark.parametrize(
    ("status", "expected"), [(429, 7.0), (503, 7.0), (500, 7.0), (408, 7.0), (302, 7.0)]
)
def test_wix_may_ask_for_a_pause(status: int, expected: float) -> None:
    """Retry-After is passed on with any transient refusal."""
    error = refusal(answer({}, status, {"Retry-After": "7"}))

    assert isinstance(error, WixUnavailable)
    assert (expected, expected, {"Retry-After": "7"}) == (
        error.asked,
        error.retry_after,
        error.headers,
    )


def test_without_a_pause_a_default_is_advised() -> None:
    """Where Wix asks for no pause, callers are advised to wait five seconds."""
    error = refusal(answer({}, 503))

    assert isinstance(error, WixUnavailable)
    assert (None, 5.0, False) == (error.asked, error.retry_after, error.unsent)


def test_an_event_may_be_refused() -> None:
    """A 200 raises nothing, a refusal raises the error of a refused grant."""
    check_event(answer({}))
    with pytest.raises(GrantRefused):
        check_event(answer({}, 401))


def test_grants_and_tokens_show_no_secret() -> None:
    """Neither token is in the repr of a grant (R35)."""
    expected = "Grant(access_token=AccessToken(lifetime=300.0, expires_at=1300.0))"

    assert expected == repr(grant_of(answer(TOKENS)))
