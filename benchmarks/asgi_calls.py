"""Requests to an ASGI app in this process, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Scope

__all__ = ["Answer", "call"]


@dataclass(slots=True)
class Answer:
    """The answer to one request."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all headers of this name, which is in small letters."""
        return [value for key, value in self.headers if key.lower() == name]


async def call(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    query: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    body: bytes = b"",
) -> Answer:
    """Send one request.

    Raises:
        RuntimeError: It was not answered, or as an error other than 503.
    """
    answer = Answer()
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"app.example.com"), *headers],
        "client": ("127.0.0.1", 50_000),
        "server": ("app.example.com", 443),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])

    await app(scope, receive, send)
    if not 200 <= answer.status < 400 and answer.status != 503:
        raise RuntimeError(f"{method} {path} was answered {answer.status}")
    return answer
