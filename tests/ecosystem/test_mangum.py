"""An install and a call under AWS Lambda, by Mangum without a lifespan."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from mangum import Mangum

from tests.support import PUBLIC_URL, SITE, make_app, make_wix
from wix_asgi import WixMiddleware
from wix_asgi.testing import FakeWix


def event(url: str, **headers: str) -> dict[str, Any]:
    """Return the event of a request to a function URL (payload format 2.0)."""
    parts = urlsplit(url)
    return {
        "version": "2.0",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": {"host": parts.netloc, "accept": "text/html", **headers},
        "requestContext": {
            "http": {"method": "GET", "path": parts.path, "sourceIp": "192.0.2.1"},
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }


def test_an_install_and_a_call_in_separate_invocations() -> None:
    """The storage is opened by the first request that needs it, and stays open for the next."""
    fake = FakeWix()
    handler = Mangum(WixMiddleware(make_app(), make_wix(fake)), lifespan="off")
    context: Any = None
    begun = handler(event(f"{PUBLIC_URL}/wix/install?token={fake.install_token(SITE)}"), context)
    (cookie,) = begun["cookies"]
    callback = fake.approve(begun["headers"]["location"])
    finished = handler(event(callback, cookie=cookie.partition(";")[0]), context)
    instance = fake.signed_instance(SITE)
    called = handler(event(f"{PUBLIC_URL}/echo?instance={instance}"), context)

    assert [303, 303, 200] == [each["statusCode"] for each in (begun, finished, called)]
    assert {SITE} == fake.installed
