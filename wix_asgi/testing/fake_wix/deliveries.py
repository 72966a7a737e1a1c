"""The deliveries of a fake Wix: one by one, several copies at once, and again after a failure."""

from __future__ import annotations

import inspect
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, TypeAlias
from wsgiref.types import WSGIApplication

import anyio
from starlette.types import ASGIApp

from wix_asgi._http import httpx
from wix_asgi.frameworks.wsgi import WixWSGIMiddleware
from wix_asgi.middleware import WixMiddleware
from wix_asgi.testing.fake_wix._wsgi import WSGITransport, wsgi_middleware_of
from wix_asgi.testing.fake_wix.events import FakeEvent

__all__ = [
    "ANSWER_SECONDS",
    "REPEAT_PAUSES",
    "WEBHOOK_PATH",
    "Delivery",
    "Repeat",
    "Repeats",
    "Target",
    "post",
]

ANSWER_SECONDS: Final = 1.25
"""Seconds within which an endpoint must answer 200 (Wix, "Webhook Resend Policy")."""

_MINUTE, _HOUR = 60.0, 3600.0

REPEAT_PAUSES: Final = (
    _MINUTE,
    10 * _MINUTE,
    _HOUR,
    *[2 * _HOUR] * 3,
    *[4 * _HOUR] * 3,
    *[8 * _HOUR] * 2,
    12 * _HOUR,
)
"""Seconds from each failure to the next attempt (as above): 12 attempts over 47 h 11 min."""

WEBHOOK_PATH: Final = "/wix/webhook"
"""The path of an endpoint where nothing tells another: the default of `webhook_path`."""

Target: TypeAlias = str | ASGIApp | WSGIApplication
"""The URL of an endpoint or of an app on a port, or an ASGI or WSGI app in this process."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to deliver one event; the token is left out of its repr.

    Attributes:
        event: The event, with its token.
        attempt: 1, and one more for each repetition after a failure.
        sent_at: The moment by the fake's clock, in seconds since the epoch.
        seconds: The time until the answer, by the fake's clock.
        status: The status of the answer; 0 where there was none.
    """

    event: FakeEvent
    attempt: int
    sent_at: float
    seconds: float
    status: int

    @property
    def event_type(self) -> str:
        """Wix's word for the kind of event."""
        return self.event.event_type

    @property
    def instance_id(self) -> str:
        """The installation that the event is about."""
        return self.event.instance_id

    @property
    def is_failure(self) -> bool:
        """Whether Wix would send it again: the answer was late, or not 200."""
        return self.status != 200 or self.seconds > ANSWER_SECONDS


@dataclass(frozen=True, slots=True)
class Repeat:
    """An event whose last attempt has failed: the next attempt, and its moment."""

    event: FakeEvent
    target: Target
    path: str | None
    attempt: int
    due_at: float


class Repeats:
    """Events to be sent again, by Wix's schedule; safe to be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Repeat] = []

    def add(self, failed: Repeat, failed_at: float) -> None:
        """Schedule the attempt after this one, unless it was the last."""
        if failed.attempt > len(REPEAT_PAUSES):
            return
        due_at = failed_at + REPEAT_PAUSES[failed.attempt - 1]
        with self._lock:
            self._waiting.append(replace(failed, attempt=failed.attempt + 1, due_at=due_at))

    def take(self, now: float) -> list[Repeat]:
        """Remove and return the repeats that are due, in order of their moments."""
        with self._lock:
            due = [repeat for repeat in self._waiting if repeat.due_at <= now]
            self._waiting = [repeat for repeat in self._waiting if repeat.due_at > now]
        return sorted(due, key=lambda repeat: repeat.due_at)

    def next_at(self) -> float | None:
        """Return the moment of the next repeat, or None."""
        with self._lock:
            return min((repeat.due_at for repeat in self._waiting), default=None)


async def post(
    target: Target, path: str | None, body: bytes, headers: Mapping[str, str], seconds: float
) -> httpx.Response:
    """Send one request as Wix does, and return the answer of any status, within `seconds`.

    Raises:
        httpx.TransportError: There is no answer.
        TypeError: The target is none.
    """
    url, transport = _reach(target, path)
    async with httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as http:
        try:
            with anyio.fail_after(seconds):
                return await http.post(
                    url, content=body, headers={"content-type": "text/plain", **headers}
                )
        except TimeoutError as exc:
            raise httpx.ReadTimeout("no answer in time") from exc


def _reach(target: Target, path: str | None) -> tuple[str, httpx.AsyncBaseTransport]:
    if isinstance(target, str):
        url = httpx.URL(target)
        if path is not None or url.path == "/":
            url = url.copy_with(path=path or WEBHOOK_PATH)
        return str(url), httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)
    app: Any = target
    if _is_asgi(app):
        # Wix sees a 500 of an app that raises, no exception.
        asgi = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        return _address(app, path), asgi
    return _address(wsgi_middleware_of(app), path), WSGITransport(app)


def _is_asgi(app: Callable[..., object]) -> bool:
    """Whether it takes the three arguments of ASGI; a WSGI app takes two (PEP 3333)."""
    try:
        inspect.signature(app).bind(None, None, None)
    except TypeError:
        return False
    return True


@cache
def _tls() -> ssl.SSLContext:
    # Loading the certificates takes 35 ms, which each event would pay.
    return httpx.create_ssl_context(trust_env=False)


def _address(app: object, path: str | None) -> str:
    if path is None and isinstance(app, WixMiddleware | WixWSGIMiddleware):
        path = getattr(app.wix.settings, "webhook_path", None)
    return f"https://app.example.com{path or WEBHOOK_PATH}"
