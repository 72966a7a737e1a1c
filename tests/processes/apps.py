"""An app under uvicorn beside a fake Wix, and the browsers that use the two."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.processes.stamped import WORKER
from tests.servers import Server, environment, free_port, serving, uvicorn
from tests.support import SITE
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix
from wix_asgi.testing.fake_wix.deliveries import Target

__all__ = ["APP", "App", "Secrets", "at_once", "delivered", "running"]

T = TypeVar("T")

APP: Final = "tests.processes.stamped:app"
_LOGGING: Final = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
}
# One for all: making them is slow, and nothing here is encrypted.
_SSL: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Secrets:
    """The secrets that nobody but the browser and Wix may see."""

    def __init__(self) -> None:
        self.values: set[str] = set()

    def note(self, url: str, *names: str) -> None:
        """Note parameters of a URL."""
        query = parse_qs(urlsplit(url).query)
        self.values |= {value for name in names for value in query.get(name, [])}

    def note_calls(self, fake: FakeWix) -> None:
        """Note every credential that was sent to Wix."""
        for call in fake.calls:
            body = call.json if isinstance(call.json, dict) else {}
            fields = ("client_secret", "code", "refresh_token", "token")
            self.values |= {body[name] for name in fields if name in body}
            if token := call.headers.get("authorization"):
                self.values.add(token)

    def found_in(self, data: bytes) -> list[str]:
        """Return the last letters of the secrets that are in `data`."""
        return sorted(value[-8:] for value in self.values if value.encode() in data)


@dataclass
class App:
    """An app that runs, and the secrets that were sent to it in a test."""

    server: Server
    url: str
    fake: FakeWix
    secrets: Secrets = field(default_factory=Secrets)

    def browser(self) -> httpx.AsyncClient:
        """Return a browser with cookies of its own, and any number of connections."""
        return httpx.AsyncClient(
            base_url=self.url,
            verify=_SSL,
            limits=httpx.Limits(max_connections=None),
            timeout=PATIENCE,
            trust_env=False,
        )

    async def begin(self, http: httpx.AsyncClient, site: str) -> str:
        """Begin an install and approve it; return the address of the callback."""
        token = self.fake.install_token(site)
        begun = await http.get("/wix/install", params={"token": token})
        assert 303 == begun.status_code, begun.text
        callback = self.fake.approve(begun.headers["Location"])
        self.secrets.values |= {token, *http.cookies.values()}
        self.secrets.note(callback, "code", "state")
        return callback

    async def install(self, http: httpx.AsyncClient, site: str) -> httpx.Response:
        """Install the app; return the answer of the callback."""
        answer = await http.get(await self.begin(http, site))
        self.secrets.note(answer.headers.get("Location", ""), "access_token")
        return answer

    def opened_by(self, site: str) -> dict[str, str]:
        """Return the query with which Wix opens the app for this site."""
        signed = self.fake.signed_instance(site)
        self.secrets.values.add(signed)
        return {"instance": signed}

    @contextlib.asynccontextmanager
    async def spread(self, each: int, workers: int) -> AsyncIterator[list[httpx.AsyncClient]]:
        """Open `each` connections to each of the workers, as browsers of their own."""
        held: dict[str, list[httpx.AsyncClient]] = {}
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(100 * each):
                http = await stack.enter_async_context(self.browser())
                worker = (await http.get("/docs")).headers[WORKER]
                held.setdefault(worker, []).append(http)
                if len(held) == workers and min(map(len, held.values())) >= each:
                    break
            assert len(held) == workers
            yield [http for connections in held.values() for http in connections[:each]]


@contextlib.contextmanager
def running(
    fake: FakeWix,
    storage: str,
    *options: str,
    room: Path,
    workers: int = 1,
    port: int | None = None,
    log_level: str = "info",
    served: str = APP,
) -> Iterator[App]:
    """Run an app while a block runs; its log goes to its output, from `log_level` on."""
    port = port or free_port()
    log_config = room / "logging.json"
    root = {"level": log_level.upper(), "handlers": ["stderr"]}
    log_config.write_text(json.dumps({**_LOGGING, "root": root}))
    command = uvicorn(
        served, port, "--log-config", str(log_config), "--log-level", log_level, *options
    )
    command += ["--workers", str(workers), "--timeout-keep-alive", "60"]
    with serving(command, cwd=room, env=environment(fake, port, storage)) as server:
        server.accepts(port)
        if "off" not in options:
            server.printed("Application startup complete", workers)
        yield App(server, f"http://127.0.0.1:{port}", fake)


async def at_once(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Make all calls at the same moment; return their answers."""
    answers: list[T] = []

    async def one(call: Callable[[], Awaitable[T]]) -> None:
        answers.append(await call())

    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(one, call)
    return answers


async def delivered(fake: FakeWix, to: Target, event_type: str, site: str = SITE) -> None:
    """Deliver an event as Wix does, again and again: a busy machine answers late, or 503."""
    event = fake.make_event(event_type, site)
    with anyio.fail_after(PATIENCE):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await fake.deliver(to, event)).status_code == 200:
                    return
            await checkpoint()
