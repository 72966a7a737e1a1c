"""Processes of an app that apply events to its installations, for tests of many orders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.handshake.owing import SOON
from tests.limits import PATIENCE
from tests.support import SITE, Browser, make_wix
from wix_asgi import Wix, WixMiddleware
from wix_asgi.handshake.on_install import OnInstall
from wix_asgi.handshake.policy import OnInstallPolicy
from wix_asgi.installations.removal import Removal, RemovalPolicy
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import Installation
from wix_asgi.protocol.webhook_event import SignedEvent, read_event
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix
from wix_asgi.tokens.presence import Presence
from wix_asgi.webhooks.lifecycle import Lifecycle
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = [
    "CREATED",
    "DELETED",
    "UPDATED",
    "WAIT_LITTLE",
    "Act",
    "Process",
    "app_process",
    "signed",
]

_ENTITY: Final = "wix.app.installations.v1.app_installation"
CREATED: Final = f"{_ENTITY}_created"
UPDATED: Final = f"{_ENTITY}_updated"
DELETED: Final = f"{_ENTITY}_deleted"

WAIT_LITTLE: Final = RemovalPolicy(poll_pause=0.01, max_polls=int(PATIENCE / 0.01))
"""The debt of another process is waited for as long as a test waits for anything."""

Act = Callable[[Installation], Awaitable[object]]


def signed(
    fake: FakeWix, event_type: str, site: str = SITE, data: Any = None, **options: Any
) -> SignedEvent:
    """Return an event of `fake` as a worker takes it from the inbox."""
    event = fake.make_event(event_type, site, data, **options)
    return read_event(event.text, datetime.fromtimestamp(event.issued_at, UTC))


@dataclass
class Process:
    """One process of the app, and the arguments of its hooks."""

    fake: FakeWix
    wix: Wix
    lifecycle: Lifecycle
    removal: Removal
    installed: list[tuple[Installation, Request | None]] = field(default_factory=list)
    uninstalled: list[Installation] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    async def apply(
        self, event_type: str, site: str = SITE, data: Any = None, **options: Any
    ) -> None:
        """Apply an event of this moment, or of its `issued_at`, with a bound."""
        with anyio.fail_after(PATIENCE):
            await self.lifecycle.apply(signed(self.fake, event_type, site, data, **options))

    def browser(self) -> Browser:
        """Return a browser at this process."""
        return Browser(WixMiddleware(PlainTextResponse("app"), self.wix))

    async def install(self, site: str = SITE) -> Installation:
        """Install in a browser; return the installation."""
        answer = await self.browser().install(self.fake, site)
        assert 303 == answer.status_code, answer.text
        return await self.only()

    async def stored(self, site: str = SITE) -> StoredInstallation | None:
        """Return the row of a site, or None."""
        return await self.wix._installations.get(site)

    async def all(self) -> list[Installation]:
        """Return every installation."""
        return [one async for one in self.wix.installations()]

    async def only(self) -> Installation:
        """Return the only installation."""
        (found,) = await self.all()
        return found

    async def is_paying(self, site: str = SITE) -> None:
        """Wait until this process is about to tell of a site without a request."""
        with anyio.fail_after(PATIENCE):
            while site not in self._payments:
                await checkpoint()

    def hurry(self, site: str = SITE) -> None:
        """End the wait of that for a callback."""
        self._payments[site].hurry.set()

    @property
    def _payments(self) -> dict[str, Any]:
        return self.wix.handshake.callback._on_install._owed.here()

    async def settled(self) -> None:
        """Wait until no work is under way."""
        with anyio.fail_after(PATIENCE):
            await self.wix._detached._wait_for_all()


@asynccontextmanager
async def app_process(
    fake: FakeWix,
    storage: str | Storage,
    *,
    on_install: Act | None = None,
    on_uninstall: Act | None = None,
    policy: OnInstallPolicy = SOON,
    removals: RemovalPolicy = WAIT_LITTLE,
    **options: Any,
) -> AsyncIterator[Process]:
    """Run a process whose hooks note their arguments, and then do what the test wants."""
    processes: list[Process] = []

    async def installed(installation: Installation, request: Request | None) -> Response | None:
        processes[0].installed.append((installation, request))
        found = await on_install(installation) if on_install else None
        return found if isinstance(found, Response) else None

    async def uninstalled(installation: Installation) -> None:
        processes[0].uninstalled.append(installation)
        if on_uninstall:
            await on_uninstall(installation)

    given = {"on_install": installed, "on_uninstall": uninstalled, **options}
    async with make_wix(fake, storage=storage, **given) as wix:
        tokens = wix._tokens
        wix._removal = removal = Removal(
            fake.app_id,
            wix.storage,
            wix._hooks,
            detached=wix._detached,
            forget=tokens.forget,
            policy=removals,
        )
        paying = OnInstall(
            app_id=fake.app_id,
            storage=wix.storage,
            installations=wix._installations,
            hooks=wix._hooks,
            clients=wix.clients,
            detached=wix._detached,
            pay_removal=removal.pay,
            policy=policy,
        )
        wix.handshake.callback._on_install = paying
        tokens._refresher.note_owed = paying.owe
        tokens._refresher._finder._note_owed = paying.owe
        pauses: list[float] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            await checkpoint()

        lifecycle = Lifecycle(
            app_id=fake.app_id,
            flow=wix.settings.flow,
            installations=wix._installations,
            refresher=tokens._refresher,
            tokens=tokens,
            presence=Presence(tokens._refresher, wix._detached),
            removal=removal,
            pay_on_install=paying.pay,
            forget=tokens.forget,
            policy=WebhookPolicy(),
            sleep=sleep,
        )
        processes.append(Process(fake, wix, lifecycle, removal, pauses=pauses))
        yield processes[0]
