from __future__ import annotations

import pytest

from wix_asgi._http import httpx
from wix_asgi.transport.origins import origin_of

URL = "https://www.example.com/path?query"


@pytest.mark.parametrize(
    "same",
    ["https://www.example.com", "HTTPS://WWW.EXAMPLE.COM/", "https://www.example.com:443/other"],
)
def test_urls_of_one_origin(same: str) -> None:
    """Path, query, letter case and the default port make no other origin (RFC 9110, 4.3.1)."""
    assert origin_of(httpx.URL(URL)) == origin_of(httpx.URL(same))


@pytest.mark.parametrize(
    "other",
    ["http://www.example.com/", "https://example.com/", "https://www.example.com:444/"],
)
def test_urls_of_different_origins(other: str) -> None:
    """Another scheme, host or port makes another origin."""
    assert origin_of(httpx.URL(URL)) != origin_of(httpx.URL(other))
