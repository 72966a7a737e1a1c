"""Sites on which an app is installed already."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.models import AccessToken, Grant, GrantType
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix

__all__ = ["ACCESS", "CREDENTIALS", "LIFETIME", "install", "installations", "many_sites"]

ACCESS: Final = "/oauth/access"
CREDENTIALS: Final = "/oauth2/token"
LIFETIME: Final = 300.0


def many_sites(count: int) -> dict[str, str]:
    """Return the names of `count` sites, by instance ID."""
    return {f"5e000000-0000-4000-8000-{number:012}": f"Site {number}" for number in range(count)}


def installations(
    fake: FakeWix, storage: Storage, options: Mapping[str, Any]
) -> InstallationRepository:
    """Return the installations that an app with these options has stored."""
    vault = Vault(WixSettings.load(**options).key_ring())
    return InstallationRepository(fake.app_id, storage, vault)


async def install(
    fake: FakeWix,
    stored: InstallationRepository,
    site: str,
    *,
    lifetime: float = LIFETIME,
    left: float = 0,
    grant_type: GrantType = GrantType.REFRESH_TOKEN,
) -> None:
    """Store an installation with an access token that has `left` seconds of its lifetime left."""
    value = fake.issue_access_token(site)
    token = AccessToken(value, lifetime, time.monotonic() + left)
    if grant_type is GrantType.CLIENT_CREDENTIALS:
        await stored.put(fake.mark_installed(site), Grant(token))
    else:
        await stored.put(site, Grant(token, fake.issue_refresh_token(site)))
