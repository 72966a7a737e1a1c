"""A WSGI server in process, as the tests of WSGI apps call one."""

from __future__ import annotations

import io
import sys
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults

from tests.support import SITE
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

__all__ = ["Answer", "Site", "call"]


class Answer(NamedTuple):
    """The answer of a WSGI app, and the environment that it was called with."""

    status: int
    headers: httpx.Headers
    body: bytes
    environ: dict[str, Any]


def call(
    app: WSGIApplication,
    target: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    **environ: Any,
) -> Answer:
    """Call `app` as a WSGI server does (PEP 3333)."""
    url = urlsplit(target)
    given: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": url.path,
        "QUERY_STRING": url.query,
        "RAW_URI": f"{url.path}?{url.query}",
        "REMOTE_ADDR": "192.0.2.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **environ,
    }
    setup_testing_defaults(given)
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if started and exc_info:
            raise exc_info[1]
        started[:] = [status, headers]
        return sys.stdout.write

    parts = app(given, start_response)
    try:
        whole = b"".join(parts)
    finally:
        getattr(parts, "close", bool)()
    status, headers = started or ("0 no answer", [])
    return Answer(int(status.partition(" ")[0]), httpx.Headers(headers), whole, given)


class Site:
    """One site at the fake Wix, and its owner's browser in front of a WSGI app."""

    def __init__(self, app: WSGIApplication, fake: FakeWix, name: str = SITE) -> None:
        self.app = app
        self.fake = fake
        self.name = name

    def install(self) -> Answer:
        """Install the app on the site; return the answer of the callback."""
        begun = call(self.app, f"/wix/install?token={self.fake.install_token(self.name)}")
        assert 303 == begun.status, begun.body
        cookie = begun.headers["Set-Cookie"].partition(";")[0]
        callback = urlsplit(self.fake.approve(begun.headers["Location"], instance_id=self.name))
        return call(self.app, f"{callback.path}?{callback.query}", HTTP_COOKIE=cookie)

    def open(self, path: str, **environ: Any) -> Answer:
        """Open a page of the app as the site does."""
        signed = self.fake.signed_instance(self.name)
        return call(self.app, f"{path}?instance={signed}", **environ)
