"""Installations of an app whose settings are in the environment."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import pytest

from tests.cli.commands import run
from tests.servers import environment
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import RefreshFailure, StoredInstallation
from wix_asgi.models import AccessToken, Grant
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import open_storage
from wix_asgi.testing import DEMO_SITES, FakeWix

ACCESS = "/oauth/access"
SITE, OTHER, THIRD = DEMO_SITES
LOST_KEY = bytes(range(64, 96)).hex()
FIELDS = [
    "instance_id",
    "installed_at",
    "grant",
    "origin_instance_id",
    "token_seconds",
    "failure",
    "failure_until",
    "owes_on_install",
]


def use(monkeypatch: pytest.MonkeyPatch, fake: FakeWix, url: str) -> None:
    """Set the environment of an app on this storage."""
    for name, value in environment(fake, 1, url).items():
        if name.startswith("WIX_"):
            monkeypatch.setenv(name, value)
    fake.heal()
    fake.calls.clear()


def change(work: Any) -> Any:
    """Do something with the installations of the environment's app, as the app does."""

    async def main() -> Any:
        settings = WixSettings.load()
        async with open_storage(settings.storage.get_secret_value()) as storage:
            vault = Vault(settings.key_ring())
            done = work(InstallationRepository(settings.app_id, storage, vault))
            return None if done is None else await done

    return anyio.run(main)


def install(fake: FakeWix, *sites: str, left: float = 300.0, **options: Any) -> None:
    """Store installations whose access token has `left` seconds to live."""

    async def work(installations: InstallationRepository) -> None:
        for site in sites:
            token = AccessToken(fake.issue_access_token(site), 300.0, time.monotonic() + left)
            grant = Grant(token, fake.issue_refresh_token(site))
            await installations.put(site, grant, **options)

    change(work)


def stored(site: str = SITE) -> StoredInstallation | None:
    """Return an installation as it is stored."""
    found: StoredInstallation | None = change(lambda installations: installations.get(site))
    return found


def fail_refresh(site: str, failure: RefreshFailure, pause: float) -> None:
    """Note a failed refresh, as an app does."""

    async def work(installations: InstallationRepository) -> None:
        before = await installations.require(site)
        assert await installations.note_failure(before, failure, pause)

    change(work)


def listed(*options: str) -> list[dict[str, Any]]:
    """Return the objects that `list` prints."""
    result = run("installations", "list", "--json", *options)
    assert 0 == result.exit_code, result.output
    objects: list[dict[str, Any]] = json.loads(result.stdout)
    return objects
