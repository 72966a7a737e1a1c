"""What begins a session, and how its answer is kept out of shared caches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handshake.external import lying
from tests.handshake.handshaking import cookies_set
from tests.identity.visiting import NOBODY, PREFIX, installed, opened, outcome, visited
from tests.support import SITE, Browser
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage

NEW_SECRET = "fake-new-secret-0123456789"
UNTIL = "2100-01-01"


async def test_previous_secret_neither_begins_nor_renews(fake: FakeWix) -> None:
    """An instance of a previous app secret works until its time, and begins nothing (R57)."""
    storage, old_secret = MemoryStorage(), fake.app_secret
    old = [fake.signed_instance(SITE, uid=uid) for uid in ("1", "2")]
    fake.app_secret = NEW_SECRET
    previous: Any = {"previous_app_secrets": [old_secret], "previous_secrets_until": UNTIL}
    async with visited(fake, storage=storage, **previous) as app:
        browser = await installed(app, fake)
        begun = await browser.http.get("/who", params={"instance": old[0]})
        await opened(browser, fake)
        renewed = await browser.http.get("/who", headers={"Authorization": old[1]})

    assert [SITE, SITE] == [outcome(answer) for answer in (begun, renewed)]
    assert [[], []] == [cookies_set(answer) for answer in (begun, renewed)]


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        ("max-age=60", ["max-age=60", "private"]),
        ("no-cache", ["no-cache", "private"]),
        ("No-Store", ["No-Store"]),
        ("Private, max-age=60", ["Private, max-age=60"]),
    ],
)
async def test_answer_with_a_session_is_private(
    fake: FakeWix, cache: str, expected: list[str]
) -> None:
    """No shared cache keeps the cookie; the app's own header stays as it is (R59)."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        query = {"instance": fake.signed_instance(SITE), "cache": cache}
        answers = [await browser.http.get("/who", params=query) for _ in range(2)]

    assert [1, 0] == [len(cookies_set(answer)) for answer in answers]
    assert [expected, [cache]] == [answer.headers.get_list("Cache-Control") for answer in answers]


@pytest.mark.parametrize(
    ("claims", "begins"),
    [
        ({"permissions": "OWNER"}, True),
        ({"permissions": "OWNER", "appDefId": None}, True),
        ({"permissions": ""}, False),
        ({"permissions": "EDITOR"}, False),
    ],
    ids=["owner", "no_app", "nobody", "editor"],
)
async def test_external_install_begins_by_the_rules(
    fake: FakeWix, claims: dict[str, Any], begins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody's proof installs, and only one that passes the rules begins a session (R59)."""
    monkeypatch.setenv("WIX_FLOW", "client_credentials")
    lying(fake, signedInstance=fake.signed_instance(SITE, uid="user-1", **claims))
    async with visited(fake) as app:
        browser = Browser(app)
        done = await browser.install(fake)
        caller = await browser.http.get("/who")
    begun = [each for each in cookies_set(done) if each.name.startswith(PREFIX)]

    assert (303, begins) == (done.status_code, bool(begun))
    if begins:
        assert (True, "user-1") == (caller.json()["owner"], caller.json()["user"])
    else:
        assert NOBODY == outcome(caller)


async def test_external_install_by_a_previous_secret_begins_none(
    fake: FakeWix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof of a previous app secret installs, and begins no session (R57)."""
    monkeypatch.setenv("WIX_FLOW", "client_credentials")
    lying(fake, signedInstance=fake.signed_instance(SITE))
    previous: Any = {
        "previous_app_secrets": [fake.app_secret],
        "previous_secrets_until": UNTIL,
    }
    fake.app_secret = NEW_SECRET
    async with visited(fake, **previous) as app:
        browser = Browser(app)
        done = await browser.install(fake)
        caller = await browser.http.get("/who")

    assert 303 == done.status_code
    assert NOBODY == outcome(caller)


async def test_advanced_install_begins_one_without_claims(
    fake: FakeWix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state's browser has installed the app, and nothing is known of the person."""
    monkeypatch.setenv("WIX_FLOW", "advanced")
    async with visited(fake) as app:
        browser = Browser(app)
        await browser.install(fake)
        caller = await browser.http.get("/who")

    assert {"at_once": SITE, "site": SITE, "user": None, "owner": False} == caller.json()
