"""The state and its cookie at the callback: one browser, one use, ten minutes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import anyio
import pytest

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    JSON,
    FlowUnderTest,
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
from tests.support import PUBLIC_URL, Browser, make_wix, running
from wix_asgi.testing import Clock, FakeWix

pytestmark = pytest.mark.usefixtures("flow")

CALLBACK = "/wix/callback"


async def test_other_browser_is_refused(flow: FlowUnderTest) -> None:
    """A browser with the address and without the cookie is refused, and uses nothing up (R2)."""
    fake = FakeWix()
    async with running(fake) as app:
        victim, attacker = Browser(app), Browser(app)
        url = await begin(attacker, fake)
        refused = [reason_of(await call_back(victim, url)) for _ in range(3)]
        assert 0 == fake.count(flow.grants)
        finished = await call_back(attacker, url)

    assert [(403, "browser_mismatch")] * 3 == refused
    assert 303 == finished.status_code


@pytest.mark.parametrize("value", ["", "x", "x" * 43, '"\\377"', "\u00e9"])
async def test_other_cookie_is_refused(flow: FlowUnderTest, value: str) -> None:
    """A cookie of the right name with another value is refused (R2, R29)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        (name,) = browser.http.cookies
        path, query = split_url(url)
        planted = f"{name}={value}".encode("latin-1")
        answer = await ask(app, path, query, headers=[(b"cookie", planted)])

    assert (403, 0) == (answer.status, fake.count(flow.grants))


async def test_cookie_of_another_flow_is_refused(flow: FlowUnderTest) -> None:
    """A state with the cookie of another flow is refused (R2)."""
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
    assert 0 == fake.count(flow.grants)


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
@pytest.mark.parametrize("is_error", [False, True])
async def test_no_state_is_no_good(
    flow: FlowUnderTest, state: str, expected: tuple[int, str], is_error: bool
) -> None:
    """A missing, empty or unknown state is refused, with a proof and with an error (R3)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        query = query_of(await begin(browser, fake))
        rest = {name: value for name, value in query.items() if name != "state"}
        begun = "error=access_denied" if is_error else urlencode(rest)
        answer = await call_back(browser, f"{CALLBACK}?{begun}{state.format(**query)}")

    assert expected == reason_of(answer)
    assert 0 == fake.count(flow.grants)


async def test_state_is_single_use(flow: FlowUnderTest) -> None:
    """Of twenty callbacks at once with one state, one exchanges the code and calls the hook (R4).

    All of them get its outcome.
    """
    fake = FakeWix()
    storage = FlakyStorage()
    seen: list[object] = []
    rounds = 40
    statuses: list[list[int]] = []
    async with running(fake, storage=storage, on_install=seen.append) as app:
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
            assert number + 1 == fake.count(flow.grants)

    assert [[303] * 20] * rounds == statuses
    assert rounds == len(seen)


async def test_replay_after_success(flow: FlowUnderTest) -> None:
    """The same address loaded again in the same browser gets 409, and exchanges nothing."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        first = await browser.http.get(url)
        cookies_left = len(browser.http.cookies)
        again = [reason_of(await call_back(browser, url)) for _ in range(2)]

    assert (303, 0) == (first.status_code, cookies_left)
    assert [(409, "state_reused")] * 2 == again
    assert 1 == fake.count(flow.grants)


async def test_replay_with_the_cookie_kept(flow: FlowUnderTest) -> None:
    """A browser that keeps the cookie of a finished flow is led on, and nothing is done (R4)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        cookies = cookies_of(browser)
        statuses = [(await ask(app, path, query, headers=cookies)).status for _ in range(3)]

    assert [303, 303, 303] == statuses
    assert 1 == fake.count(flow.grants)


@pytest.mark.parametrize(("seconds", "status"), [(0, 303), (599, 303), (600, 303), (601, 400)])
async def test_state_expires_on_the_server(flow: FlowUnderTest, seconds: int, status: int) -> None:
    """After ten minutes a state is refused, though the browser still sends the cookie (R5)."""
    fake = FakeWix()
    clock = Clock(1_700_000_000)
    async with make_wix(fake) as wix:
        app = app_of(wix, fake, clock=clock.now)
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        cookies = cookies_of(browser)
        clock.advance(seconds)
        answer = await ask(app, path, query, headers=cookies)

    assert status == answer.status
    assert bool(fake.count(flow.grants)) == (status == 303)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_parallel_installs_in_one_browser(order: tuple[int, ...]) -> None:
    """Three installs begun in one browser can be finished in any order (R7)."""
    fake = FakeWix()
    sites = list(fake.sites)
    async with running(fake) as app:
        browser = Browser(app)
        urls = [await begin(browser, fake, site) for site in sites]
        answers = [await browser.http.get(urls[number]) for number in order]

    assert [303, 303, 303] == [answer.status_code for answer in answers]
    assert set(sites) == fake.installed
    assert not browser.http.cookies


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
async def test_apps_do_not_share_states(flow: FlowUnderTest, other: dict[str, Any]) -> None:
    """An install begun at one app cannot be finished at another beside it (R22)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with (
        running(fake, storage=storage) as one,
        running(fake, storage=storage, **other) as two,
    ):
        browser = Browser(one)
        url = await begin(browser, fake)
        path = other.get("callback_path", CALLBACK)
        crossed = Browser(two)
        crossed.http.cookies = browser.http.cookies
        refused = await call_back(crossed, f"{path}?{urlsplit(url).query}")
        finished = await browser.http.get(url)

    assert (400, "state_invalid") == reason_of(refused)
    assert 303 == finished.status_code
    assert 1 == fake.count(flow.grants)


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

    assert replace(cookie, value="", attributes=expected) == removed


async def test_cookie_and_state_are_no_other_credential(flow: FlowUnderTest) -> None:
    """Cookie and state are not taken as a signed instance, a token or each other (R31)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        state = state_of(await browser.begin(fake))
        (name,) = browser.http.cookies
        value = browser.http.cookies[name]
        as_state = await call_back(browser, f"{CALLBACK}?code=x&state={value}")
        swapped = [(b"cookie", f"{name}={state}".encode())]
        as_cookie = await ask(app, CALLBACK, f"code=x&state={state}".encode(), headers=swapped)
        anybody = Browser(app).http
        as_identity = [
            await anybody.get("/echo", params=params, headers=headers)
            for text in (value, state)
            for params, headers in (
                ({"instance": text}, {}),
                ({}, {"Authorization": text}),
                ({}, {"Authorization": f"Bearer {text}"}),
                ({}, {"Cookie": f"instance={text}"}),
            )
        ]

    assert (400, "state_invalid") == reason_of(as_state)
    assert 403 == as_cookie.status
    assert {401} == {answer.status_code for answer in as_identity}
    assert 0 == fake.count(flow.grants)
