"""The ways of an app to a fake Wix: in process, in the place of the real one, or on a port."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Self
from wsgiref.types import WSGIApplication

from starlette.types import ASGIApp, Receive, Scope, Send

from wix_asgi._http import httpx
from wix_asgi.sealing.public_keys import OptionalPublicKey
from wix_asgi.storage import Storage
from wix_asgi.testing.fake_wix._active import activated
from wix_asgi.testing.fake_wix._install_in_process import run_install, wix_of
from wix_asgi.testing.fake_wix._transport import InProcessTransport
from wix_asgi.testing.fake_wix._webhooks import Webhooks
from wix_asgi.testing.fake_wix.world import FakeSite
from wix_asgi.wix import Wix

__all__ = ["Reachable"]


class Reachable(Webhooks):
    """A fake Wix that apps of this process and of other processes can use."""

    @abstractmethod
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer over a connection."""

    @abstractmethod
    async def _in_process(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer in process; a lost connection is an error."""

    @cached_property
    def transport(self) -> httpx.AsyncBaseTransport:
        """A transport for httpx that reaches it in process under every host name.

        It may be shared, and need not be closed.
        """
        return InProcessTransport(self._in_process)

    def settings(self) -> dict[str, Any]:
        """Return the keywords with which `Wix` and `WixMiddleware` use this fake Wix.

        A `Storage` object without an inbox (`EventStorage`) has an app without webhooks.
        """
        return {
            "app_id": self.app_id,
            "app_secret": self.app_secret,
            "wix_url": self.url,
            "api_url": self.url,
            "public_key": OptionalPublicKey(self.public_key),
        }

    @contextlib.contextmanager
    def active(
        self, *, storage: str | Storage | None = None, public_url: str = "https://app.example.com"
    ) -> Iterator[Self]:
        """Be Wix for every `Wix` that is made in this process during a `with` block.

        That is also the one which `app.add_middleware(WixMiddleware)` makes from the environment.
        All of them have the settings of this fake, reach it in process, and share one storage in
        memory, which is lost at the end of the block: a storage URL of the app or in `WIX_STORAGE`
        is never opened. A `Wix` that was made in an earlier block goes on in this one, where
        app ID, secret, key and URL of both fakes are the same.

        At the end each of them that is open is closed: handlers under way are waited for, twenty
        seconds at most, and an `on_install` that is still owed is dropped. An app of the event loop
        that leaves the block closes in its next steps.

        A real `Wix` that was made before raises `SettingsError` when it is used.

        Args:
            storage: Another storage for all of them; `WIX_TEST_STORAGE` has the same effect.
            public_url: The public URL of apps that have none.
        """
        with activated(self.settings(), self.transport, storage=storage, public_url=public_url):
            yield self

    async def install(
        self, app: ASGIApp | WSGIApplication | Wix, site: str | FakeSite | None = None
    ) -> str:
        """Install an app on this site or the first site, and return its instance ID.

        The handshake of the app runs in process, with its hooks, in the flow of its settings.

        Args:
            app: A `Wix`, a `WixMiddleware`, an app of Starlette or FastAPI that has it added, a
                `WixWSGIMiddleware`, or an app of Flask with one around its `wsgi_app`.
            site: The instance ID, or a `FakeSite` that this fake Wix was made with.

        Raises:
            RuntimeError: The app refuses the install; the message has the title of its answer.
            TypeError: The app has no `Wix`.
            LookupError: The site does not exist.
        """
        wix, instance_id = wix_of(app), self.instance_id_of(site)
        await run_install(self, wix, instance_id, self.install_token(instance_id))
        return instance_id

    def serve(
        self, *, host: str = "127.0.0.1", port: int = 0
    ) -> contextlib.AbstractContextManager[str]:
        """Serve it from a thread during a `with` block, which receives the base URL.

        It needs uvicorn. During the block `url` is that base URL.
        """
        return self._serving(host, port)

    @contextlib.contextmanager
    def _serving(self, host: str, port: int) -> Iterator[str]:
        from wix_asgi.testing.fake_wix._serve import serve  # noqa: PLC0415 - uvicorn is needed only here

        before = self.url
        with serve(self, host, port) as url:
            self.url = url
            try:
                yield url
            finally:
                self.url = before
