"""Sessions: begun by an instance or an install, bound to site, browser and installation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import ask, cookies_of, cookies_set, split_url
from tests.identity.visiting import (
    NOBODY,
    OTHER,
    PREFIX,
    SAME,
    installed,
    opened,
    outcome,
    visited,
)
from tests.support import SITE, Browser
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage


def days_ago(days: float) -> str:
    """Return a signDate."""
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


async def test_an_instance_begins_a_session(fake: FakeWix) -> None:
    """The cookie has every attribute of R27 and R28, and its requests need no instance (R59)."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        cookie = await opened(browser, fake, uid="user-1")
        answers = [
            await browser.http.get("/who"),
            await browser.http.post("/who", headers=SAME),
        ]

    assert cookie.name.startswith(PREFIX)
    assert {
        "Path": "/",
        "Secure": "",
        "HttpOnly": "",
        "SameSite": "None",
        "Partitioned": "",
        "Max-Age": "86400",
    } == cookie.attributes
    assert len(cookie.name + cookie.value) < 1000
    assert [SITE, SITE] == [outcome(answer) for answer in answers]
    assert [{"at_once": SITE, "site": SITE, "user": "user-1", "owner": True}] * 2 == [
        answer.json() for answer in answers
    ]


@pytest.mark.parametrize("after_install", ["close", "/plain"])
async def test_an_install_begins_a_session(fake: FakeWix, after_install: str) -> None:
    """The browser that installed the app calls as its site, with nothing known of the person."""
    async with visited(fake, after_install=after_install) as app:
        browser = Browser(app)
        answer = await browser.install(fake)
        begun = [cookie for cookie in cookies_set(answer) if cookie.name.startswith(PREFIX)]
        caller = await browser.http.get("/who")

    assert ["86400"] == [cookie.attributes["Max-Age"] for cookie in begun]
    assert {"at_once": SITE, "site": SITE, "user": None, "owner": False} == caller.json()


async def test_a_response_of_a_hook_begins_a_session(fake: FakeWix) -> None:
    """The app's own answer to an install has the cookie as well."""
    answer = PlainTextResponse("welcome")
    async with visited(fake, on_install=lambda _: answer) as app:
        browser = Browser(app)
        got = await browser.install(fake)
        caller = await browser.http.get("/who")

    assert "welcome" == got.text
    assert SITE == outcome(caller)
    assert "set-cookie" not in answer.headers


async def test_a_later_load_of_the_callback_begins_the_session(fake: FakeWix) -> None:
    """A browser that loads the address twice at once gets the cookie with both answers."""
    async with visited(fake) as app:
        browser = Browser(app)
        url = fake.approve(await browser.begin(fake))
        headers = cookies_of(browser)
        path, query = split_url(url)
        answers = [await ask(app, path, query, headers=headers) for _ in range(2)]

    assert [303, 303] == [answer.status for answer in answers]
    assert [1, 1] == [
        len([each for each in cookies_set(answer) if each.name.startswith(PREFIX)])
        for answer in answers
    ]


async def test_a_removal_ends_the_session_at_once(fake: FakeWix) -> None:
    """The process that removes an installation believes none of its sessions any more (R59)."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
        before = await browser.http.get("/who")
        await app.wix.remove(SITE)
        after = await browser.http.get("/who")

    assert [SITE, NOBODY] == [outcome(answer) for answer in (before, after)]


async def test_there_is_no_session_by_default(fake: FakeWix) -> None:
    """Neither an install nor an instance sets a cookie, and a cookie of a session is none."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
        cookies = browser.http.cookies
    async with visited(fake, session=False) as app:
        await installed(app, fake)
        browser = Browser(app, cookies=cookies)
        answer = await browser.http.get("/who", params={"instance": fake.signed_instance(SITE)})
        later = await browser.http.get("/who")

    assert [] == cookies_set(answer)
    assert NOBODY == outcome(later)


@pytest.mark.parametrize(
    "claims",
    [
        {"permissions": "BACKOFFICE"},
        {"aid": "visitor-1"},
        {"appDefId": "another-app"},
        {"signDate": days_ago(1.1)},
        {"instanceId": "not-installed"},
    ],
)
async def test_a_refused_instance_begins_no_session(fake: FakeWix, claims: dict[str, Any]) -> None:
    """A session begins only where the instance lends the client, and the app is installed (R53)."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        instance = fake.signed_instance(SITE, **claims)
        answers = [
            await browser.http.get("/plain", params={"instance": instance}),
            await browser.http.get("/plain", params={"instance": instance + "x"}),
        ]

    assert [[], []] == [cookies_set(answer) for answer in answers]


async def test_a_session_ends_with_its_instance(fake: FakeWix) -> None:
    """What an instance says of its age and end holds for the session that it began."""
    async with visited(fake, instance_max_age=3 * 86_400) as app:
        browser = await installed(app, fake)
        cookie = await opened(browser, fake, signDate=days_ago(2))
        before = await browser.http.get("/who")
    async with visited(fake) as app:
        await installed(app, fake)
        after = await Browser(app, cookies=browser.http.cookies).http.get("/who")

    assert "259200" == cookie.attributes["Max-Age"]
    assert SITE == outcome(before)
    assert NOBODY == outcome(after)


async def test_sessions_for_ever_end_in_400_days(fake: FakeWix) -> None:
    """Where instances are good for ever, the cookie lives as long as browsers keep one."""
    async with visited(fake, instance_max_age=0) as app:
        browser = await installed(app, fake)
        cookie = await opened(browser, fake, signDate=days_ago(1000))

    assert str(400 * 86_400) == cookie.attributes["Max-Age"]


async def test_a_newer_instance_renews_the_session(fake: FakeWix) -> None:
    """The same instance again sets no cookie, and another one does."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        instance = fake.signed_instance(SITE, signDate=days_ago(0.5))
        answers = [
            await browser.http.get("/who", params={"instance": instance}),
            await browser.http.get("/who", headers={"Authorization": instance}),
            await browser.http.get("/who", params={"instance": fake.signed_instance(SITE)}),
            await browser.http.get(
                "/who", params={"instance": fake.signed_instance(SITE, uid="2")}
            ),
        ]
        caller = await browser.http.get("/who")

    assert [1, 0, 1, 1] == [len(cookies_set(answer)) for answer in answers]
    assert "2" == caller.json()["user"]


async def test_a_signed_instance_wins(fake: FakeWix) -> None:
    """An instance in the request says who calls, and a refused instance ends the search (R59)."""
    async with visited(fake) as app:
        browser = await installed(app, fake, SITE, OTHER)
        await opened(browser, fake, SITE)
        other = await browser.http.get(
            "/who", headers={"Authorization": fake.signed_instance(OTHER)}
        )
        browser.http.cookies.delete(cookies_set(other)[0].name)
        old = fake.signed_instance(SITE, signDate=days_ago(2))
        refused = [
            await browser.http.get("/who", params={"instance": old}),
            await browser.http.get("/who", params={"instance": old[:-1]}),
        ]

    assert OTHER == outcome(other)
    assert [(401, 'Wix error="too_old"'), (401, 'Wix error="forged"')] == [
        outcome(answer) for answer in refused
    ]


async def test_the_app_is_asked_where_there_is_no_session(fake: FakeWix) -> None:
    """The session goes before `resolve_identity`, which names the caller of other requests."""
    async with visited(fake, resolve_identity=lambda _: OTHER) as app:
        browser = await installed(app, fake, SITE, OTHER)
        before = await browser.http.get("/who")
        await opened(browser, fake)
        after = await browser.http.get("/who")
        foreign = await browser.http.post("/who", headers={"Sec-Fetch-Site": "cross-site"})

    assert [OTHER, SITE, OTHER] == [outcome(answer) for answer in (before, after, foreign)]


async def test_an_uninstall_and_a_reinstall_end_the_session(fake: FakeWix) -> None:
    """The session is of one installation: neither none nor the next one is served by it (R59)."""
    storage = MemoryStorage()
    async with visited(fake, storage=storage) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
    await storage.delete(fake.app_id, SITE)
    async with visited(fake, storage=storage) as app:
        removed = await Browser(app, cookies=browser.http.cookies).http.get("/who")
        await installed(app, fake)
        again = await Browser(app, cookies=browser.http.cookies).http.get("/who")

    assert [NOBODY, NOBODY] == [outcome(answer) for answer in (removed, again)]


async def test_a_reinstall_in_this_process_begins_a_new_session(fake: FakeWix) -> None:
    """The look that ended a moment before the install does not count after it."""
    async with visited(fake) as app:
        browser = Browser(app)
        for _ in range(2):
            await browser.install(fake)
        caller = await browser.http.get("/who")

    assert SITE == outcome(caller)


async def test_a_storage_that_is_down_costs_the_session_alone(fake: FakeWix) -> None:
    """The app's other routes go on, and the use of the session is answered with 503 (R24)."""
    storage = FlakyStorage()
    async with visited(fake, storage=storage) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
    storage.down = {"get"}
    async with visited(fake, storage=storage) as app:
        browser.http = Browser(app, cookies=browser.http.cookies).http
        answers = [
            await browser.http.get("/plain"),
            await browser.http.get("/who"),
            await browser.http.get("/plain", params={"instance": fake.signed_instance(OTHER)}),
        ]

    assert [200, 503, 200] == [answer.status_code for answer in answers]
    assert {"at_once": None} == answers[0].json()
    assert ["none"] == [cookie.value for cookie in cookies_set(answers[2])]


@pytest.mark.parametrize("cache", ["public, max-age=60", "max-age=0, S-Maxage=9"])
async def test_no_cookie_is_set_where_a_cache_may_share_it(fake: FakeWix, cache: str) -> None:
    """An answer that a cache may give to others has none."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        instance = fake.signed_instance(SITE)
        answer = await browser.http.get("/who", params={"instance": instance, "cache": cache})

    assert (200, []) == (answer.status_code, cookies_set(answer))


async def test_a_claim_that_fills_the_cookie_begins_no_session(fake: FakeWix) -> None:
    """A cookie that browsers would not keep is not set."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        instance = fake.signed_instance(SITE, uid="u" * 3000)
        answer = await browser.http.get("/who", params={"instance": instance})

    assert (200, []) == (answer.status_code, cookies_set(answer))


async def test_hooks_are_given_no_session(fake: FakeWix) -> None:
    """The request of a hook has the app's cookies, and none of a session (R52)."""
    seen: list[str] = []

    def hook(_: object, request: Request) -> None:
        seen.append(request.headers.get("cookie", ""))

    async with visited(fake, on_install=hook) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
        browser.http.cookies.set("theirs", "kept", domain="app.example.com")
        await browser.install(fake)

    assert ["", "theirs=kept"] == seen
