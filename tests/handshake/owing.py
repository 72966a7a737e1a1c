"""The storages that keep the mark of an owed `on_install`, for tests of all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.handshake.flaky import FlakyStorage
from tests.limits import PATIENCE
from tests.support import SITE, Browser, make_wix
from wix_asgi import Wix, WixMiddleware
from wix_asgi.handshake.on_install import OnInstall
from wix_asgi.handshake.policy import OnInstallPolicy
from wix_asgi.models import AccessToken, Grant, Installation
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix

__all__ = ["OTHER_SITE", "SOON", "STORAGES", "Process", "make_storage", "process"]

STORAGES: Final = ["memory", "sqlite", "postgres"]


def make_storage(request: pytest.FixtureRequest, room: Path) -> str | Storage:
    """Return the storage that `request` names: a URL, or memory that stands for one."""
    if request.param == "memory":
        return FlakyStorage()
    if request.param == "sqlite":
        return f"sqlite:///{room}/wix-asgi.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


OTHER_SITE = "2a9d41c8-6f13-4e2b-8c77-5d2c9b3f7e02"
SOON = OnInstallPolicy(callback_wait=0.0, poll_pause=0.01)


@dataclass
class Process:
    """One process of the app, and the arguments of its hook."""

    wix: Wix
    on_install: OnInstall
    seen: list[tuple[Installation, Request | None]] = field(default_factory=list)

    def browser(self) -> Browser:
        """Return a browser at this process."""
        return Browser(WixMiddleware(PlainTextResponse("app"), self.wix))

    async def add(self, site: str = SITE, *, owes: bool = True) -> None:
        """Store an installation as a caller or a webhook brings it."""
        grant = Grant(AccessToken("test-access-token", 14_400.0, anyio.current_time() + 14_400))
        await self.wix._installations.add(
            site, grant, origin_instance_id=OTHER_SITE, owes_on_install=owes
        )

    async def owes(self, site: str = SITE) -> bool:
        """Return whether the row says that on_install is owed."""
        return (await self.wix._installations.require(site)).owes_on_install

    async def settled(self) -> None:
        """Wait until no work is under way."""
        with anyio.fail_after(PATIENCE):
            await self.wix._detached._wait_for_all()


Act = Callable[[], Awaitable[object]]


@asynccontextmanager
async def process(
    fake: FakeWix,
    storage: str | Storage,
    act: Act | None = None,
    *,
    policy: OnInstallPolicy = SOON,
    **options: Any,
) -> AsyncIterator[Process]:
    """Run a process whose hook notes its arguments, and then does `act`."""
    processes: list[Process] = []

    async def hook(installation: Installation, request: Request | None) -> Response | None:
        processes[0].seen.append((installation, request))
        return cast("Response | None", await act() if act else None)

    async with make_wix(fake, storage=storage, **{"on_install": hook, **options}) as wix:
        on_install = OnInstall(
            app_id=fake.app_id,
            storage=wix.storage,
            installations=wix._installations,
            hooks=wix._hooks,
            clients=wix.clients,
            detached=wix._detached,
            policy=policy,
        )
        wix.handshake.callback._on_install = on_install
        processes.append(Process(wix, on_install))
        yield processes[0]
