"""Reaches a fake Wix in process: without sockets, and under every host name."""

from __future__ import annotations

import anyio
from starlette.types import ASGIApp

from wix_asgi._http import httpx
from wix_asgi.testing.fake_wix.faults import ConnectionLost

__all__ = ["InProcessTransport"]


class InProcessTransport(httpx.AsyncBaseTransport):
    """Calls an ASGI app as though over a connection: with read timeouts, and with lost answers.

    It holds no resources, so that it need not be closed, and any number of clients may share it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._transport = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            httpx.ConnectError: The app was told to refuse connections.
            httpx.RemoteProtocolError: The app was told to drop its answer.
            httpx.ReadTimeout: The app did not answer in time.
        """
        seconds = request.extensions.get("timeout", {}).get("read")
        try:
            with anyio.fail_after(seconds):
                return await self._transport.handle_async_request(request)
        except TimeoutError as exc:
            raise httpx.ReadTimeout("no answer in time", request=request) from exc
        except ConnectionLost as exc:
            if exc.unsent:
                raise httpx.ConnectError("connection refused", request=request) from exc
            raise httpx.RemoteProtocolError(
                "Server disconnected without sending a response.", request=request
            ) from exc
