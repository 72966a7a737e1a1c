"""Uploads that are sent again: whole and the same, or not at all."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.client.clients import API, client_under, installed
from wix_asgi import WixClient
from wix_asgi._http import httpx
from wix_asgi.client.policy import CallPolicy
from wix_asgi.testing import FakeWix

CONTENT = bytes(range(256)) * 1000


class Uploads(httpx.AsyncBaseTransport):
    """Leads to a fake Wix, and keeps the bodies of all calls but those for tokens.

    `before_answer` is called when a body was read, and before the answer is made.
    """

    def __init__(self, *statuses: int) -> None:
        self.fake = FakeWix(url=API)
        self.bodies: list[bytes] = []
        self.statuses = [*statuses]
        self.before_answer: Callable[[], object] = lambda: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path in {"/oauth/access", "/oauth2/token-info"}:
            return await self.fake.transport.handle_async_request(request)
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self.bodies.append(b"".join([chunk async for chunk in request.stream]))
        self.before_answer()
        status = self.statuses.pop(0) if self.statuses else 200
        return httpx.Response(status, headers={"Retry-After": "1"})


@asynccontextmanager
async def uploading(
    uploads: Uploads, sleep: Callable[[float], Awaitable[None]]
) -> AsyncIterator[WixClient]:
    """Run a Wix that is installed on the first site, with a client for it."""
    async with installed(uploads.fake, transport=uploads) as (wix, _):
        yield client_under(CallPolicy(), wix, uploads, sleep)


async def no_time(seconds: float) -> None:
    """Wait for no time."""


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> BinaryIO:
    """Return an open file, of which a part was read."""
    path = tmp_path / "picture.png"
    path.write_bytes(CONTENT)
    file = path.open("rb")
    file.read(1000)
    return file


@pytest.mark.parametrize(("method", "status"), [("POST", 401), ("PUT", 503), ("PUT", 429)])
async def test_an_upload_is_sent_again(file: BinaryIO, method: str, status: int) -> None:
    """After a 401, and where Wix asks for a wait, the whole upload is sent again."""
    uploads = Uploads(status)
    with file:
        async with uploading(uploads, no_time) as client:
            answer = await client.request(
                method,
                "/x",
                data={"a": "b"},
                files={"f": file, "g": io.BytesIO(CONTENT), "h": b"h"},
            )

    assert 200 == answer.status_code
    first, second = uploads.bodies
    assert first == second
    assert 2 == first.count(CONTENT)


@pytest.mark.parametrize("status", [401, 503])
async def test_an_upload_of_a_closed_file_is_not_sent_again(file: BinaryIO, status: int) -> None:
    """A file that was closed meanwhile cannot be read again: the answer is Wix's first one."""
    uploads = Uploads(status)
    uploads.before_answer = file.close
    async with uploading(uploads, no_time) as client:
        answer = await client.put("/x", files={"f": file})

    assert status == answer.status_code
    assert 1 == len(uploads.bodies)


async def test_a_file_may_be_closed_during_the_wait(file: BinaryIO) -> None:
    """A file that is closed while the call waits for Wix is not sent again."""
    uploads = Uploads(503)

    async def closing(seconds: float) -> None:
        file.close()

    async with uploading(uploads, closing) as client:
        answer = await client.put("/x", files={"f": file})

    assert 503 == answer.status_code
    assert 1 == len(uploads.bodies)


async def test_an_upload_that_grew_is_not_sent_again(file: BinaryIO, tmp_path: Path) -> None:
    """A file that was written to meanwhile is another body, and its length would be wrong."""
    uploads = Uploads(401)
    uploads.before_answer = lambda: (tmp_path / "picture.png").write_bytes(CONTENT * 2)
    with file:
        async with uploading(uploads, no_time) as client:
            answer = await client.post("/x", files={"f": file})

    assert 401 == answer.status_code
    assert 1 == len(uploads.bodies)
