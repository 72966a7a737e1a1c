"""The lifespan: the resource opens first and closes last, around apps of every kind."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.limits import PATIENCE
from wix_asgi import StorageUnavailable
from wix_asgi.asgi.lifespan import Lifespan

STARTUP = "lifespan.startup"
STARTED = "lifespan.startup.complete"
NOT_STARTED = "lifespan.startup.failed"
SHUTDOWN = "lifespan.shutdown"
STOPPED = "lifespan.shutdown.complete"
NOT_STOPPED = "lifespan.shutdown.failed"


@dataclass
class Resource:
    """A resource that notes in `events` when it is opened and closed."""

    events: list[str]
    is_open: bool = False
    error: Exception | None = None

    async def open(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.error:
            raise self.error
        if not self.is_open:
            self.events.append("open")
        self.is_open = True

    async def stop_work(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.events.append("stop work")

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.is_open:
            self.events.append("close")
        self.is_open = False


@dataclass
class Server:
    """A server that runs one lifespan, and notes all its events in order."""

    events: list[str] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with a resource that is closed."""
        self.resource = Resource(self.events)
        self.messages = [STARTUP, SHUTDOWN]
        self.started = anyio.Event()

    async def run(self, app: ASGIApp, **scope: Any) -> list[str]:
        """Run the lifespan of `app` to its end; return the events."""
        with anyio.fail_after(PATIENCE):
            lifespan = Lifespan(app, self.resource)
            await lifespan.run({"type": "lifespan", **scope}, self.receive, self.send)
        return self.events

    async def receive(self) -> Message:
        """Return the next message; the one to shut down after the start only."""
        if not self.messages:
            await anyio.sleep_forever()
        if self.messages[0] == SHUTDOWN:
            await self.started.wait()
        return {"type": self.messages.pop(0)}

    async def send(self, message: Message) -> None:
        """Take a message."""
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)
        self.events.append(message["type"])
        self.started.set()


@pytest.fixture
async def server(anyio_backend: str) -> Server:
    """Return a server with an app to run."""
    return Server()


App = Callable[[Receive, Send], Awaitable[None]]


def telling(events: list[str], app: App) -> ASGIApp:
    """Return an ASGI app that notes in `events` the messages it receives."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        async def note() -> Message:
            message = await receive()
            events.append(f"app: {message['type']}")
            return message

        await app(note, send)
        events.append("app: end")

    return call


async def complete(receive: Receive, send: Send) -> None:
    """Start and stop as ASGI says."""
    await receive()
    await send({"type": STARTED})
    await receive()
    await send({"type": STOPPED})


async def test_the_resource_opens_first_and_closes_last(server: Server) -> None:
    """The resource is open before the app starts, until the app has stopped (rules 1, 3)."""
    events = await server.run(telling(server.events, complete))

    assert [
        "open",
        f"app: {STARTUP}",
        STARTED,
        "stop work",
        f"app: {SHUTDOWN}",
        "close",
        STOPPED,
        "app: end",
    ] == events


async def test_app_without_a_lifespan_that_raises(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """For an app that raises on the scope, as Django does, the server is answered (rule 4)."""

    async def refuse(receive: Receive, send: Send) -> None:
        raise ValueError("lifespan is not supported")

    with caplog.at_level(logging.DEBUG, "wix_asgi"):
        events = await server.run(telling(server.events, refuse))

    assert ["open", STARTED, "close", STOPPED] == events
    assert [logging.DEBUG] == [record.levelno for record in caplog.records]


async def test_app_that_raises_before_it_has_started(server: Server) -> None:
    """An app that takes the first message and raises then has no lifespan either (rule 4)."""

    async def refuse(receive: Receive, send: Send) -> None:
        await receive()
        raise ValueError("what is this")

    events = await server.run(telling(server.events, refuse))

    assert ["open", f"app: {STARTUP}", STARTED, "close", STOPPED] == events


async def test_app_that_returns_at_once(server: Server) -> None:
    """An app that returns without sending a message has no lifespan either (rule 4)."""

    async def ignore(receive: Receive, send: Send) -> None:
        """Do nothing."""

    events = await server.run(telling(server.events, ignore))

    assert ["open", "app: end", STARTED, "close", STOPPED] == events


async def test_app_that_returns_after_its_start(server: Server) -> None:
    """For an app that starts and returns before the shutdown, the shutdown is answered."""

    async def start(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": STARTED})

    events = await server.run(telling(server.events, start))

    assert ["open", f"app: {STARTUP}", STARTED, "app: end", "close", STOPPED] == events


async def test_app_that_does_not_answer_the_shutdown(server: Server) -> None:
    """For an app that receives the shutdown and sends nothing, the shutdown is answered."""

    async def mute(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": STARTED})
        await receive()

    events = await server.run(telling(server.events, mute))

    assert ["close", STOPPED] == events[-2:]
    assert 1 == events.count(STOPPED)


async def test_app_that_fails_to_start(server: Server) -> None:
    """`startup.failed` goes to the server as it is, when the resource is closed (rule 3)."""

    async def fail(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": NOT_STARTED, "message": "no cache"})

    events = await server.run(telling(server.events, fail))

    assert ["open", f"app: {STARTUP}", "close", NOT_STARTED, "app: end"] == events
    assert [{"type": NOT_STARTED, "message": "no cache"}] == server.sent


async def test_app_that_fails_to_start_and_raises(server: Server) -> None:
    """An error raised after `startup.failed`, as Starlette does, goes through (rule 4)."""

    async def fail(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": NOT_STARTED, "message": "no cache"})
        raise ValueError("no cache")

    with pytest.raises(ValueError, match="no cache"):
        await server.run(telling(server.events, fail))

    assert ["open", f"app: {STARTUP}", "close", NOT_STARTED] == server.events


async def test_app_that_raises_while_it_runs(server: Server) -> None:
    """An error raised after the start goes through when the resource is closed (rule 4)."""

    async def fail(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": STARTED})
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await server.run(telling(server.events, fail))

    assert ["open", f"app: {STARTUP}", STARTED, "close"] == server.events


async def test_app_that_fails_to_stop(server: Server) -> None:
    """`shutdown.failed` goes to the server as it is, when the resource is closed (rule 3)."""

    async def fail(receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": STARTED})
        await receive()
        await send({"type": NOT_STOPPED, "message": "stuck"})

    events = await server.run(telling(server.events, fail))

    assert ["close", NOT_STOPPED, "app: end"] == events[-3:]
    assert {"type": NOT_STOPPED, "message": "stuck"} == server.sent[-1]


async def test_cancellation_closes(server: Server) -> None:
    """A server that cancels the lifespan leaves nothing open (rule 4)."""
    server.messages = [STARTUP]
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run, telling(server.events, complete))
            await server.started.wait()
            scope.cancel()

    assert scope.cancelled_caught
    assert ["open", f"app: {STARTUP}", STARTED, "close"] == server.events


async def test_an_open_resource_stays_open(server: Server) -> None:
    """A resource that was open before is left open: its opener closes it."""
    server.resource.is_open = True
    events = await server.run(telling(server.events, complete))

    assert server.resource.is_open
    assert "close" not in events
    assert STOPPED in events


@pytest.mark.parametrize(
    ("error", "is_logged"),
    [(StorageUnavailable("The test database is down."), False), (RuntimeError("A bug."), True)],
)
async def test_an_error_of_opening_stops_the_start(
    server: Server, error: Exception, is_logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The server does not start and prints why; a bug is logged with a traceback (rule 1)."""
    server.resource.error = error
    with pytest.raises(type(error)):
        await server.run(telling(server.events, complete))

    assert [NOT_STARTED] == server.events
    assert [{"type": NOT_STARTED, "message": str(error)}] == server.sent
    assert is_logged == ("Traceback" in caplog.text)


async def test_scope_is_the_servers(server: Server) -> None:
    """The app gets the scope as the server made it, its state included (R46)."""
    state: dict[str, Any] = {}
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        scope["state"]["mine"] = 1
        await complete(receive, send)

    await server.run(app, state=state)

    assert state is seen[0]["state"]
    assert {"mine": 1} == state
