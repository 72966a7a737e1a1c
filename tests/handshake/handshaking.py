"""Helpers of the handshake's tests: raw requests, strict cookies, a storage that can be down."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from traceback import TracebackException
from typing import Any, NoReturn
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import anyio
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support import SITE, Browser
from wix_asgi import Wix
from wix_asgi._http import httpx
from wix_asgi.handshake.callback import MAX_EXCHANGES, Callback
from wix_asgi.handshake.install import Install
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.handshake.responses import Responses, make_pages
from wix_asgi.handshake.state import StateSigner
from wix_asgi.models import InstallFlow
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.testing import FakeWix

ACCESS = "/oauth/access"
TOKEN_INFO = "/oauth2/token-info"
CREDENTIALS = "/oauth2/token"
INSTANCE = "/apps/v1/instance"
CLOSE_WINDOW = "https://wix.example/installer/close-window?access_token="
JSON = {"Accept": "application/json"}


@dataclass(frozen=True)
class FlowUnderTest:
    """One of the flows, and the endpoints by which it proves an install.

    Attributes:
        grants: Where it gets the first token.
        proves: Where it asks whose token that is.
        proof: The parameter that an install is proved by.
        methods: The methods of ours that do so, by what they do.
    """

    name: InstallFlow
    grants: str
    proves: str
    proof: str
    methods: Mapping[str, str]

    @property
    def is_advanced(self) -> bool:
        """Whether the proof is a code, which is good once."""
        return self.name is InstallFlow.ADVANCED


FLOWS = [
    FlowUnderTest(
        InstallFlow.ADVANCED,
        ACCESS,
        TOKEN_INFO,
        "code",
        {"begin": "installer_url", "grant": "exchange", "prove": "token_info"},
    ),
    FlowUnderTest(
        InstallFlow.CLIENT_CREDENTIALS,
        CREDENTIALS,
        INSTANCE,
        "signedInstance",
        {"begin": "external_installer_url", "grant": "client_credentials", "prove": "app_instance"},
    ),
]


@dataclass(frozen=True)
class Answer:
    """The response of an ASGI app, byte for byte."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name.lower()]

    def one(self, name: str) -> str | None:
        """Return the value of a header that comes at most once."""
        values = self.all(name)
        assert len(values) <= 1, values
        return values[0] if values else None


async def ask(
    app: ASGIApp,
    path: str = "/wix/callback",
    query: bytes = b"",
    *,
    method: str = "GET",
    headers: Iterable[tuple[bytes, bytes]] = ((b"host", b"app.example.com"),),
    **scope: Any,
) -> Answer:
    """Ask `app` past every HTTP library: nothing is checked, encoded or logged on the way."""
    sent: list[Message] = []

    bodies: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not bodies:
            await anyio.sleep_forever()
        return bodies.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    request = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query,
        "headers": list(headers),
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        **scope,
    }
    await app(request, receive, send)
    fields = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return Answer(
        sent[0]["status"], fields, b"".join(message.get("body", b"") for message in sent[1:])
    )


def split_url(url: str) -> tuple[str, bytes]:
    """Return the path and the query of an address, as `ask` takes them."""
    parts = urlsplit(url)
    return parts.path, parts.query.encode()


@dataclass(frozen=True)
class Cookie:
    """One Set-Cookie header."""

    name: str
    value: str
    attributes: dict[str, str]

    @classmethod
    def parse(cls, header: str) -> Cookie:
        """Read a Set-Cookie strictly: known attributes only, each of them once."""
        assert re.fullmatch(r"[!-~]+( [A-Z][!-~]*)*", header), header
        first, *rest = header.split("; ")
        name, value = first.split("=")
        pairs = (part.partition("=") for part in rest)
        attributes = {key: text for key, _, text in pairs}
        assert len(rest) == len(attributes), header
        known = {"Max-Age", "Path", "Secure", "HttpOnly", "SameSite", "Partitioned"}
        assert set(attributes) <= known, header
        return cls(name, value, attributes)


def cookies_set(answer: httpx.Response | Answer) -> list[Cookie]:
    """Return the cookies that an answer sets or removes."""
    headers = (
        answer.all("Set-Cookie")
        if isinstance(answer, Answer)
        else answer.headers.get_list("Set-Cookie")
    )
    return [Cookie.parse(header) for header in headers]


def cookies_of(browser: Browser) -> list[tuple[bytes, bytes]]:
    """Return the header with all cookies of a browser, as `ask` takes it."""
    pairs = (f"{name}={value}" for name, value in browser.http.cookies.items())
    return [(b"cookie", "; ".join(pairs).encode())]


def query_of(url: str) -> dict[str, str]:
    """Return the parameters of an address, each of them once."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert len(pairs) == len(dict(pairs)), url
    return dict(pairs)


def state_of(url: str) -> str:
    """Return the state in an address, or in the address of the callback that is in it."""
    query = parse_qs(urlsplit(url).query)
    if "postInstallationUrl" in query:
        return state_of(query["postInstallationUrl"][0])
    return query["state"][0]


def way_back(location: str) -> str:
    """Return the callback's address in that of the installer, without a query."""
    query = query_of(location)
    return (query.get("redirectUrl") or query["postInstallationUrl"]).partition("?")[0]


def reason_of(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the reason of a refusal in JSON."""
    assert "Location" not in answer.headers
    return answer.status_code, answer.json()["error"]


async def begin(browser: Browser, fake: FakeWix, site: str = SITE) -> str:
    """Begin an install on a site and approve it; return the address of the callback."""
    return fake.approve(await browser.begin(fake, site), instance_id=site)


async def call_back(
    browser: Browser, url: str, *, headers: Mapping[str, str] = JSON
) -> httpx.Response:
    """Load the callback, as a client that asks for JSON."""
    return await browser.http.get(url, headers=headers)


class Load:
    """The load of one callback with the cookies that its browser has now, to be repeated."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._path, _ = split_url(url)
        self._parameters = query_of(url)
        self._cookies = cookies_of(browser)

    async def at(self, app: ASGIApp, **changed: str) -> Answer:
        """Load it at `app` with these parameters in the place of the true ones."""
        query = urlencode({**self._parameters, **changed})
        return await ask(app, self._path, query.encode(), headers=self._cookies)


class Line(httpx.AsyncBaseTransport):
    """The line to a fake Wix, on which requests wait until the test finds it cut, or mends it."""

    def __init__(self, fake: FakeWix) -> None:
        self.fake = fake
        self.reached = anyio.Event()
        self.found_cut = anyio.Event()
        self.is_mended = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.reached.set()
        if not self.is_mended:
            await self.found_cut.wait()
            raise httpx.ConnectError("cut", request=request)
        return await self.fake.transport.handle_async_request(request)


def app_of(
    wix: Wix,
    fake: FakeWix,
    *,
    clock: Callable[[], float] = time.time,
    max_exchanges: int = MAX_EXCHANGES,
    policy: CallbackPolicy | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> ASGIApp:
    """Return the handshake of `wix` at the usual paths, with other parts than the usual ones."""
    settings = wix.settings
    endpoints, signer = Endpoints(settings), StateSigner(settings, clock=clock)
    responses = Responses(settings, wix._hooks, make_pages(settings))
    install = Install(endpoints=endpoints, signer=signer, responses=responses, flow=settings.flow)
    callback = Callback(
        settings=settings,
        endpoints=endpoints,
        signer=signer,
        storage=wix.storage,
        installations=wix._installations,
        oauth=OAuthClient(endpoints, transport or fake.transport),
        tokens=wix._tokens,
        clients=wix.clients,
        detached=wix._detached,
        on_install=wix.handshake.on_install,
        responses=responses,
        max_exchanges=max_exchanges,
        policy=policy,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = install if scope["path"] == "/wix/install" else callback
        await path(scope, receive, send)

    return app


class Broken(Exception):
    """An error that no code of ours expects."""


def broken(*args: object, **kwargs: object) -> NoReturn:
    """Fail in a way that no code of ours expects."""
    del args, kwargs
    raise Broken("broken for a test")


def secrets_in(browser: Browser, url: str, fake: FakeWix) -> set[str]:
    """Return the secrets of this install, which must be in no log."""
    query = parse_qs(urlsplit(url).query)
    return {
        *query.get("code", []),
        *query.get("signedInstance", []),
        *query["state"],
        *browser.http.cookies.values(),
        fake.app_secret,
    }


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return all that a log handler can see of the records, locals of tracebacks included."""
    seen = [caplog.text]
    for record in caplog.records:
        seen.append(repr(record.__dict__))
        if record.exc_info and record.exc_info[1] is not None:
            seen += TracebackException.from_exception(
                record.exc_info[1], capture_locals=True
            ).format()
    return "".join(seen)


async def load_unlogged(app: Any, browser: Browser, url: str) -> Any:
    """Load `url` with no HTTP library on our side, which would log it."""
    path, query = split_url(url)
    return await ask(app, path, query, headers=cookies_of(browser))
