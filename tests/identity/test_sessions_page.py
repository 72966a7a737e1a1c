"""docs/sessions.md: its app runs as it is printed, and its numbers and names are the sources'."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.identity.visiting import PREFIX
from tests.servers import ROOT
from tests.support import PUBLIC_URL, SITE
from wix_asgi.asgi.cookies import COOKIE_ATTRIBUTES
from wix_asgi.identity.session_policy import SessionPolicy
from wix_asgi.models import AccessToken, Grant
from wix_asgi.testing import FakeWix

PAGE = (ROOT / "docs" / "sessions.md").read_text("utf-8")
TEXT = " ".join(PAGE.split())


def test_the_app_of_the_page_saves_for_its_site(
    fake: FakeWix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page opens by an instance, and the call of its script needs none."""
    monkeypatch.setenv("WIX_PUBLIC_URL", PUBLIC_URL)
    monkeypatch.setenv("WIX_STORAGE", "memory://")
    for name, value in fake.settings().items():
        monkeypatch.setenv("WIX_URL" if name == "wix_url" else f"WIX_{name.upper()}", value)
    code = PAGE.partition("```python\n")[2].partition("```")[0]
    space: dict[str, Any] = {"__name__": "main"}
    exec(compile(code, "sessions.md", "exec", dont_inherit=True), space)  # noqa: S102 - ours
    app = space["app"]
    headers = {"Wix-Site": SITE, "Sec-Fetch-Site": "same-origin"}
    with TestClient(app, base_url=PUBLIC_URL) as browser:
        assert browser.portal is not None
        browser.portal.call(store, app)
        page = browser.get("/", params={"instance": fake.signed_instance(SITE)})
        saved = browser.post("/save", headers=headers)
        foreign = browser.post("/save", headers={**headers, "Sec-Fetch-Site": "cross-site"})

    assert f'"{SITE}"' in page.text
    assert '"Wix-Site": site' in page.text
    assert {"saved": SITE} == saved.json()
    assert 401 == foreign.status_code


async def store(app: Any) -> None:
    """Store an installation, as an install does."""
    grant = Grant(AccessToken("test-access", 300.0, 300.0), "test-refresh")
    await app.wix._installations.put(SITE, grant)


def test_the_page_tells_the_cookie_as_it_is() -> None:
    """Its name and attributes are those that are set."""
    described = re.search(r"`(__Host-\S+)…` with `([^`]*)`", TEXT)
    assert described is not None

    assert PREFIX == described[1]
    assert {*COOKIE_ATTRIBUTES.split("; ")} == {*described[2].split("; ")}


def test_the_page_tells_the_bounds_as_they_are() -> None:
    """Its numbers are those of the policy."""
    policy = SessionPolicy()

    assert 8 == policy.max_cookies
    assert "A browser has eight of them at most; a ninth site ends the oldest." in TEXT
    assert f"after {policy.max_age // 86_400} days" in TEXT
    assert f"for more than {policy.look_age:.0f} seconds by any process" in TEXT
