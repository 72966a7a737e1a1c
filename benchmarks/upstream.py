"""A small HTTP/1.1 server for the benchmarks, in a process of its own.

`GET /<milliseconds>` is answered after that time, `GET /` at once, always with the same 13 bytes.
It also answers the questions of an install, for whichever installation id the request names: the
exchange and the refresh, Wix's token-info, and Slack's `oauth.v2.access` and `auth.test`.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["APP", "SECRET", "TOKEN", "upstream"]

APP: Final = "benchmark-app"
SECRET: Final = "benchmark-app-secret-0123456789"  # noqa: S105 - of nothing

TOKEN: Final = "OauthNG.JWS." + "x" * 1188
"""An access token of 1.2 kB, as long as those that were seen of Wix."""

_ID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_NOBODY: Final = b"00000000-0000-0000-0000-000000000000"


def _head(length: int) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length
    )


_ANSWER: Final = _head(13) + b'{"ok":"true"}'


def _grant(found: str) -> dict[str, object]:
    return {
        "access_token": f"OauthNG.JWS.{found}.{'x' * 1151}",
        "refresh_token": f"OAUTH2.{found}.{'x' * 500}",
        "token_type": "Bearer",
    }


def _token_info(found: str) -> dict[str, object]:
    return {"active": True, "subjectType": "APP", "clientId": APP, "instanceId": found}


def _slack_grant(found: str) -> dict[str, object]:
    return {
        "ok": True,
        "app_id": "A1",
        "scope": "chat:write",
        "token_type": "bot",
        # Bolt's table has 200 characters for it.
        "access_token": f"xoxb-{found}-{'x' * 20}",
        "bot_user_id": "U1",
        "team": {"id": found[:32], "name": "team"},
        "authed_user": {"id": "U2"},
    }


def _slack_test(_found: str) -> dict[str, object]:
    return {"ok": True, "url": "https://x.slack.com/", "team_id": "T1", "bot_id": "B1"}


_POSTS: Final = {
    b"/oauth/access": _grant,
    b"/oauth2/token-info": _token_info,
    b"/api/oauth.v2.access": _slack_grant,
    b"/api/auth.test": _slack_test,
}


class _Upstream(asyncio.Protocol):
    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is TCP
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return
            body, self._received = rest[:size], rest[size:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        delay, answer = self._delay, _ANSWER
        if method == b"GET":
            delay = int(path[1:] or b"0") / 1000
        else:
            found = _ID.search(body) or _ID.search(head)
            made = _POSTS[path]((found[0] if found else _NOBODY).decode())
            content = json.dumps(made).encode()
            answer = _head(len(content)) + content
        if delay:
            asyncio.get_running_loop().call_later(delay, self._write, answer)
        else:
            self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Upstream(delay), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def upstream(milliseconds: int = 0) -> Iterator[str]:
    """Run the server while the block runs; its base URL. It answers a POST after that time."""
    command = [sys.executable, __file__, str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]) / 1000))
