"""Reading our own cookies: foreign cookies of a browser cost nothing, and count for nothing."""

from __future__ import annotations

import http.cookies
import sys
from types import FrameType
from typing import Any

import pytest

from tests.handshake.handshaking import (
    ACCESS,
    Answer,
    ask,
    begin,
    broken,
    cookies_of,
    cookies_set,
    split_url,
)
from tests.support import Browser, running
from wix_asgi.asgi.cookies import Cookies, read_cookies
from wix_asgi.testing import FakeWix

INSTALL = "/wix/install"
PREFIX = "__Host-wix-"
KILOBYTE = 1024


def quoted(size: int) -> bytes:
    """Return a cookie of some `size` bytes that takes long to unquote."""
    return b'other="' + b'\\"' * (size // 2) + b'"'


def steps(line: bytes) -> int:
    """Count the calls that reading this header takes, those of built-in functions included."""
    counted = 0

    def count(frame: FrameType, _event: str, _arg: object) -> None:
        nonlocal counted
        counted += frame.f_code.co_filename == read_cookies.__code__.co_filename

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read_cookies([(b"cookie", line)], PREFIX)
    finally:
        sys.setprofile(before)
    return counted


async def come_back(app: Any, url: str, *lines: bytes) -> Answer:
    """Load the callback with these Cookie headers."""
    path, query = split_url(url)
    return await ask(app, path, query, headers=[(b"cookie", line) for line in lines])


async def test_other_cookies_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cookie of 200 kB that is quoted reaches no parser, on either path (R14, CVE-2024-7592)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        line = quoted(200 * KILOBYTE) + b"; " + cookies_of(browser)[0][1]
        monkeypatch.setattr(http.cookies, "_unquote", broken)
        monkeypatch.setattr("starlette.requests.cookie_parser", broken)
        begun = await ask(app, INSTALL, headers=[(b"cookie", line)])
        finished = await come_back(app, url, line)

    assert (303, 303) == (begun.status, finished.status)


def test_length_of_a_cookie_costs_nothing() -> None:
    """Reading our cookies takes the same few steps beside a foreign cookie of any length (R14)."""
    assert steps(quoted(2)) == steps(quoted(100 * KILOBYTE)) == steps(quoted(200 * KILOBYTE))


@pytest.mark.parametrize("name", [b"a", b"a" + PREFIX.encode(), PREFIX.encode()])
@pytest.mark.parametrize("is_one", [True, False])
def test_number_of_cookies_costs_nothing(name: bytes, is_one: bool) -> None:
    """Beyond a few hundred cookies no further one takes a step, of one name or of several (R51)."""
    pairs = [name + (b"" if is_one else b"%d" % number) + b"=value" for number in range(8000)]
    few, many = (steps(b"; ".join(pairs[:count])) for count in (500, 8000))

    assert few == many


@pytest.mark.parametrize("unit", [b"a=b;", b"__Host-wix-a=b;", b"x__Host-wix-a=b;", b" ", b";"])
def test_bytes_of_cookies_are_bounded(unit: bytes) -> None:
    """A flow whose cookie stands behind 256 kB of cookies is not found, and costs no step (R51)."""
    ours = b"; __Host-wix-0123456789abcdef=ours"
    line = unit * (5_000_000 // len(unit)) + ours

    assert "__Host-wix-0123456789abcdef" not in read_cookies([(b"cookie", line)], PREFIX)
    assert steps(unit * 100_000) == steps(line)


def test_bytes_of_cookies_are_bounded_over_all_headers() -> None:
    """Cookies in headers of their own are read up to the same bytes, and to a thousand (R51)."""
    large = (b"cookie", b"a" * 1024)
    ours = (b"cookie", b"__Host-wix-a=1")
    other = (b"x-other", b"")

    assert ["__Host-wix-a"] == list(read_cookies([*[large] * 255, ours], PREFIX))
    assert [] == list(read_cookies([*[large] * 256, ours], PREFIX))
    assert ["__Host-wix-a"] == list(read_cookies([*[other] * 999, ours], PREFIX))
    assert [] == list(read_cookies([*[other] * 1000, ours], PREFIX))


async def test_a_browser_full_of_cookies_is_known() -> None:
    """180 cookies of the app's, as many as a browser keeps, do not hide the cookie of a flow."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        pairs = [b"app-%d=%b" % (number, b"x" * 1024) for number in range(180)]
        answer = await come_back(app, url, b"; ".join([*pairs, cookies_of(browser)[0][1]]))

    assert 303 == answer.status


def test_values_are_as_they_were_sent() -> None:
    """Names are exact, values are taken as they are, and nothing of other cookies is kept."""
    headers = [
        (b"host", b"__Host-wix-h=1"),
        (b"cookie", b'__Host-wix-a="1\\"";other=2;  __Host-wix-b=3=4 ;\t__Host-wix-a=;;='),
        (b"cookie", b"__host-wix-a=5; x__Host-wix-a=6; __Host-wix-c; __Host-wix-b=\xe9"),
    ]
    found = read_cookies(headers, PREFIX)

    assert {
        "__Host-wix-a": ['"1\\""', ""],
        "__Host-wix-b": ["3=4", "\u00e9"],
        "__Host-wix-c": [""],
    } == {name: found[name] for name in found}
    assert ["__Host-wix-a", "__Host-wix-b", "__Host-wix-c"] == list(found)


def test_repr_shows_no_value() -> None:
    """A traceback with locals shows the number of cookies, and no value (R35)."""
    assert "<Cookies of 1>" == repr(Cookies({"name": ["test-cookie-value"]}))


@pytest.mark.parametrize(
    "template", [(b"%b; %b",), (b"%b", b"%b")], ids=["one header", "two headers"]
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_second_cookie_of_the_name_keeps_nobody_out(
    template: tuple[bytes, ...], is_first: bool
) -> None:
    """A cookie that a neighbouring host set beside ours changes nothing, in either order (R2)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        ours = cookies_of(browser)[0][1]
        tossed = ours.partition(b"=")[0] + b"=set-by-somebody-else"
        pairs = (ours, tossed) if is_first else (tossed, ours)
        lines = (b"\n".join(template) % pairs).split(b"\n")
        answer = await come_back(app, url, *lines)

    assert (303, 1) == (answer.status, fake.count(ACCESS))


async def test_no_number_of_wrong_cookies_binds() -> None:
    """Five hundred guessed values under the right name are refused (R2)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        (name,) = browser.http.cookies
        line = "; ".join(f"{name}=guess-{number}" for number in range(500))
        answer = await come_back(app, url, line.encode())

    assert (403, 0) == (answer.status, fake.count(ACCESS))


@pytest.mark.parametrize("before", [b"\xa0", b"\x85", b"\x0b", b"\x0c", b"\x1f", b"\xe2\x80\x80"])
async def test_what_only_looks_like_the_prefix_is_not_ours(before: bytes) -> None:
    """A cookie whose name has other white space before `__Host-` is refused (R27)."""
    fake = FakeWix()
    async with running(fake) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        answer = await come_back(app, url, before + cookies_of(browser)[0][1])

    assert (403, 0) == (answer.status, fake.count(ACCESS))


async def test_pending_installs_are_counted_over_all_headers() -> None:
    """Over HTTP/2 cookies may come in headers of their own; the oldest is dropped all the same."""
    names = [f"{PREFIX}{number:016x}" for number in range(16)]
    async with running(FakeWix()) as app:
        headers = [(b"cookie", f"{name}=value".encode()) for name in names]
        answer = await ask(app, INSTALL, headers=headers)
    dropped, begun = cookies_set(answer)

    assert (names[0], "0") == (dropped.name, dropped.attributes["Max-Age"])
    assert "600" == begun.attributes["Max-Age"]
