"""The callback path: whom it believes, how often, and where it leads."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.handshaking import (
    ACCESS,
    CLOSE_WINDOW,
    JSON,
    TOKEN_INFO,
    FlakyStorage,
    app_of,
    ask,
    begin,
    call_back,
    cookies_of,
    cookies_set,
    query_of,
    reason_of,
    split_url,
    state_of,
)
from tests.support import PUBLIC_URL, SITE, Browser, make_wix, running
from wix_asgi.state import StateSigner
from wix_asgi.testing import Clock, FakeWix

CALLBACK = "/wix/callback"
OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"

REPEATED = [
    "{rest}&state=other",
    "state=other&{rest}",
    "{rest}&code=other",
    "code=other&{rest}",
    "{rest}&instanceId=other",
    "instanceId=other&{rest}",
    "{rest}&error=a&error=b",
    "{rest}&token=a&token=b",
    "{rest}&%63ode=other",
    "{rest}&stat%65=other",
]

OUT_OF_BOUNDS = [
    ("state=" + "x" * 70_000, 414),
    ("state=" + "x" * 4097, 414),
    ("code=" + "x" * 8193, 414),
    ("instanceId=" + "x" * 4097, 414),
    ("other=" + "x" * 4097, 414),
    ("&".join(["a=b"] * 21), 400),
    ("&" * 20, 400),
    ("state=%ff", 400),
    ("code=%c3%28", 400),
    ("code=a%00b", 400),
    ("code=a%0db", 400),
    ("code=a%0ab", 400),
    ("a%0ab=c", 400),
    ("state=%1b[2J", 400),
    ("state=%7f", 400),
]

OPEN_REDIRECTS = [
    "//evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https://evil.example",
    "http://evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "%2f%2fevil.example",
    "/%2fevil.example",
    "/%5cevil.example",
    " //evil.example",
    "///evil.example",
    "/./evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "http://app.example.com@evil.example",
    "https://app.example.com.evil.example",
    "https://evil.example#app.example.com",
    "https://evil.example?app.example.com",
    "https://evil.example\\.app.example.com",
    "javascript:alert('evil.example')",
    "data:text/html,evil.example",
    "//evil.example/%2e%2e",
    "\u2028//evil.example",
    "//evil\u3002example",
    "https://[::1]@evil.example",
]

AUTOMATIC_LOADS = [
    {"Sec-Purpose": "prefetch"},
    {"Purpose": "prefetch"},
    {"Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Dest": "empty"},
    {"User-Agent": "Twitterbot/1.0"},
]


def with_query(url: str, template: str) -> str:
    """Return `url` with its query put into `template`."""
    parts = urlsplit(url)
    return parts._replace(query=template.format(rest=parts.query)).geturl()


async def test_install() -> None:
    """A site owner who approves ends at Wix's close-window page, and the site is stored."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        answer = await Browser(app).install(fake)
        stored = [found.instance_id async for found in app.wix.installations()]
        called = await app.wix.client(SITE).get("/echo")

    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(CLOSE_WINDOW)
    assert stored == [SITE]
    assert called.status_code == 200
    assert (1, 1) == (fake.count(ACCESS), fake.count(TOKEN_INFO))


async def test_reinstall() -> None:
    """The same site may be installed again, in the same browser."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        answers = [await browser.install(fake) for _ in range(3)]
        stored = [found.instance_id async for found in app.wix.installations()]

    assert [303, 303, 303] == [answer.status_code for answer in answers]
    assert stored == [SITE]


async def test_other_browser_is_refused() -> None:
    """Who has the address and not the cookie gets nowhere, and uses nothing up (R2)."""
    fake = FakeWix()
    async with running(fake) as app:
        victim, attacker = Browser(app), Browser(app)
        url = await begin(attacker, fake)
        refused = [reason_of(await call_back(victim, url)) for _ in range(3)]
        assert fake.count(ACCESS) == 0
        finished = await call_back(attacker, url)

    assert refused == [(403, "browser_mismatch")] * 3
    assert finished.status_code == 303


@pytest.mark.parametrize("value", ["", "x", "x" * 43, '"\\377"', "\u00e9"])
async def test_other_cookie_is_refused(value: str) -> None:
    """A cookie of the right name and another value is another browser's (R2, R29)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        (name,) = browser.http.cookies
        path, query = split_url(url)
        planted = f"{name}={value}".encode("latin-1")
        answer = await ask(app, path, query, headers=[(b"cookie", planted)])

    assert (403, 0) == (answer.status, fake.count(ACCESS))


async def test_cookie_of_another_flow_is_refused() -> None:
    """The state and the cookie have to be of one and the same flow (R2)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser, other = Browser(app), Browser(app)
        url = await begin(browser, fake)
        await begin(other, fake)
        (name,), (value,) = browser.http.cookies, other.http.cookies.values()
        renamed = f"{name}={value}".encode()
        answers = [
            await call_back(other, url),
            await Browser(app).http.get(url, headers={**JSON, "Cookie": renamed.decode()}),
        ]

    assert [(403, "browser_mismatch")] * 2 == [reason_of(answer) for answer in answers]
    assert fake.count(ACCESS) == 0


async def test_planted_cookie_is_worth_nothing() -> None:
    """A cookie that an attacker planted before the install began finishes no flow (R29)."""
    fake = FakeWix()
    async with running(fake) as app:
        attacker, victim = Browser(app), Browser(app)
        attackers = await begin(attacker, fake)
        planted = cookies_of(attacker)
        victims = await begin(victim, fake)
        path, query = split_url(victims)
        answer = await ask(app, path, query, headers=planted)
        finished = await victim.http.get(victims)

    assert state_of(attackers) != state_of(victims)
    assert (403, 303) == (answer.status, finished.status_code)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("", (400, "state_missing")),
        ("&state=", (400, "state_missing")),
        ("&state", (400, "state_missing")),
        ("&State={state}", (400, "state_missing")),
        ("&state=unknown", (400, "state_invalid")),
        ("&state={state}x", (400, "state_invalid")),
        ("&state=x{state}", (400, "state_invalid")),
        ("&state=null", (400, "state_invalid")),
        ("&state=%E2%80%A8", (400, "state_invalid")),
        ("&state=..", (400, "state_invalid")),
    ],
)
@pytest.mark.parametrize("rest", ["code={code}&instanceId=" + SITE, "error=access_denied"])
async def test_no_state_is_no_good(state: str, expected: tuple[int, str], rest: str) -> None:
    """A missing, empty or unknown state is refused as a wrong one is, whatever comes with it (R3)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        query = query_of(await begin(browser, fake))
        answer = await call_back(browser, f"{CALLBACK}?{rest}{state}".format(**query))

    assert reason_of(answer) == expected
    assert fake.count(ACCESS) == 0


async def test_state_is_single_use() -> None:
    """Of twenty callbacks at once with one state, one wins and one code is exchanged (R4)."""
    fake = FakeWix()
    storage = FlakyStorage()
    rounds = 40
    statuses: list[list[int]] = []
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        for number in range(rounds):
            url = await begin(browser, fake)
            cookies = cookies_of(browser)
            path, query = split_url(url)
            got: list[int] = []
            statuses.append(got)

            async def load(
                path: str = path, query: bytes = query, cookies: Any = cookies, got: Any = got
            ) -> None:
                got.append((await ask(app, path, query, headers=cookies)).status)

            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(load)
            assert fake.count(ACCESS) == number + 1

    assert [sorted(got) for got in statuses] == [[303] + [409] * 19] * rounds


async def test_replay_after_success() -> None:
    """The same address loaded again in the same browser is answered 409, and exchanges nothing."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        first = await browser.http.get(url)
        cookies_left = len(browser.http.cookies)
        again = [reason_of(await call_back(browser, url)) for _ in range(2)]

    assert (303, 0) == (first.status_code, cookies_left)
    assert again == [(409, "state_reused")] * 2
    assert fake.count(ACCESS) == 1


async def test_replay_with_the_cookie_kept() -> None:
    """A browser that keeps the cookie of a finished flow is refused all the same (R4)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        cookies = cookies_of(browser)
        statuses = [(await ask(app, path, query, headers=cookies)).status for _ in range(3)]

    assert statuses == [303, 409, 409]
    assert fake.count(ACCESS) == 1


@pytest.mark.parametrize(("seconds", "status"), [(0, 303), (599, 303), (600, 303), (601, 400)])
async def test_state_expires_on_the_server(seconds: int, status: int) -> None:
    """After ten minutes a state is refused, though the browser still sends the cookie (R5)."""
    fake = FakeWix()
    clock = Clock(1_700_000_000)
    async with make_wix(fake) as wix:
        app = app_of(wix, signer=StateSigner(wix.settings, clock=clock.now))
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        cookies = cookies_of(browser)
        clock.advance(seconds)
        answer = await ask(app, path, query, headers=cookies)

    assert answer.status == status
    assert (status == 303) == bool(fake.count(ACCESS))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_parallel_installs_in_one_browser(order: tuple[int, ...]) -> None:
    """Three installs begun in one browser can be finished in any order (R7)."""
    fake = FakeWix()
    sites = list(fake.sites)
    async with running(fake) as app:
        browser = Browser(app)
        urls = [fake.approve(await browser.begin(fake, site)) for site in sites]
        answers = [await browser.http.get(urls[number]) for number in order]

    assert [303, 303, 303] == [answer.status_code for answer in answers]
    assert fake.installed == set(sites)
    assert not browser.http.cookies


@pytest.mark.parametrize("template", REPEATED)
async def test_repeated_parameters_are_refused(template: str) -> None:
    """What is named twice is refused before the state is touched (R13)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        storage.steps.clear()
        refused = await call_back(browser, with_query(url, template))
        steps = list(storage.steps)
        finished = await browser.http.get(url)

    assert reason_of(refused) == (400, "bad_request")
    assert not steps
    assert finished.status_code == 303


@pytest.mark.parametrize(("query", "status"), OUT_OF_BOUNDS, ids=lambda value: str(value)[:20])
async def test_query_out_of_bounds_is_refused(query: str, status: int) -> None:
    """A query that is too long or not plain text is refused before anything is done (R14)."""
    storage = FlakyStorage()
    fake = FakeWix()
    async with running(fake, storage=storage) as app:
        storage.steps.clear()
        answer = await ask(app, CALLBACK, query.encode())

    assert answer.status == status
    assert not storage.steps
    assert not fake.calls


async def test_raw_bytes_are_refused() -> None:
    """Bytes that no browser sends unescaped are refused (R14)."""
    async with running(FakeWix()) as app:
        answers = [await ask(app, CALLBACK, query) for query in (b"state=\xff", "a=\u00e9".encode())]

    assert [400, 400] == [answer.status for answer in answers]


async def test_long_codes_are_taken() -> None:
    """A code of 8 kB, which is longer than Wix's, reaches Wix whole (R14)."""
    fake = FakeWix()
    code = "x" * 8192
    async with running(fake) as app:
        browser = Browser(app)
        state = state_of(await browser.begin(fake))
        answer = await browser.http.get(CALLBACK, params={"code": code, "state": state})

    assert answer.status_code == 502
    assert fake.count(ACCESS, code=code) == 1


@pytest.mark.parametrize("payload", OPEN_REDIRECTS, ids=ascii)
@pytest.mark.parametrize("after_install", ["close", "/welcome"])
async def test_no_parameter_moves_the_browser(payload: str, after_install: str) -> None:
    """Where an install ends is configured: no parameter of either path changes it (R18)."""
    fake = FakeWix()
    names = ["next", "redirect", "redirect_uri", "redirectUrl", "returnUrl", "url", "state_url"]
    extra = "&".join(f"{name}={quote(payload, safe='')}" for name in names)
    async with running(fake, after_install=after_install) as app:
        browser = Browser(app)
        begun = await browser.http.get(f"/wix/install?{extra}")
        url = fake.approve(begun.headers["Location"])
        answer = await browser.http.get(f"{url}&{extra}")

    location = answer.headers["Location"]
    expected = {"close": CLOSE_WINDOW, "/welcome": f"{PUBLIC_URL}/welcome"}[after_install]
    assert query_of(begun.headers["Location"])["redirectUrl"] == f"{PUBLIC_URL}{CALLBACK}"
    assert location.startswith(expected)
    assert "evil" not in begun.headers["Location"].lower() + location.lower()


@pytest.mark.parametrize("host", [b"evil.example", b"evil.example/x", b"evil[", b"\xff"])
async def test_host_does_not_move_the_browser(host: bytes) -> None:
    """Neither does a Host header (R11, R18)."""
    fake = FakeWix()
    async with running(fake, after_install="/welcome") as app:
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        cookies = cookies_of(browser)
        fields = [*cookies, (b"host", host), (b"x-forwarded-host", host)]
        answer = await ask(app, path, query, headers=fields)

    assert (303, f"{PUBLIC_URL}/welcome") == (answer.status, answer.one("Location"))


async def test_site_owner_cancels() -> None:
    """Who cancels is told so; the flow is over, and its state good for nothing else (R19)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        location = await browser.begin(fake)
        cookies = dict(browser.http.cookies)
        refused = await call_back(browser, fake.cancel(location) or "")
        (removed,) = cookies_set(refused)
        browser.http.cookies.update(cookies)
        later = await call_back(browser, fake.approve(location))

    assert reason_of(refused) == (403, "denied")
    assert {removed.name: ""} == dict.fromkeys(cookies, removed.value)
    assert reason_of(later) == (409, "state_reused")
    assert fake.count(ACCESS) == 0


@pytest.mark.parametrize("error", ["access_denied", "server_error", "made_up", "", "<b>x</b>"])
@pytest.mark.parametrize("headers", [JSON, {"Accept": "text/html"}])
async def test_errors_are_not_reflected(error: str, headers: dict[str, str]) -> None:
    """What an error answer says is shown to nobody: the page is the same for all (R19)."""
    fake = FakeWix()
    hostile = "<script>alert(document.domain)</script>"
    async with running(fake) as app:
        browser = Browser(app)
        state = state_of(await browser.begin(fake))
        params = {"error": error, "error_description": hostile, "error_uri": hostile}
        answer = await browser.http.get(
            CALLBACK, params={**params, "state": state}, headers=headers
        )

    assert answer.status_code == 403
    assert "made_up" not in answer.text
    assert "server_error" not in answer.text
    assert "alert" not in answer.text
    assert "<b>" not in answer.text


async def test_error_with_a_code_is_an_error() -> None:
    """An answer that is an error and a success at once is an error (R19)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        answer = await call_back(browser, f"{url}&error=access_denied")

    assert reason_of(answer) == (403, "denied")
    assert fake.count(ACCESS) == 0


async def test_error_of_another_browser_is_refused() -> None:
    """An attacker cannot cancel somebody else's install (R2, R19)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        forged = f"{CALLBACK}?error=access_denied&state={state_of(url)}"
        refused = await call_back(Browser(app), forged)
        finished = await browser.http.get(url)

    assert reason_of(refused) == (403, "browser_mismatch")
    assert finished.status_code == 303


@pytest.mark.parametrize("query", ["", "&code=", "&code", "&instanceId=" + SITE])
async def test_neither_code_nor_error(query: str) -> None:
    """A callback with nothing to say uses nothing up: the true one still works."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        refused = await call_back(browser, f"{CALLBACK}?state={state_of(url)}{query}")
        finished = await browser.http.get(url)

    assert reason_of(refused) == (400, "bad_request")
    assert finished.status_code == 303


async def test_token_goes_to_the_close_window_page_only() -> None:
    """The access token is in that one Location, which nobody may store or refer from (R20)."""
    fake = FakeWix()
    async with running(fake) as app:
        answer = await Browser(app).install(fake)

    location = answer.headers["Location"]
    token = query_of(location)["access_token"]
    elsewhere = [value for name, value in answer.headers.multi_items() if name != "location"]
    assert location == f"{CLOSE_WINDOW}{quote(token, safe='')}"
    assert token not in answer.text + repr(elsewhere)
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("after_install", "expected"),
    [
        ("/", f"{PUBLIC_URL}/"),
        ("/welcome?from=wix#top", f"{PUBLIC_URL}/welcome?from=wix#top"),
        ("https://shop.example.com/done", "https://shop.example.com/done"),
    ],
)
async def test_token_goes_nowhere_else(after_install: str, expected: str) -> None:
    """With an end of the app's own, no token is in any answer (R20)."""
    fake = FakeWix()
    async with running(fake, after_install=after_install) as app:
        answer = await Browser(app).install(fake)
        token = (await app.wix._tokens.get(SITE)).value

    assert answer.headers["Location"] == expected
    assert token not in answer.text + repr(answer.headers.multi_items())


@pytest.mark.parametrize(
    "lie",
    [
        {"instanceId": OTHER_SITE},
        {"instanceId": SITE.upper()},
        {"instanceId": None},
        {"instanceId": ""},
        {"instanceId": [SITE]},
        {"clientId": "another-app"},
        {"clientId": None},
        {"active": "false"},
        {"active": False},
        {"active": None},
        {"active": 1},
    ],
    ids=repr,
)
async def test_token_of_another_site_is_refused(lie: dict[str, Any]) -> None:
    """A token that is not this app's, or not for the site that was named, stores nothing (R21)."""
    fake = FakeWix()
    fake.token_info_override = lambda info: {**info, **lie}
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        answer = await call_back(browser, url)
        again = await call_back(browser, url)

    assert reason_of(answer) == (403, "instance_mismatch")
    assert reason_of(again) == (409, "state_reused")
    assert not await storage.sites(fake.app_id)


@pytest.mark.parametrize("named", [OTHER_SITE, SITE.upper(), "", f"{SITE} ", "null"])
async def test_site_in_the_address_is_not_believed(named: str) -> None:
    """An address that names another site than the token is for is refused (R21)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        query = query_of(await begin(browser, fake))
        answer = await browser.http.get(
            CALLBACK, params={**query, "instanceId": named}, headers=JSON
        )

    assert reason_of(answer) == (403, "instance_mismatch")
    assert not await storage.sites(fake.app_id)


@pytest.mark.parametrize("in_strings", [True, False])
async def test_site_may_be_left_out_of_the_address(in_strings: bool) -> None:
    """What the token is for is what counts, in either spelling of Wix's (R21)."""
    fake = FakeWix()
    fake.token_info_in_strings = in_strings
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        query = query_of(await begin(browser, fake))
        del query["instanceId"]
        answer = await browser.http.get(CALLBACK, params=query)

    assert answer.status_code == 303
    assert [SITE] == await storage.sites(fake.app_id)


@pytest.mark.parametrize(
    "other",
    [
        {"app_id": "another-app", "app_secret": "another-app-secret-0123456789"},
        {"app_id": "another-app"},
        {"public_url": f"{PUBLIC_URL}/other"},
        {"callback_path": "/wix/other"},
    ],
    ids=repr,
)
async def test_apps_do_not_share_states(other: dict[str, Any]) -> None:
    """An install begun at one app cannot be finished at another beside it (R22)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as one, running(fake, storage=storage, **other) as two:
        browser = Browser(one)
        url = await begin(browser, fake)
        path = other.get("callback_path", CALLBACK)
        crossed = Browser(two)
        crossed.http.cookies = browser.http.cookies
        refused = await call_back(crossed, f"{path}?{urlsplit(url).query}")
        finished = await browser.http.get(url)

    assert reason_of(refused) == (400, "state_invalid")
    assert finished.status_code == 303
    assert fake.count(ACCESS) == 1


@pytest.mark.parametrize("headers", AUTOMATIC_LOADS, ids=repr)
async def test_automatic_loads_use_nothing_up(headers: dict[str, str]) -> None:
    """A prefetch or a preview of the callback is refused, and the person's own load works (R23)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        refused = await call_back(browser, url, headers={**JSON, **headers})
        assert fake.count(ACCESS) == 0
        finished = await browser.http.get(url)

    assert reason_of(refused) == (400, "bad_request")
    assert finished.status_code == 303


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_other_methods_use_nothing_up(method: str) -> None:
    """Other methods than GET are refused, and use nothing up (R9, R23)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        refused = await browser.http.request(method, url)
        assert fake.count(ACCESS) == 0
        finished = await browser.http.get(url)

    assert (405, "GET") == (refused.status_code, refused.headers["Allow"])
    assert finished.status_code == 303


async def test_cookie_is_removed_when_a_flow_is_over() -> None:
    """The cookie goes with the flow, by the attributes with which it came (R27)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        begun = await browser.http.get("/wix/install")
        (cookie,) = cookies_set(begun)
        answer = await browser.http.get(fake.approve(begun.headers["Location"]))

    (removed,) = cookies_set(answer)
    expected = {**cookie.attributes, "Max-Age": "0"}
    assert removed == replace(cookie, value="", attributes=expected)


async def test_cookie_and_state_are_no_other_credential() -> None:
    """Neither is taken as a signed instance, a token, a code, or for each other (R31)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        state = state_of(await browser.begin(fake))
        (name,) = browser.http.cookies
        value = browser.http.cookies[name]
        as_state = await call_back(browser, f"{CALLBACK}?code=x&state={value}")
        swapped = [(b"cookie", f"{name}={state}".encode())]
        as_cookie = await ask(app, CALLBACK, f"code=x&state={state}".encode(), headers=swapped)
        as_identity = [
            await Browser(app).http.get("/echo", **place)
            for text in (value, state)
            for place in (
                {"params": {"instance": text}},
                {"headers": {"Authorization": text}},
                {"headers": {"Authorization": f"Bearer {text}"}},
                {"headers": {"Cookie": f"instance={text}"}},
            )
        ]

    assert reason_of(as_state) == (400, "state_invalid")
    assert as_cookie.status == 403
    assert {401} == {answer.status_code for answer in as_identity}
    assert fake.count(ACCESS) == 0


NAMES = st.sampled_from(["code", "state", "instanceId", "error", "token", "x"]) | st.text()
PAIRS = st.lists(st.tuples(NAMES, st.text(max_size=300)), max_size=25)
QUERIES = st.binary(max_size=400) | PAIRS.map(
    lambda pairs: "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs).encode()
)
# The event loop is no state that one example leaves to the next.
settled = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@settled
@given(query=QUERIES)
async def test_any_query_is_answered(query: bytes) -> None:
    """Whatever is asked without a state of ours is refused, at once and calmly (R3, R14)."""
    fake = FakeWix()
    with anyio.fail_after(10):
        async with running(fake) as app:
            answer = await ask(app, CALLBACK, query)

    assert answer.status in {400, 414}
    assert not fake.calls


@settled
@given(pairs=PAIRS)
async def test_any_query_with_a_true_state_is_answered(pairs: list[tuple[str, str]]) -> None:
    """Whatever comes with a state of ours is answered as one of the reasons (R14, R21)."""
    fake = FakeWix()
    extra = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    with anyio.fail_after(10):
        async with running(fake) as app:
            browser = Browser(app)
            state = state_of(await browser.begin(fake))
            answer = await browser.http.get(f"{CALLBACK}?state={state}&{extra}")

    # 502 is Wix's refusal of a code that it never gave.
    assert answer.status_code in {400, 403, 414, 502}
    assert not fake.installed
