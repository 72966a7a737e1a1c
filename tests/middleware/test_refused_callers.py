"""Refused callers through a whole app: the answer, the log, and secrets that are no longer good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.support import PUBLIC_URL, SITE, make_app, make_wix, running
from wix_asgi import NotInstalled, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

OLD_SECRET = "test-app-secret-that-leaked"

INSTANCES: list[tuple[dict[str, Any], str]] = [
    ({"permissions": "EDITOR"}, "permissions"),
    ({"signDate": "2020-01-01T00:00:00.000Z"}, "too_old"),
    ({"appDefId": "another-app"}, "other_app"),
    ({"aid": "visitor-1"}, "visitor"),
    ({"expirationDate": 17}, "ended"),
]


def open_page(app: WixMiddleware, instance: str | None, path: str = "/echo") -> Any:
    """Open a page of the app as Wix does, with this instance."""
    browser = TestClient(app, base_url=PUBLIC_URL)
    return browser.get(path, params={"instance": instance} if instance else {})


@pytest.mark.parametrize(("claims", "reason"), INSTANCES)
def test_page_answers_401_with_the_reason(
    fake: FakeWix, claims: dict[str, Any], reason: str
) -> None:
    """A refused caller gets 401, and `WWW-Authenticate` says why; nothing is sent to Wix (R53)."""
    app = WixMiddleware(make_app(), make_wix(fake))
    answer = open_page(app, fake.signed_instance(SITE, **claims))

    assert 401 == answer.status_code
    assert f'Wix error="{reason}"' == answer.headers["WWW-Authenticate"]
    assert [] == fake.calls


def test_settings_widen_who_may_call(fake: FakeWix) -> None:
    """A caller whom the settings allow is asked for at Wix, and not refused (R53)."""
    wix = make_wix(fake, allowed_permissions=["EDITOR"], instance_max_age=0)
    instance = fake.signed_instance(SITE, permissions="EDITOR", signDate="2020-01-01T00:00:00Z")
    answer = open_page(WixMiddleware(make_app(), wix), instance)

    assert 403 == answer.status_code
    assert "WWW-Authenticate" not in answer.headers


def test_wrong_secret_is_in_the_log(fake: FakeWix, caplog: pytest.LogCaptureFixture) -> None:
    """With a wrong app secret every page is a 401, and one line says what to look at."""
    app = WixMiddleware(make_app(), make_wix(fake, app_secret="test-app-secret-of-others"))
    answers = [open_page(app, fake.signed_instance(SITE)) for _ in range(3)]
    lines = [line.getMessage() for line in caplog.records if line.name == "wix_asgi"]

    assert [401] * 3 == [answer.status_code for answer in answers]
    assert ['Wix error="forged"'] * 3 == [answer.headers["WWW-Authenticate"] for answer in answers]
    assert 1 == len(lines)
    assert "signed instances are refused: is WIX_APP_SECRET this app's?" in lines[0]


def test_a_glance_and_a_call_are_one_refusal(
    fake: FakeWix, caplog: pytest.LogCaptureFixture
) -> None:
    """A page that looks at the caller before it uses the client is refused once."""

    async def look(request: Request) -> Response:
        client = request.state.wix
        assert client.identity is None
        assert client._caller is client._caller
        return JSONResponse((await client.get("/echo")).json())

    inner = make_app()
    inner.routes.append(Route("/look", look))
    app = WixMiddleware(inner, make_wix(fake))
    answer = open_page(app, "forged", "/look")

    assert 401 == answer.status_code
    assert 1 == len([line for line in caplog.records if line.name == "wix_asgi"])


async def test_unknown_site_is_in_the_log(fake: FakeWix, caplog: pytest.LogCaptureFixture) -> None:
    """A page of a site without the app is a 403, and one line names the site and the setting."""
    async with running(fake) as app:
        transport = httpx.ASGITransport(app=app)
        params = {"instance": fake.signed_instance(SITE)}
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
            answers = [await http.get("/echo", params=params) for _ in range(2)]
    (line,) = [line for line in caplog.records if line.name == "wix_asgi"]

    assert [403, 403] == [answer.status_code for answer in answers]
    assert ("not_installed", SITE) == (vars(line)["reason"], vars(line)["instance_id"])
    assert f"caller refused: not_installed, site {SITE}: " in line.getMessage()
    assert "WIX_STORAGE" in line.getMessage()


async def test_job_for_an_unknown_site_is_not_logged(
    fake: FakeWix, caplog: pytest.LogCaptureFixture
) -> None:
    """An app that names a site by itself gets the error, and the log stays empty."""
    wix = make_wix(fake)
    async with wix:
        with pytest.raises(NotInstalled):
            await wix.client(SITE).get("/echo")

    assert [] == [line for line in caplog.records if line.name == "wix_asgi"]


UNTIL = [(None, 401), (timedelta(hours=-1), 401), (timedelta(hours=1), 403)]


@pytest.mark.parametrize(("ahead", "status"), UNTIL)
async def test_leaked_secret_can_be_retired(
    fake: FakeWix, ahead: timedelta | None, status: int
) -> None:
    """A previous secret forges no caller after its time, and no restart changes that (R57).

    The 403 of an accepted instance says that its site does not have the app.
    """
    forged = FakeWix(app_secret=OLD_SECRET).signed_instance(SITE)
    options: dict[str, Any] = {"previous_app_secrets": [OLD_SECRET]}
    if ahead is not None:
        options["previous_secrets_until"] = (datetime.now(UTC) + ahead).isoformat()
    answers = []
    for _restart in range(2):
        async with running(fake, **options) as app:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
                answers.append(await http.get("/echo", params={"instance": forged}))

    assert [status] * 2 == [answer.status_code for answer in answers]
