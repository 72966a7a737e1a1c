"""A client does what an `httpx.AsyncClient` does with URLs, headers and cookies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import SITE, make_wix
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

WIX = make_wix(FakeWix())
BASES = ["https://www.wixapis.com", "https://host.example/deep/er", "https://h.example/a?b=c#d"]
URLS = [
    "/stores/v1/products",
    "/search?query=a b&c=%20d",
    "/a/../b",
    "/a//b",
    "/%2e%2e/x",
    "/x#y",
    "//other.example/x",
    "///x",
    "relative/x",
    "",
    "?a=b",
    "https://other.example/x",
    "/ü/\N{SNOWMAN}?ö=ä",
    "/a:b@c",
    "/[x]\\y",
]
TEXTS = st.one_of(
    st.sampled_from(URLS),
    st.text(st.sampled_from("/?#:@%.a2e[]\\ &=ü\x7f\n"), max_size=12).map(lambda text: f"/{text}"),
    st.text(max_size=20),
)


def url_of(client: httpx.AsyncClient, url: str) -> str:
    """Return the URL of a request, or the kind of the error."""
    try:
        return str(client.build_request("GET", url, params={"p": "1"} if "p" in url else None).url)
    except httpx.InvalidURL as exc:
        return type(exc).__name__


@given(base=st.sampled_from(BASES), url=TEXTS)
def test_urls_are_merged_as_by_httpx(base: str, url: str) -> None:
    """A URL, and a path behind the `base_url`, become what they become in httpx."""
    ours, theirs = WIX.client(SITE), httpx.AsyncClient(transport=httpx.AsyncBaseTransport())
    ours.base_url = theirs.base_url = httpx.URL(base)

    assert url_of(theirs, url) == url_of(ours, url)


@pytest.mark.parametrize(
    "headers", [{}, {"x-mine": "1"}, {"Accept": "a/b"}, [("x", "1"), ("x", "2")], None]
)
def test_headers_that_are_set_have_those_of_httpx_beside_them(headers: object) -> None:
    """Headers that replace those of a client leave the defaults of httpx, in its order."""
    ours, theirs = WIX.client(SITE), httpx.AsyncClient(transport=httpx.AsyncBaseTransport())
    for client in (ours, theirs):
        client.headers = headers  # type: ignore[assignment] # of each type that httpx takes

    assert theirs.headers.raw == ours.headers.raw


def test_the_headers_of_a_client_are_its_own() -> None:
    """A header that is set on one client is on no other."""
    one, other = WIX.client(SITE), WIX.client(SITE)
    one.headers["x-mine"] = "1"

    assert "x-mine" in one.headers
    assert "x-mine" not in other.headers
    assert "gzip, deflate" == other.headers["accept-encoding"]


@pytest.mark.parametrize("cookies", [{"mine": "1"}, [("mine", "1")], httpx.Cookies({"mine": "1"})])
def test_cookies_are_given_in_each_form_of_httpx(cookies: object) -> None:
    """Cookies that are set go with each request, and no cookie does without them."""
    client = WIX.client(SITE)
    before = client.build_request("GET", "/x").headers.get("cookie")
    client.cookies = cookies

    assert before is None
    assert "mine=1" == client.build_request("GET", "/x").headers["cookie"]
