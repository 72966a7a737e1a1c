"""The install path: the redirect and the cookie of an install, and the requests that begin none."""

from __future__ import annotations

import itertools
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import ask, cookies_set, query_of, state_of, way_back
from tests.support import PUBLIC_URL, Browser, running
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")

INSTALL = "/wix/install"
REDIRECT_URL = f"{PUBLIC_URL}/wix/callback"
OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"

HOSTILE_TOKENS = [
    "a&redirectUrl=https://evil.example",
    "a%26redirectUrl%3Dhttps://evil.example",
    "a#fragment",
    "a?b=c&appId=other",
    "a;state=chosen",
    "a+b c/d=e",
    "%00%0d%0a",
    "%",
    "<script>alert(1)</script>",
    "\u2028\u202e\ufeff\U0001f600",
    "x" * 4096,
]

HOSTILE_HEADERS = [
    [(b"host", b"evil.example")],
    [(b"host", b"evil.example/x")],
    [(b"host", b"evil.example:99999")],
    [(b"host", b"app.example.com@evil.example")],
    [(b"host", b"evil[")],
    [(b"host", b"[::1")],
    [(b"host", b"")],
    [(b"host", b"\xff\xfe")],
    [],
    [(b"host", b"app.example.com"), (b"host", b"evil.example")],
    [(b"host", b"app.example.com"), (b"x-forwarded-host", b"evil.example")],
    [(b"host", b"app.example.com"), (b"x-forwarded-proto", b"http")],
    [(b"host", b"app.example.com"), (b"x-forwarded-prefix", b"/evil")],
    [(b"host", b"app.example.com"), (b"forwarded", b"host=evil.example;proto=http")],
    [(b"host", b"app.example.com"), (b"x-original-url", b"//evil.example")],
    [(b"x-forwarded-host", b"evil.example")],
]


@pytest.mark.flow("advanced")
async def test_install_leads_to_wix() -> None:
    """The browser is sent to Wix's installer with the token, the app, the way back and a state."""
    fake = FakeWix()
    token = fake.install_token()
    async with running(fake) as app:
        answer = await Browser(app).http.get(INSTALL, params={"token": token})
    location = answer.headers["Location"]

    assert 303 == answer.status_code
    assert location.startswith(f"{fake.url}/installer/install?")
    assert {
        "token": token,
        "appId": fake.app_id,
        "redirectUrl": REDIRECT_URL,
        "state": state_of(location),
    } == query_of(location)


async def test_mount_path_is_part_of_the_way_back() -> None:
    """The path at which the app is mounted comes from the public URL, and from nowhere else."""
    fake = FakeWix()
    async with running(fake, public_url=f"{PUBLIC_URL}/mounted") as app:
        answer = await ask(app, "/elsewhere/wix/install", root_path="/elsewhere")
    location = answer.one("Location") or ""

    assert f"{PUBLIC_URL}/mounted/wix/callback" == way_back(location)


async def test_states_are_distinct_and_long() -> None:
    """Every install has a state of its own, of 256 random bits and more (R1)."""
    fake = FakeWix()
    async with running(fake) as app:
        answers = [await ask(app, INSTALL) for _ in range(300)]
    states = {state_of(answer.one("Location") or "") for answer in answers}

    assert 300 == len(states)
    assert min(len(state) for state in states) >= 43


async def test_state_is_never_taken_from_the_request() -> None:
    """A state in the query of the install path goes nowhere (R1, R29)."""
    fake = FakeWix()
    async with running(fake) as app:
        answer = await ask(app, INSTALL, b"state=chosen-by-somebody-else&token=abc")

    assert "chosen-by-somebody-else" not in repr(answer)
    assert len(state_of(answer.one("Location") or "")) >= 43


@pytest.mark.parametrize("query", [b"", b"token=", b"token", b"utm_source=mail"])
async def test_install_begun_outside_wix(query: bytes) -> None:
    """Without a token the browser is sent to Wix without one, and can finish there (R12)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        begun = await browser.http.get(f"{INSTALL}?{query.decode()}")
        finished = await browser.http.get(
            fake.approve(begun.headers["Location"], instance_id=OTHER_SITE)
        )

    assert "token" not in query_of(begun.headers["Location"])
    assert 303 == finished.status_code
    assert {OTHER_SITE} == fake.installed


@pytest.mark.flow("advanced")
@pytest.mark.parametrize("token", HOSTILE_TOKENS, ids=ascii)
async def test_token_is_encoded_once(token: str) -> None:
    """From any token Wix reads that one token and our own parameters, and nothing else (R10)."""
    fake = FakeWix()
    async with running(fake) as app:
        answer = await ask(app, INSTALL, f"token={quote(token, safe='')}".encode())
    location = answer.one("Location") or ""
    read = parse_qsl(urlsplit(location).query, keep_blank_values=True, strict_parsing=True)

    assert location.isascii()
    assert not urlsplit(location).fragment
    assert [
        ("token", token),
        ("appId", fake.app_id),
        ("redirectUrl", REDIRECT_URL),
    ] == [pair for pair in read if pair[0] != "state"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (b"token=" + b"x" * 4097, 414),
        (b"token=a&token=b", 400),
        (b"token=a%0d%0aSet-Cookie:%20x=y", 400),
        (b"token=%00", 400),
        (b"token=%ff", 400),
        (b"token=\xff", 400),
        (b"a=" + b"x" * 17_000, 414),
    ],
    ids=lambda value: ascii(value)[:24],
)
async def test_malformed_query_begins_nothing(query: bytes, status: int) -> None:
    """A query out of bounds is refused, and no cookie is set (R10, R14)."""
    async with running(FakeWix()) as app:
        answer = await ask(app, INSTALL, query)

    assert status == answer.status
    assert not answer.all("Set-Cookie")
    assert answer.one("Location") is None


async def test_head_begins_nothing() -> None:
    """HEAD gets the headers of the path, and no state, cookie or body (R9)."""
    async with running(FakeWix()) as app:
        answer = await ask(app, INSTALL, b"token=abc", method="HEAD")

    assert (200, b"") == (answer.status, answer.body)
    assert answer.one("Location") is None
    assert not answer.all("Set-Cookie")
    assert "no-store" == answer.one("Cache-Control")


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "QUERY"]
)
async def test_other_methods_begin_nothing(method: str) -> None:
    """Other methods get 405, with the allowed ones in `Allow` (R9)."""
    async with running(FakeWix()) as app:
        answer = await ask(app, INSTALL, b"token=abc", method=method)

    assert 405 == answer.status
    assert "GET, HEAD" == answer.one("Allow")
    assert answer.one("Location") is None
    assert not answer.all("Set-Cookie")


@pytest.mark.parametrize("headers", HOSTILE_HEADERS, ids=repr)
async def test_host_changes_nothing(headers: list[tuple[bytes, bytes]]) -> None:
    """The redirect URL comes from settings: neither Host nor a proxy's header moves it (R11)."""
    fake = FakeWix()
    async with running(fake) as app:
        answer = await ask(app, INSTALL, b"token=abc", headers=headers, http_version="1.0")
    location = answer.one("Location") or ""

    assert "evil" not in repr(answer)
    assert fake.app_id == query_of(location)["appId"]
    assert fake.url == location.partition("/installer/")[0].partition("/app-installer")[0]
    assert REDIRECT_URL == way_back(location)


@pytest.mark.parametrize("headers", HOSTILE_HEADERS, ids=repr)
@pytest.mark.parametrize("path", [INSTALL, "/wix/callback"])
async def test_host_changes_no_refusal(headers: list[tuple[bytes, bytes]], path: str) -> None:
    """A refusal stays the same refusal under any Host (R11)."""
    async with running(FakeWix()) as app:
        answer = await ask(app, path, b"state=a&state=b", headers=headers)

    assert 400 == answer.status
    assert b"evil" not in answer.body


async def test_cookie_is_a_host_cookie() -> None:
    """No script can read the cookie, plain http does not send it, no sibling host sets it (R27)."""
    fake = FakeWix()
    async with running(fake, state_ttl=500) as app:
        (cookie,) = cookies_set(await ask(app, INSTALL))

    assert cookie.name.startswith("__Host-wix-")
    assert len(cookie.value) >= 43
    assert {
        "Max-Age": "500",
        "Path": "/",
        "Secure": "",
        "HttpOnly": "",
        "SameSite": "None",
        "Partitioned": "",
    } == cookie.attributes


async def test_cookie_on_loopback() -> None:
    """On plain http, which is this machine only, the cookie is sent and not Secure (R27)."""
    fake = FakeWix()
    url = "http://localhost:8000"
    async with running(fake, public_url=url) as app:
        browser = Browser(app, base_url=url)
        begun = await browser.http.get(INSTALL)
        finished = await browser.http.get(fake.approve(begun.headers["Location"]))
    (cookie,) = cookies_set(begun)
    (removed,) = cookies_set(finished)
    attributes = {"Path": "/", "HttpOnly": "", "SameSite": "Lax"}

    assert cookie.name.startswith("wix-")
    assert {"Max-Age": "600", **attributes} == cookie.attributes
    assert 303 == finished.status_code
    assert (removed.name, removed.value) == (cookie.name, "")
    assert {"Max-Age": "0", **attributes} == removed.attributes


async def test_cookie_is_unknown_to_wix() -> None:
    """The address at Wix does not hold the cookie's value, nor the cookie the state (R2)."""
    async with running(FakeWix()) as app:
        answer = await ask(app, INSTALL)
    (cookie,) = cookies_set(answer)
    location = answer.one("Location") or ""

    assert cookie.value not in location
    assert state_of(location) not in cookie.value


async def test_planted_cookie_is_not_adopted() -> None:
    """A planted cookie changes neither the name nor the value of ours (R29)."""
    planted = b"__Host-wix-0123456789abcdef=planted-by-somebody-else-0123456789"
    async with running(FakeWix()) as app:
        answer = await ask(app, INSTALL, headers=[(b"cookie", planted)])

    assert "planted-by-somebody-else" not in repr(answer)
    assert "__Host-wix-0123456789abcdef" not in repr(answer)


async def test_pending_installs_are_capped() -> None:
    """Of thirty unfinished installs in a browser the newest works, the oldest is forgotten (R7)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        begun = [await browser.begin(fake) for _ in range(30)]
        pending = len(browser.http.cookies)
        newest = await browser.http.get(fake.approve(begun[-1]))
        oldest = await browser.http.get(fake.approve(begun[0]))

    assert pending <= 16
    assert sum(map(len, browser.http.cookies)) <= 4096
    assert (303, 403) == (newest.status_code, oldest.status_code)


async def test_cookies_of_the_app_are_left_alone() -> None:
    """None of the app's own cookies is removed, even of similar names (R7)."""
    pairs = (
        f"{prefix}{number}=value"
        for prefix, number in itertools.product(("__Host-wix-theme", "wix-", "__Host-"), range(20))
    )
    async with running(FakeWix()) as app:
        answer = await ask(app, INSTALL, headers=[(b"cookie", "; ".join(pairs).encode())])

    assert 1 == len(cookies_set(answer))


async def test_begin_costs_nothing() -> None:
    """A visit to the install path asks neither the storage nor Wix (R8)."""
    storage = FlakyStorage()
    fake = FakeWix()
    async with running(fake, storage=storage) as app:
        storage.steps.clear()
        answer = await ask(app, INSTALL)

    assert 303 == answer.status
    assert ([], []) == (storage.steps, fake.calls)
