"""Wix: one app's settings, storage, tokens and clients, opened and closed together."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Final, Self, Unpack

import anyio

from wix_asgi._addresses import log_addresses
from wix_asgi._frames import without_our_frames
from wix_asgi._http import httpx
from wix_asgi._registration import Registration
from wix_asgi._stand_in import close_with_stand_in, current, note_closed, refuse_outsider
from wix_asgi._wix_options import WixOptions
from wix_asgi.client.client import WixClient
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.concurrency.portal import close_with_portal
from wix_asgi.errors import SettingsError
from wix_asgi.hooks import Hooks
from wix_asgi.models import Finding, Identity, Installation
from wix_asgi.protocol.endpoints import FINISHED
from wix_asgi.sealing.public_keys import OptionalPublicKey
from wix_asgi.settings import WixSettings
from wix_asgi.storage import EventStorage, Storage, shortcomings
from wix_asgi.sync.sync_wix import SyncWix
from wix_asgi.webhooks.handlers import Handlers

__all__ = ["Wix", "WixOptions"]

logger = logging.getLogger("wix_asgi")

_SHUTDOWN_GRACE: Final = 10.0
"""Seconds that `aclose` waits for installs, refreshes and handlers under way, in all.

Most are over in one. Docker kills a container ten seconds after it was told to stop.
"""


class Wix(Registration):
    """One Wix app: its installations, and an authenticated client for each of them.

    Use it as `async with Wix() as wix:` in jobs, or hand it to `WixMiddleware`, which opens and
    closes it with the app. It may be opened again after it was closed. A `Storage` or a transport
    that was handed in stays its owner's to close.
    """

    def __init__(self, **options: Unpack[WixOptions]) -> None:
        """Take settings from keywords, then from `WIX_…` variables, then from defaults.

        Raises:
            SettingsError: Settings are wrong or missing; all are named at once.
            BackendNotFound: The driver of the storage is missing.
        """
        self._detached = DetachedTasks()
        self._stand_in = current()
        if self._stand_in is not None:
            self._stand_in.fill(options)
        hooks = Hooks(
            on_install=options.pop("on_install", None),
            on_uninstall=options.pop("on_uninstall", None),
            on_error=options.pop("on_error", None),
            detached=self._detached,
        )
        resolve = options.pop("resolve_identity", None)
        transport = options.pop("transport", None)
        self._given_transport = transport
        storage = options.pop("storage", None)
        self._given_storage = storage if isinstance(storage, Storage) else None
        if self._given_storage is None and storage is not None:
            # A URL; the settings refuse anything else.
            options["storage"] = storage
        has_inbox = storage is None or isinstance(storage, str | EventStorage)
        if isinstance(options.get("public_key"), OptionalPublicKey) and not has_inbox:
            del options["public_key"]
        try:
            self.settings = settings = WixSettings.load(**options)
        finally:
            # A traceback with locals shows no secret, and no password of a database.
            del options, storage
        self.storage = self._given_storage or settings.backend
        super().__init__(hooks, Handlers())
        # Here, since the parts with all that they need take a sixth of a second to load.
        from wix_asgi._assembly import assemble  # noqa: PLC0415

        parts = assemble(
            settings,
            self.storage,
            hooks,
            handlers=self._handlers,
            detached=self._detached,
            resolve=resolve,
            transport=transport,
            ready=self.open,
            is_ready=lambda: self.is_open,
        )
        self._pools = parts.pools
        self._installations = parts.installations
        self._oauth = parts.oauth
        self._tokens = parts.tokens
        self._only_one = parts.only_one
        self._removal = parts.removal
        self.clients: Final = parts.clients
        self.sessions: Final = parts.sessions
        self.handshake: Final = parts.handshake
        self.webhook: Final = parts.webhook
        self._worker = parts.worker
        self.sync: Final = SyncWix(self)
        self._closes_at = math.inf
        # A lock of another event loop cannot be waited for.
        self._opening = PerLoop(anyio.Lock)
        self.is_open = False
        # A job has no addresses to enter, so only a Wix of a middleware logs them.
        self.is_served = False

    def __repr__(self) -> str:
        # A traceback with locals may show a Wix whose __init__ has failed.
        settings = getattr(self, "settings", None)
        return f"<Wix app {settings.app_id}>" if settings else "<Wix, unfinished>"

    async def open(self) -> None:
        """Open the storage and make the pool ready, which its first use does too.

        Calling it again changes nothing.

        Raises:
            StorageUnavailable: The storage cannot be reached.
            SettingsError: A `FakeWix` is active, and this was made without it.
        """
        refuse_outsider(self._stand_in, is_real=self._given_transport is None)
        close_with_stand_in(self._stand_in, self, self._detached, grace=_SHUTDOWN_GRACE)
        if self.is_open:
            return
        async with self._opening.here():
            if self.is_open:
                return
            self.warm()
            await self._open_storage()
            self.is_open = True
            close_with_portal(self)
            if told := shortcomings(self.storage):
                # Its class alone: what a foreign repr shows is unknown.
                logger.warning("storage %s: %s", type(self.storage).__name__, " ".join(told))
            if self.is_served:
                log_addresses(self.settings, has_webhook=self.webhook is not None)
            self._closes_at = math.inf
            if self._worker is not None and self._takes_events:
                self._worker.start()

    def warm(self) -> None:
        """Load the network's part of httpx, and the trusted certificates, which `open` does too.

        A process that forks later loads them once for all. Under gevent's patches they cannot be
        loaded by the portal's thread, so that the sync side calls it in that of its caller.
        """
        for pool in self._pools:
            pool.warm()

    async def stop_work(self) -> None:
        """Take no more events, and end running handlers; the app's own shutdown comes after it.

        Running handlers get eight seconds, then they are cancelled and their events given back.
        """
        self._closes_at = min(self._closes_at, anyio.current_time() + _SHUTDOWN_GRACE)
        if self._worker is not None:
            with anyio.CancelScope(shield=True):
                await self._worker.stop()

    async def aclose(self) -> None:
        """Wait up to ten seconds for installs, refreshes and handlers under way, then close."""
        # A cancelled job closes its storage and connections, too.
        with anyio.CancelScope(shield=True):
            async with self._opening.here():
                if not self.is_open:
                    return
                # While it is open still: a handler calls Wix by its client.
                await self.stop_work()
                self.is_open = False
                await self._detached.aclose(max(0.0, self._closes_at - anyio.current_time()))
                for pool in self._pools:
                    await pool.aclose()
                await self._close_storage()
                note_closed(self)

    @property
    def _takes_events(self) -> bool:
        """Whether this process handles events without being asked to by `work_events`.

        A job without handlers does not, though the environment has a public key: it would end the
        events of others unhandled.
        """
        is_endpoint = self.is_served and self.webhook is not None
        return self.settings.webhooks == "run" and (is_endpoint or not self._handlers.is_empty)

    def _handler_added(self) -> None:
        if self.is_open and self._worker is not None and self._takes_events:
            self._worker.wake()

    async def _open_storage(self) -> None:
        try:
            await self.storage.open()
        except BaseException:
            # `aclose` does nothing for a Wix that is not open, so the storage is closed here.
            await self._close_storage()
            raise

    async def _close_storage(self) -> None:
        if self._given_storage is None:
            with anyio.CancelScope(shield=True):
                await self.storage.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def client(self, instance_id: str) -> WixClient:
        """Return an authenticated client for this installation; it needs no closing."""
        return self.clients.for_instance(instance_id)

    async def identify(self, value: str | None) -> Identity:
        """Return the caller whom a proof of Wix names: a signed instance, or an access token.

        It is the value of `Authorization`, with `Bearer` or without, or the `instance` of a query.
        The rules for requests hold, with the settings `allowed_permissions`, `instance_max_age` and
        `allowed_subjects`. Wix is asked about an access token, at most once in five minutes.

        Raises:
            Unauthenticated: It is none, or its bearer may not use the client; `reason` says why.
            WixUnavailable: Wix is to be asked, and is failing.
            StorageUnavailable: Wix is to be asked, and the storage could not be opened.
        """
        caller = self.clients.caller_of_proof(value or "")
        del value  # a traceback with locals shows no secret
        handled = sys.exception()
        try:
            return await caller.identify()
        except Exception as exc:
            without_our_frames(exc, until=handled)
            raise

    async def check(self, *, transport: httpx.AsyncBaseTransport | None = None) -> list[Finding]:
        """Return the findings about the app's set-up: settings, storage, keys, addresses, clock.

        It calls Wix, and the app at `public_url` by `transport` or by connections. Nothing is
        written but the tables that `open` makes. A `Wix` that is closed stays closed.
        """
        from wix_asgi.operations.check_setup import check_setup  # noqa: PLC0415 - for it alone

        try:
            return await check_setup(
                self.settings, self.storage, to_wix=self._given_transport, to_app=transport
            )
        finally:
            if not self.is_open:
                await self._close_storage()

    async def installations(self) -> AsyncIterator[Installation]:
        """Iterate over the sites the app is installed on, read a page at a time."""
        await self.open()
        async for installation in self._installations.all():
            yield installation

    def only_one(self, name: str) -> AbstractAsyncContextManager[None]:
        """Return `async with wix.only_one("job"):`, whose block runs in one worker at a time.

        All workers of the app that share its storage take turns, over processes and hosts, and wait
        without a limit; a block inside a block of the same name waits for ever. The next worker
        begins within two seconds of the end of a block, and within twelve if its worker was killed.

        A lease of ten seconds is renewed while the block runs. Seven seconds after the latest
        renewal (the storage is down, or the process was frozen) the block is cancelled: three
        seconds before another worker can begin. A frozen block is cancelled when it wakes, before
        its next step on asyncio, and at its next `await` on trio; its threads are not cancelled.

        Raises:
            LeaseLost: The block was cancelled; the message names the cause.
            StorageUnavailable: The storage could not be opened; later failures are waited out.
        """
        return self._only_one.hold(name)

    async def remove(self, instance_id: str, *, installed_before: datetime | None = None) -> bool:
        """Remove this installation with its tokens, and call the `on_uninstall` hooks.

        The hooks are called once over all processes, in the one that removed it. Other processes
        serve the site for a minute at most. A reinstall wins in any order: it stays if it comes
        during the call, or at or after `installed_before`, a time with a zone by the store's clock.

        Wix is told nothing: a site that still has the app there may come back with its next call,
        where Wix grants tokens by client credentials.

        Returns:
            Whether this call removed it.

        Raises:
            StorageUnavailable: The storage cannot be reached; whether it was removed is not known.
            WixUnavailable: The process is shutting down.
        """
        await self.open()
        return await self._removal.remove(instance_id, installed_before=installed_before)

    async def finish_setup(self, instance_id: str) -> None:
        """Tell Wix that this site's setup is finished (APP_FINISHED_CONFIGURATION).

        It cannot be undone: once an app has sent it, each new install of that app is "Setup
        Incomplete" until it is sent for it too (Wix, "BI Event: Sample Use Cases & Flows").

        Raises:
            NotInstalled: The app is not installed on this site.
            WixUnavailable: Wix is failing; it may be sent again.
            GrantRefused: Wix refuses the event.
        """
        await self.open()
        await self._oauth.send_event(await self._tokens.get(instance_id), FINISHED)

    async def work_events(self) -> None:
        """Handle events until cancelled: the whole work of a process without HTTP.

        It needs no public key. A cancellation waits eight seconds for running handlers, cancels
        them, and gives their events back. In a web process it changes nothing, unless `webhooks` is
        `store`.

        Raises:
            StorageUnavailable: The storage could not be opened; later failures are waited out.
            SettingsError: The storage keeps no events.
            RuntimeError: It runs in this process already.
        """
        await self.open()
        if self._worker is None:
            raise SettingsError(
                f"The storage {type(self.storage).__name__} keeps no events: it lacks the methods "
                "of wix_asgi.storage.EventStorage."
            )
        await self._worker.run()
