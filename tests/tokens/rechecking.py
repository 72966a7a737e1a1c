"""Installations whose tokens are cached, and removed by another process."""

from __future__ import annotations

import anyio
import anyio.lowlevel

from tests.engine import Engine, get
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi.errors import NotInstalled
from wix_asgi.models import AccessToken, Grant
from wix_asgi.tokens.recheck import RecheckPolicy

HOURS = 14_400.0
"""The lifetime of a token of client credentials, in seconds."""
PATIENT = RecheckPolicy(wait=PATIENCE)
"""Calls wait for an overdue recheck to its end, on a busy machine, too."""


def another(engine: Engine, policy: RecheckPolicy | None = None) -> Engine:
    """Return the engine of another process over the same storage.

    It asks Wix for no missing installation: the fake Wix knows nothing of the removals.
    """
    return Engine(engine.fake, engine.storage, engine.clock, rechecks=policy, recover=False)


async def install(engine: Engine, site: str = SITE, *, left: float = HOURS) -> str:
    """Install by client credentials; return the access token, with `left` seconds to live."""
    token = AccessToken(engine.fake.issue_access_token(), HOURS, engine.clock() + left)
    await engine.installations.put(site, Grant(token))
    return token.value


async def use(engine: Engine, site: str = SITE, *, age: float) -> str:
    """Have a token of this age in the cache; return it."""
    value = await install(engine, site)
    await get(engine, site)
    engine.clock.advance(age)
    return value


async def remove(engine: Engine, site: str = SITE) -> None:
    """Remove the installation as another process does."""
    assert await engine.storage.delete(engine.fake.app_id, site)


async def is_served(engine: Engine) -> bool:
    """Return whether a call gets a token; a recheck that it has begun has ended then."""
    try:
        await get(engine)
    except NotInstalled:
        return False
    await anyio.wait_all_tasks_blocked()
    return True
