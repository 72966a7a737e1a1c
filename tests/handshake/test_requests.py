"""The loads that both paths take, since a person asked for them, and those that use nothing up."""

from __future__ import annotations

import pytest

from tests.handshake.handshaking import ACCESS, JSON, begin, cookies_set, reason_of
from tests.support import Browser, running
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

INSTALL = "/wix/install"

# As Chromium 156 sends them, on both paths.
HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
FETCHED_BY_A_PAGE = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin", "Accept": "*/*"}
FETCHED_BY_A_WORKER = {**FETCHED_BY_A_PAGE, "Accept": HTML}
WORKERS_OWN = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "navigate", "Accept": HTML}

NAVIGATIONS = {
    "without metadata": {},
    "window": {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"},
    "iframe": {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"},
    "frame": {"Sec-Fetch-Dest": "frame", "Sec-Fetch-Mode": "navigate"},
    "fenced frame": {"Sec-Fetch-Dest": "fencedframe", "Sec-Fetch-Mode": "navigate"},
    "fetch(event.request)": {**WORKERS_OWN, "Sec-Fetch-Site": "cross-site"},
    "fetch(event.request), new tab": {**WORKERS_OWN, "Sec-Fetch-Site": "none"},
    "new Request(event.request, …)": {**FETCHED_BY_A_WORKER, "Sec-Fetch-Mode": "same-origin"},
    "new Request(url, …)": {**FETCHED_BY_A_WORKER, "Sec-Fetch-Mode": "cors"},
    "preload": {"Sec-Fetch-Dest": "document", "Service-Worker-Navigation-Preload": "true"},
}

AUTOMATIC_LOADS = {
    "prefetch": {"Sec-Purpose": "prefetch", "Sec-Fetch-Dest": "document"},
    "prerender": {"Sec-Purpose": "prefetch;prerender", "Sec-Fetch-Dest": "document"},
    "prefetch behind a worker": {**WORKERS_OWN, "Sec-Purpose": "prefetch"},
    "old prefetch": {"Purpose": "prefetch"},
    "Firefox's prefetch": {"X-Moz": "prefetch"},
    "Turbo's prefetch": {
        **FETCHED_BY_A_WORKER,
        "Sec-Fetch-Mode": "cors",
        "X-Sec-Purpose": "prefetch",
    },
    "link prefetch": {
        "Sec-Purpose": "prefetch",
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Mode": "no-cors",
        "Accept": HTML,
    },
    "image": {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"},
    "script": {"Sec-Fetch-Dest": "script", "Sec-Fetch-Mode": "no-cors"},
    "style": {"Sec-Fetch-Dest": "style"},
    "font": {"Sec-Fetch-Dest": "font"},
    "object": {"Sec-Fetch-Dest": "object", "Sec-Fetch-Mode": "navigate", "Accept": HTML},
    "embed": {"Sec-Fetch-Dest": "embed", "Sec-Fetch-Mode": "navigate", "Accept": HTML},
    "no mode": {"Sec-Fetch-Dest": "empty"},
    "fetch()": {**FETCHED_BY_A_PAGE, "Sec-Fetch-Mode": "cors"},
    "fetch() without CORS": {**FETCHED_BY_A_PAGE, "Sec-Fetch-Mode": "no-cors"},
    "fetch() within the origin": {**FETCHED_BY_A_PAGE, "Sec-Fetch-Mode": "same-origin"},
    "fetch() for JSON": {
        **FETCHED_BY_A_PAGE,
        "Sec-Fetch-Mode": "same-origin",
        "Accept": "application/json",
    },
    "fetch() of another site": {
        **FETCHED_BY_A_WORKER,
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Site": "cross-site",
    },
    "fetch() of a sibling": {
        **FETCHED_BY_A_WORKER,
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Site": "same-site",
    },
    "fetch() without CORS for a page": {**FETCHED_BY_A_WORKER, "Sec-Fetch-Mode": "no-cors"},
    "Slack": {"User-Agent": "Slackbot-LinkExpanding 1.0"},
    "Twitter": {"User-Agent": "Twitterbot/1.0"},
    "Google": {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"},
    "Facebook": {"User-Agent": "facebookexternalhit/1.1"},
    "WhatsApp": {"User-Agent": "WhatsApp/2.23"},
}


def refused(answer: httpx.Response) -> bool:
    """Return whether the answer, of a page or in JSON, is the refusal of an automatic load."""
    if "json" in answer.headers["Content-Type"]:
        return reason_of(answer) == (400, "bad_request")
    return answer.status_code == 400 and "Location" not in answer.headers


@pytest.mark.parametrize("headers", NAVIGATIONS.values(), ids=NAVIGATIONS)
async def test_navigations_install(headers: dict[str, str]) -> None:
    """What a person opened is let through on both paths, behind a service worker, too (R23)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        begun = await browser.http.get(
            INSTALL, params={"token": fake.install_token()}, headers=headers
        )
        finished = await browser.http.get(fake.approve(begun.headers["Location"]), headers=headers)

    assert (303, 303) == (begun.status_code, finished.status_code)
    assert 1 == len(fake.installed)


@pytest.mark.parametrize("headers", AUTOMATIC_LOADS.values(), ids=AUTOMATIC_LOADS)
async def test_automatic_loads_begin_nothing(headers: dict[str, str]) -> None:
    """A load that no person asked for, like an attacker's `<img>`, begins no install (R23, R30)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        answer = await browser.http.get(
            INSTALL, params={"token": "abc"}, headers={**JSON, **headers}
        )
        finished = await browser.install(fake)

    assert refused(answer)
    assert not cookies_set(answer)
    assert 303 == finished.status_code


@pytest.mark.parametrize("headers", AUTOMATIC_LOADS.values(), ids=AUTOMATIC_LOADS)
async def test_automatic_loads_use_nothing_up(headers: dict[str, str]) -> None:
    """An automatic load of the callback is refused, and the person's own load works (R23)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        answer = await browser.http.get(url, headers={**JSON, **headers})
        exchanged = fake.count(ACCESS)
        finished = await browser.http.get(url)

    assert refused(answer)
    assert 0 == exchanged
    assert 303 == finished.status_code


async def test_foreign_parameters_harm_no_install() -> None:
    """What links of campaigns add, in any number and encoding, is left out on both paths."""
    fake = FakeWix()
    added = "&".join(["utm_campaign=caf%E9", "note=%0a", *(f"utm_{n}=x" for n in range(25))])
    async with running(fake) as app:
        browser = Browser(app)
        begun = await browser.http.get(f"{INSTALL}?{added}&token={fake.install_token()}")
        finished = await browser.http.get(f"{fake.approve(begun.headers['Location'])}&{added}")

    assert (303, 303) == (begun.status_code, finished.status_code)
    assert 1 == len(fake.installed)
