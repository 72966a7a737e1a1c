"""The pages of installs for the person in front: the language, the app's name, and the cause."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import ACCESS, app_of, ask, begin, call_back
from tests.support import Browser, make_wix, running
from wix_asgi._http import httpx
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.testing import FakeWix

GERMAN = {"Accept": "text/html", "Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
OF_THE_APP: Any = {"app_name": "Shop Sync", "support_url": "https://example.com/help"}


def headers_of(answer: httpx.Response) -> tuple[str | None, str | None]:
    """Return the headers that tell of the choice."""
    return answer.headers.get("Content-Language"), answer.headers.get("Vary")


@pytest.mark.parametrize("path", ["/wix/install", "/wix/callback"])
async def test_refusal_is_in_the_language_of_the_browser(path: str) -> None:
    """The page is in the first language of `Accept-Language` that we have, and says which."""
    async with running(FakeWix(), **OF_THE_APP) as app:
        answer = await Browser(app).http.get(f"{path}?token=a&token=b", headers=GERMAN)

    assert ("de", "Accept, Accept-Language") == headers_of(answer)
    assert '<html lang="de" dir="ltr">' in answer.text
    assert "Dieser Link ist unvollständig" in answer.text
    assert "Shop Sync" in answer.text
    assert 'href="https://example.com/help"' in answer.text


async def test_json_is_in_english() -> None:
    """A program gets the same text in whatever language its browser is."""
    headers = {**GERMAN, "Accept": "application/json"}
    async with running(FakeWix()) as app:
        answer = await Browser(app).http.get("/wix/callback", headers=headers)

    assert (None, "Accept, Accept-Language") == headers_of(answer)
    assert "Open the app in the Wix App Market" in answer.json()["message"]


async def test_redirect_says_nothing_of_languages() -> None:
    """The begin of an install is the same for everybody."""
    async with running(FakeWix()) as app:
        answer = await ask(app, "/wix/install")

    assert (303, None, None) == (
        answer.status,
        answer.one("Vary"),
        answer.one("Content-Language"),
    )


async def test_finishing_page_is_in_the_language_of_the_browser() -> None:
    """The page of an install that goes on is a page like all others."""
    fake, storage = FakeWix(), FlakyStorage()
    async with make_wix(fake, storage=storage, **OF_THE_APP) as wix:
        browser = Browser(app_of(wix, fake, policy=CallbackPolicy(answer_wait=0, retry_pause=0.01)))
        url = await begin(browser, fake)
        storage.down = {"put"}
        answer = await call_back(browser, url, headers=GERMAN)
        storage.down = set()

    assert 202 == answer.status_code
    assert ("de", "Accept, Accept-Language") == headers_of(answer)
    assert "Ihre Installation wird abgeschlossen" in answer.text
    assert '<a href="">Neu laden</a>' in answer.text


async def test_wrong_secret_is_told_as_the_developers_task() -> None:
    """Where Wix refuses the app's credentials, a site owner is not sent round in circles."""
    fake = FakeWix()
    async with running(fake, app_secret="test-app-secret-of-others") as app:
        browser = Browser(app)
        answer = await browser.http.get(await begin(browser, fake), headers={"Accept": "text/html"})

    assert 502 == answer.status_code
    assert "developer has to correct its settings" in answer.text
    assert "exchange_rejected" in answer.text


@pytest.mark.parametrize(("kind", "is_unsent"), [("refuse", True), ("drop", False)])
async def test_try_again_is_said_where_the_code_is_unspent(kind: Any, is_unsent: bool) -> None:
    """After a lost answer the code is spent: the page does not say to load it again."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        fake.fail(ACCESS, kind=kind, times=None)
        answer = await browser.http.get(url, headers={"Accept": "text/html"})
        fake.heal()
        again = await browser.http.get(url)

    assert (503, is_unsent) == (answer.status_code, '<a href="">Try again</a>' in answer.text)
    assert is_unsent == ("load this page again" in answer.text)
    assert is_unsent == (303 == again.status_code)
