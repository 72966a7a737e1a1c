"""An app under a real Sentry, in a process of its own: Sentry patches other packages for good.

Run as `python -m tests.trackers.scenes`, it plays every scene twice, with Sentry's defaults and
with `attach_stacktrace`. Of each it prints a line of JSON: the events that Sentry would have sent,
and the secrets that were good at that moment.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn

import sentry_sdk
from fastapi import FastAPI
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from tests.processes.apps import Secrets
from tests.support import PUBLIC_URL, SITE, StepByStep, make_wix
from tests.trackers.recording import recording_sentry
from wix_asgi import Wix, WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import EventRecord, Record
from wix_asgi.testing import FakeWix
from wix_asgi.wix import WixOptions

VISITOR: Final = "a-name-of-a-visitor"
"""Personal data in an event. Far from their use: Sentry shows the lines around a frame."""


class Failing(StepByStep):
    """A storage with one step that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: str = ""
        self.error: Exception = RuntimeError("the storage broke for a test")

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        self._reach("claim")
        return await super().claim(name, owner, ttl)

    async def put(self, record: Record) -> None:
        self._reach("put")
        await super().put(record)

    async def add(self, record: Record) -> bool:
        self._reach("put")
        return await super().add(record)

    async def add_event(self, record: EventRecord) -> bool:
        self._reach("add_event")
        return await super().add_event(record)

    def _reach(self, step: str) -> None:
        if step == self.failing:
            raise self.error


class Wire(httpx.AsyncBaseTransport):
    """A way to Wix that can be cut, in a frame that holds all of the request."""

    def __init__(self, fake: FakeWix) -> None:
        self._transport = fake.transport
        self.secrets = Secrets()
        self.cut: Exception | None = None
        self.cut_body: Exception | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = dict(request.headers)
        body = (await request.aread()).decode()
        self._note(headers, body)
        if self.cut is not None:
            raise self.cut
        response = await self._transport.handle_async_request(request)
        if self.cut_body is not None:
            response.stream = CutBody(headers, self.cut_body)
        return response

    def _note(self, headers: dict[str, str], body: str) -> None:
        sent = json.loads(body) if body.startswith("{") else {}
        fields = ("client_secret", "code", "refresh_token", "token")
        self.secrets.values |= {sent[name] for name in fields if name in sent}
        if "authorization" in headers:
            self.secrets.values.add(headers["authorization"])


class CutBody(httpx.AsyncByteStream):
    """A body that breaks, in a frame that holds the headers of its request."""

    def __init__(self, headers: dict[str, str], error: Exception) -> None:
        self._headers = headers
        self._error = error

    def __aiter__(self) -> CutBody:
        return self

    async def __anext__(self) -> bytes:
        headers = dict(self._headers)
        del headers["host"]
        raise self._error

    async def aclose(self) -> None:
        """Have nothing to close."""


class Stage:
    """One app with its fake Wix, its storage and a browser, behind Sentry."""

    def __init__(self) -> None:
        self.fake = FakeWix()
        self.wire = Wire(self.fake)
        self.secrets = self.wire.secrets
        self.secrets.values.add(self.fake.app_secret)
        self.storage = Failing()
        self.fails_to_send = False
        self.wix: Wix

    async def play(self, scene: Callable[[Stage], Awaitable[httpx.Response]]) -> Stage:
        """Play a scene; return the stage after it."""
        options: WixOptions = {"storage": self.storage, "transport": self.wire}
        options.update(HOOKS.get(scene, {}))
        self.wix = make_wix(self.fake, **options)
        api = FastAPI()

        @api.get("/call")
        async def call() -> Any:
            of_the_app = "a local of the app"
            answer = await self.wix.client(SITE).get("/echo")
            return of_the_app, answer.json()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def passing(message: Message) -> None:
                if self.fails_to_send and message["type"] == "http.response.start":
                    raise OSError("the client is gone")
                await send(message)

            await WixMiddleware(api, self.wix)(scope, receive, passing)

        transport = httpx.ASGITransport(SentryAsgiMiddleware(app), raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL)
        async with self.wix, client as self.http:
            self.status = (await scene(self)).status_code
        return self

    def tell(self, scene: str, sent: list[dict[str, Any]]) -> None:
        """Print the scene, its status, its secrets and the `sent` events, as one line."""
        told = {
            "scene": scene,
            "status": self.status,
            "sent": sent,
            "secrets": sorted(self.secrets.values),
        }
        sys.stdout.write(f"{json.dumps(told)}\n")

    async def begin(self) -> str:
        """Begin an install and approve it; return the address of the callback."""
        token = self.fake.install_token(SITE)
        begun = await self.http.get("/wix/install", params={"token": token})
        callback = self.fake.approve(begun.headers["Location"], instance_id=SITE)
        self.secrets.values |= {token, *self.http.cookies.values()}
        self.secrets.note(callback, "code", "state")
        return callback

    async def install(self) -> httpx.Response:
        """Install the app; return the answer of the callback."""
        return await self.http.get(await self.begin())

    async def send_event(self) -> httpx.Response:
        """Install the app, and have Wix send an event with personal data."""
        await self.install()
        self.event = self.fake.make_event("AppInstalled", SITE, {"name": VISITOR})
        self.secrets.values |= {self.event.token, self.event.data["name"]}
        # A stream, since the frames of the client would hold bytes.
        return await self.http.post("/wix/webhook", content=self._body())

    async def _body(self) -> AsyncIterator[bytes]:
        yield self.event.token.encode()

    async def call(self) -> httpx.Response:
        """Install the app, and have it call Wix."""
        return await self.http.get("/call")


def failing_install(installation: object, request: Request) -> NoReturn:
    """Fail, as an app's hook does."""
    of_the_app = f"a local of the app: {request.query_params['instanceId']}"
    raise ValueError(f"a bug of the app at {installation!r:.0}{of_the_app:.0}")


def failing_error(refusal: object, request: Request) -> NoReturn:
    """Fail, as an app's hook does."""
    of_the_app = f"a local of the app: {request.url.path}"
    raise ValueError(f"a bug of the app at {refusal!r:.0}{of_the_app:.0}")


async def hook_of_installs_raises(stage: Stage) -> httpx.Response:
    """The app's hook has a bug."""
    return await stage.install()


async def hook_of_errors_raises(stage: Stage) -> httpx.Response:
    """The app's other hook has a bug, when the code is good and the storage is down."""
    stage.storage.failing, stage.storage.error = "claim", StorageUnavailable("down for a test")
    return await stage.install()


async def storage_breaks_before_the_exchange(stage: Stage) -> httpx.Response:
    """The storage raises an error that nobody expects, and the code stays good."""
    stage.storage.failing = "claim"
    return await stage.install()


async def storage_breaks_behind_the_exchange(stage: Stage) -> httpx.Response:
    """The storage raises an error that nobody expects, with the tokens in hand."""
    stage.storage.failing = "put"
    return await stage.install()


async def storage_is_down(stage: Stage) -> httpx.Response:
    """The storage is down, and the code stays good."""
    stage.storage.failing, stage.storage.error = "claim", StorageUnavailable("down for a test")
    return await stage.install()


async def wix_is_down(stage: Stage) -> httpx.Response:
    """Wix is down, and the code stays good."""
    callback = await stage.begin()
    stage.wire.cut = httpx.ConnectError("down for a test")
    return await stage.http.get(callback)


async def exchange_breaks(stage: Stage) -> httpx.Response:
    """The way to Wix raises an error that nobody expects."""
    callback = await stage.begin()
    stage.wire.cut = RuntimeError("the way to Wix broke for a test")
    return await stage.http.get(callback)


async def answer_is_not_sent(stage: Stage) -> httpx.Response:
    """The server raises where it is given the answer, whose address holds an access token."""
    callback = await stage.begin()
    stage.fails_to_send = True
    return await stage.http.get(callback)


async def call_breaks(stage: Stage) -> httpx.Response:
    """A call of the app ends on its way to Wix, and the app does not catch it."""
    await stage.install()
    stage.wire.cut = httpx.ConnectError("the way to Wix broke for a test")
    return await stage.call()


async def call_breaks_unexpectedly(stage: Stage) -> httpx.Response:
    """The transport of the app has a bug."""
    await stage.install()
    stage.wire.cut = RuntimeError("the way to Wix broke for a test")
    return await stage.call()


async def answer_to_a_call_breaks(stage: Stage) -> httpx.Response:
    """The answer to a call ends half-way, and the app does not catch it."""
    await stage.install()
    stage.wire.cut_body = httpx.ReadError("the answer broke for a test")
    return await stage.call()


async def refresh_breaks(stage: Stage) -> httpx.Response:
    """No token can be had, and the app does not catch it."""
    await stage.install()
    stage.fake.expire_access_tokens(SITE)
    stage.fake.fail("/oauth/access", status=500, times=None)
    return await stage.call()


async def event_breaks_the_storage(stage: Stage) -> httpx.Response:
    """The storage raises where an event is to be kept."""
    stage.storage.failing = "add_event"
    return await stage.send_event()


async def event_is_not_kept(stage: Stage) -> httpx.Response:
    """The storage is down when an event comes."""
    stage.storage.failing, stage.storage.error = "add_event", StorageUnavailable("down for a test")
    return await stage.send_event()


async def app_logs_a_secret(stage: Stage) -> httpx.Response:
    """The app itself shows a code: the search of the test finds it."""
    callback = await stage.begin()
    logging.getLogger("an.app").error("%s", callback)
    return await stage.http.get(callback)


HOOKS: dict[object, WixOptions] = {
    hook_of_installs_raises: {"on_install": failing_install},
    hook_of_errors_raises: {"on_error": failing_error},
}
SCENES = (
    hook_of_installs_raises,
    hook_of_errors_raises,
    storage_breaks_before_the_exchange,
    storage_breaks_behind_the_exchange,
    storage_is_down,
    wix_is_down,
    exchange_breaks,
    answer_is_not_sent,
    call_breaks,
    call_breaks_unexpectedly,
    answer_to_a_call_breaks,
    refresh_breaks,
    event_breaks_the_storage,
    event_is_not_kept,
    app_logs_a_secret,
)


def main() -> None:
    """Play all scenes; print a line for each, with all that Sentry was given."""
    for attach_stacktrace in (False, True):
        for scene in SCENES:
            with recording_sentry(attach_stacktrace=attach_stacktrace) as sent:
                # Nothing is held here: Sentry shows the locals of this frame as well.
                outcome = asyncio.run(Stage().play(scene))
                sentry_sdk.flush()
            outcome.tell(scene.__name__, sent)


if __name__ == "__main__":
    main()
