"""Headers and queries of any size, at both paths: a little is read, and a little is answered."""

from __future__ import annotations

import pytest

from tests.handshake.handshaking import Answer, ask, begin, cookies_of, cookies_set, split_url
from tests.support import Browser, running
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")

INSTALL = "/wix/install"
CALLBACK = "/wix/callback"
PREFIX = "__Host-wix-"
LARGE = 5_000_000
_LARGEST_ANSWER = 32 * 1024


def size_of(answer: Answer) -> int:
    """Return the bytes of an answer, with those of its headers."""
    return len(answer.body) + sum(len(name + value) for name, value in answer.headers)


async def test_cookies_named_as_ours_make_no_large_answer() -> None:
    """5 MB of cookies with names like ours are answered with the clearing of sixteen (R51)."""
    number = LARGE // 30
    line = b";".join(b"__Host-wix-%016x=x" % number for number in range(number))
    async with running(FakeWix()) as app:
        answer = await ask(app, INSTALL, headers=[(b"cookie", line)])
    cookies = cookies_set(answer)

    assert 303 == answer.status
    assert [f"{PREFIX}{number:016x}" for number in range(16)] == [c.name for c in cookies[:-1]]
    assert size_of(answer) < 4096


@pytest.mark.parametrize(
    ("template", "expected"), [("Slackbot %s", 400), ("%s Slackbot", 303)], ids=["first", "last"]
)
async def test_the_beginning_of_a_user_agent_is_read(template: str, expected: int) -> None:
    """Of 5 MB of User-Agent, the first kilobyte tells a bot from a person (R23, R51)."""
    value = (template % ("x" * LARGE)).encode()
    async with running(FakeWix()) as app:
        answer = await ask(app, INSTALL, headers=[(b"user-agent", value)])

    assert expected == answer.status


@pytest.mark.parametrize(
    ("template", "expected"),
    [("application/json,%s", "application/json"), ("%s,application/json", "text/html")],
    ids=["first", "last"],
)
async def test_the_beginning_of_accept_is_read(template: str, expected: str) -> None:
    """Of 5 MB of Accept, the first kilobyte tells how a refusal is shown (R51)."""
    value = (template % ("x" * LARGE)).encode()
    async with running(FakeWix()) as app:
        answer = await ask(app, CALLBACK, headers=[(b"accept", value)])

    assert (answer.one("Content-Type") or "").startswith(expected)


@pytest.mark.parametrize("path", [INSTALL, CALLBACK])
@pytest.mark.parametrize(
    "query",
    [
        b"token=" + b"{" * 4096,
        b"token=" + b"%F0%9F%98%80" * 1300,
        b"state=" + b"%F0%9F%98%80" * 1300,
        b"code=" + b"x" * 8192,
        b"&" * LARGE,
        b"%41" * LARGE,
    ],
    ids=["token", "escaped token", "escaped state", "code", "parameters", "escapes"],
)
async def test_no_query_makes_a_large_answer(path: str, query: bytes) -> None:
    """However long a query is, its answer has under 32 kB (R51)."""
    async with running(FakeWix()) as app:
        answer = await ask(app, path, query)

    assert size_of(answer) < _LARGEST_ANSWER


async def test_large_headers_cost_no_honest_install() -> None:
    """An install goes through beside headers of any number and size behind the browser's (R51)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        path, query = split_url(await begin(browser, fake))
        foreign = [(b"x-large", b"x" * LARGE), *[(b"x-small", b"")] * 10_000]
        answer = await ask(app, path, query, headers=[*cookies_of(browser), *foreign])

    assert 303 == answer.status
