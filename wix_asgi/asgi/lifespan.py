"""The lifespan around an app's own: first to open, last to close, also for apps without one."""

from __future__ import annotations

import logging
from typing import Protocol

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wix_asgi.errors import WixError

__all__ = ["Lifespan", "refuse_startup"]

logger = logging.getLogger("wix_asgi")


class _Resource(Protocol):
    """The resource that is opened before the app starts and closed after it has stopped."""

    is_open: bool

    async def open(self) -> None: ...

    async def stop_work(self) -> None: ...

    async def aclose(self) -> None: ...


class Lifespan:
    """One lifespan of one app, which starts after the resource is open and stops before it closes.

    For an app without a lifespan (it raises, or returns at once) the server's messages are
    answered here. A resource that was open before stays open afterwards.
    """

    def __init__(self, app: ASGIApp, resource: _Resource) -> None:
        """Run `app` with `resource` open around it."""
        self._app = app
        self._resource = resource
        self._is_ours = not resource.is_open
        self._startup: list[Message] = []
        self._started = self._stopping = self._over = False

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the server's lifespan messages.

        Raises:
            Exception: The error of opening, after the server was told; errors of the inner app.
        """
        self._startup.append(await receive())
        try:
            await self._resource.open()
        except Exception as exc:
            if not isinstance(exc, WixError):
                # The message of a WixError says all, and the server prints it.
                logger.exception("wix-asgi cannot start")
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            # As Starlette does: a test client waits for the app to end.
            raise
        try:
            await self._run_inner(scope, receive, send)
        finally:
            await self._close()
        if not self._over:
            await send({"type": "lifespan.shutdown.complete"})

    async def _run_inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, self._replaying(receive), self._watching(send))
        except Exception:
            if self._started or self._over:
                raise
            logger.debug("the app has no lifespan of its own", exc_info=True)
        if self._over:
            return
        if not self._started:
            await send({"type": "lifespan.startup.complete"})
        if not self._stopping:
            await receive()

    def _replaying(self, receive: Receive) -> Receive:
        async def replay() -> Message:
            if self._startup:
                return self._startup.pop()
            message = await receive()
            self._stopping = True
            if self._is_ours:
                # Before the app's own shutdown: its handlers use its database.
                await self._resource.stop_work()
            return message

        return replay

    def _watching(self, send: Send) -> Send:
        async def watch(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._started = True
            else:
                self._over = True
                await self._close()
            await send(message)

        return watch

    async def _close(self) -> None:
        if self._is_ours:
            with anyio.CancelScope(shield=True):
                await self._resource.aclose()


async def refuse_startup(error: Exception, receive: Receive, send: Send) -> None:
    """Tell the server not to start, and why.

    Raises:
        Exception: `error` itself, after the server was told.
    """
    await receive()
    await send({"type": "lifespan.startup.failed", "message": str(error)})
    # Raised at every start: the frames of an earlier one are dropped, and nothing is hidden.
    raise error.with_traceback(None)
