"""The headers of our pages."""

from __future__ import annotations

import pytest

from wix_asgi.pages.headers import frame_ancestors


@pytest.mark.parametrize(
    ("wix_url", "allowed"),
    [
        ("https://www.wix.com", "https://www.wix.com"),
        ("https://wix.example:8443", "https://wix.example:8443"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001 http://localhost:8001"),
        ("http://localhost", "http://127.0.0.1 http://localhost"),
        ("http://[::1]:8001", "http://127.0.0.1:8001 http://localhost:8001"),
    ],
)
def test_wix_may_show_a_page(wix_url: str, allowed: str) -> None:
    """The dashboard of a fake Wix is under another name of loopback than its address."""
    assert f"frame-ancestors https://*.wix.com {allowed}" == frame_ancestors(wix_url)
