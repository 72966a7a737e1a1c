"""What tests of OAuth share: a transport that answers as it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from wix_asgi._http import httpx
from wix_asgi.errors import WixError

CANARY = "canary-code-or-token-0123456789"


class Answers(httpx.AsyncBaseTransport):
    """Answers with what it was given, the last of it for ever; an exception is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        secret = self.remember(request)  # in a frame of the transport, as in httpcore's
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert secret
        return answer

    def remember(self, request: httpx.Request) -> bytes:
        """Note the request, and return its body."""
        self.requests.append(request)
        self.bodies.append(request.content)
        return request.content


async def fails(work: Callable[[], Awaitable[object]]) -> WixError:
    """Return what `work` raises."""
    with pytest.raises(WixError) as caught:
        await work()
    return caught.value
