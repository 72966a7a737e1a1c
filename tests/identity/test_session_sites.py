"""Sessions of several sites in one browser: a request is about one of them, or about none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.handshake.handshaking import cookies_set
from tests.identity.visiting import NOBODY, OTHER, PREFIX, SAME, installed, opened, outcome, visited
from tests.support import SITE, Browser
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

CASES = {
    "no name": ({}, {}, NOBODY),
    "the header": ({"Wix-Site": SITE}, {}, SITE),
    "the header of the other": ({"Wix-Site": OTHER}, {}, OTHER),
    "the query": ({}, {"wix_site": OTHER}, OTHER),
    "both": ({"Wix-Site": OTHER}, {"wix_site": OTHER}, OTHER),
    "two names": ({"Wix-Site": SITE}, {"wix_site": OTHER}, NOBODY),
    "two names in the query": ({}, {"wix_site": [SITE, OTHER]}, NOBODY),
    "an unknown name": ({"Wix-Site": "site-9"}, {}, NOBODY),
    "an empty name": ({}, {"wix_site": ""}, NOBODY),
    "another spelling": ({"Wix-Site": SITE.upper()}, {}, NOBODY),
}
"""By case: headers and parameters of a request, and its outcome with the sessions of two sites."""


@pytest.mark.parametrize(("headers", "params", "expected"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_two_tabs_of_two_sites_never_mix(
    fake: FakeWix,
    headers: dict[str, str],
    params: dict[str, str | list[str]],
    expected: object,
    method: str,
) -> None:
    """Where there are two sessions the request names its site, or nobody is calling (R59)."""
    async with visited(fake) as app:
        browser = await installed(app, fake, SITE, OTHER)
        await opened(browser, fake, SITE)
        await opened(browser, fake, OTHER)
        answer = await browser.http.request(
            method, "/who", headers={**SAME, **headers}, params=params
        )

    assert expected == outcome(answer)


@pytest.mark.parametrize(
    ("named", "expected"), [(None, SITE), (SITE, SITE), (OTHER, NOBODY), ("", SITE)]
)
async def test_one_session_needs_no_name(
    fake: FakeWix, named: str | None, expected: object
) -> None:
    """A request that names another site than that of the only session is nobody's (R59)."""
    async with visited(fake) as app:
        browser = await installed(app, fake, SITE, OTHER)
        await opened(browser, fake)
        headers = {} if named is None else {"Wix-Site": named}
        answer = await browser.http.get("/who", headers=headers)

    assert expected == outcome(answer)


async def test_each_site_has_a_cookie_of_its_own(fake: FakeWix) -> None:
    """Opening another site's dashboard leaves the session of the first in place (R59)."""
    async with visited(fake) as app:
        browser = await installed(app, fake, SITE, OTHER)
        names = [(await opened(browser, fake, site)).name for site in (SITE, OTHER, SITE)]
        jar = {*browser.http.cookies}

    assert names[0] == names[2] != names[1]
    assert {*names} == jar


async def test_apps_on_one_host_have_cookies_of_their_own(fake: FakeWix) -> None:
    """Browsers send cookies to all ports of a host: the session of another app counts for none."""
    theirs = FakeWix(app_id="another-app-id")
    async with visited(fake) as app, visited(theirs) as other:
        browser = await installed(app, fake)
        beside = await installed(other, theirs)
        cookie = await opened(browser, fake)
        others = await opened(beside, theirs)
        browser.http.cookies.set(others.name, others.value, domain="app.example.com")
        answers = [
            await browser.http.get("/who"),
            await Browser(other, cookies=browser.http.cookies).http.get("/who"),
        ]

    assert cookie.name[: len(PREFIX) + 8] != others.name[: len(PREFIX) + 8]
    assert [SITE, SITE] == [outcome(answer) for answer in answers]


async def test_the_oldest_session_of_too_many_is_cleared() -> None:
    """A browser has eight sessions of one app: a ninth ends the oldest of them (R51)."""
    sites = {f"site-{number}": f"Site {number}" for number in range(10)}
    fake = FakeWix(sites=sites)
    cleared = []
    async with visited(fake) as app:
        browser = await installed(app, fake, *sites)
        for site in sites:
            url = httpx.QueryParams({"instance": fake.signed_instance(site)})
            answer = await browser.http.get("/who", params=url)
            cleared.append(
                [each.name for each in cookies_set(answer) if each.attributes["Max-Age"] == "0"]
            )
        left = [
            outcome(await browser.http.get("/who", headers={"Wix-Site": site})) for site in sites
        ]

    assert [0] * 8 + [1, 1] == [len(names) for names in cleared]
    assert [NOBODY] * 2 + list(sites)[2:] == left


async def test_an_install_clears_the_oldest_session_as_well() -> None:
    """The answers to installs are bounded as those to instances are."""
    sites = {f"site-{number}": f"Site {number}" for number in range(10)}
    fake = FakeWix(sites=sites)
    async with visited(fake) as app:
        browser = Browser(app)
        for site in sites:
            await browser.install(fake, site)
        kept = [name for name in browser.http.cookies if name.startswith(PREFIX)]

    assert 8 == len(kept)


async def test_a_tab_whose_session_has_ended_is_never_the_other_sites(fake: FakeWix) -> None:
    """Its cookie counts while it is sent, so that a request without a name is nobody's (R59)."""
    old = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    async with visited(fake, instance_max_age=0) as app:
        browser = await installed(app, fake)
        await opened(browser, fake, signDate=old)
    async with visited(fake) as app:
        await installed(app, fake, SITE, OTHER)
        browser = Browser(app, cookies=browser.http.cookies)
        await opened(browser, fake, OTHER)
        answers = [
            await browser.http.post("/who", headers={**SAME, **named})
            for named in ({}, {"Wix-Site": SITE}, {"Wix-Site": OTHER})
        ]

    assert [NOBODY, NOBODY, OTHER] == [outcome(answer) for answer in answers]


async def test_a_page_without_a_session_is_never_the_other_sites(fake: FakeWix) -> None:
    """A site that is not installed gets a mark, so that its tab uses no other session (R59)."""
    async with visited(fake, recover=False) as app:
        browser = await installed(app, fake)
        await opened(browser, fake)
        shown = await browser.http.get("/plain", params={"instance": fake.signed_instance(OTHER)})
        answers = [
            await browser.http.post("/who", headers={**SAME, **named})
            for named in ({}, {"Wix-Site": OTHER}, {"Wix-Site": SITE})
        ]

    assert ["none"] == [cookie.value for cookie in cookies_set(shown)]
    assert [NOBODY, NOBODY, SITE] == [outcome(answer) for answer in answers]


async def test_ended_sessions_go_first(fake: FakeWix) -> None:
    """Above the bound the cookies that open nothing are cleared, so that they fill no header."""
    async with visited(fake) as app:
        browser = await installed(app, fake, SITE, OTHER)
        living = await opened(browser, fake)
        for number in range(7):
            browser.http.cookies.set(f"{living.name[:-16]}{number:016x}", "over")
        params = {"instance": fake.signed_instance(OTHER)}
        begun, gone = cookies_set(await browser.http.get("/who", params=params))

    assert ("0", "") == (gone.attributes["Max-Age"], gone.value)
    assert {"Path", "Secure", "HttpOnly", "SameSite", "Partitioned", "Max-Age"} == {
        *gone.attributes
    }
    assert "86400" == begun.attributes["Max-Age"]


async def test_another_page_plants_no_session(fake: FakeWix) -> None:
    """An address with an instance that a foreign page loads as a picture begins none (R59)."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        answer = await browser.http.get(
            "/plain",
            params={"instance": fake.signed_instance(SITE)},
            headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        )

    assert [] == cookies_set(answer)


async def test_the_newest_of_two_values_counts(fake: FakeWix) -> None:
    """A browser may send two cookies of one name, such as one with a partition and one without."""
    async with visited(fake) as app:
        browser = await installed(app, fake)
        cookies = [await opened(Browser(app), fake, uid=str(number)) for number in (1, 2)]
        header = "; ".join(f"{cookie.name}={cookie.value}" for cookie in reversed(cookies))
        answer = await browser.http.get("/who", headers={"Cookie": header})

    assert "2" == answer.json()["user"]
