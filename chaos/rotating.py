"""Encryption keys that are rotated while all workers refresh without a pause."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from functools import partial
from typing import Final

import anyio

from chaos.figures import Figure, exactly
from chaos.refreshing_load import RefreshingLoad
from chaos.refreshing_scene import Scene, scene
from chaos.stores import Stores
from chaos.workers import Crew, Told, call
from tests.cli.commands import COMMAND
from tests.operations.sealed import NEW, OLD
from tests.servers import environment
from wix_asgi import Wix
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.operations.rotate_keys import rotate_keys
from wix_asgi.sealing.vault import Vault

__all__ = ["KINDS", "lazily", "measure", "rotated"]

logger = logging.getLogger(__name__)

KINDS: Final = ("sqlite", "postgresql")
# So that rows change between the moments a refresh begins and is stored.
_DELAY: Final = 0.1


async def rotated(url: str, store: str, *, processes: int, sites: int, rounds: int) -> list[Figure]:
    """Rotate from key to key and back for rounds of refreshes, and at last by the command.

    This Wix ends every token of a site whose refresh token is sent twice: losing one shows.
    """
    resealed = 0
    async with scene(url, sites=sites, rotating=True, delay=_DELAY) as at:
        await at.install([_text(OLD)])
        async with _crew(at, processes) as crew, anyio.create_task_group() as tasks:
            load = RefreshingLoad(at, crew)
            tasks.start_soon(load.run)
            await load.begun.wait()
            while load.rounds < rounds:
                for keys in [OLD, NEW], [NEW, OLD]:
                    done = await rotate_keys(at.fake.app_id, at.storage, Vault(keys))
                    resealed += done.resealed
            status = await _rotate_by_command(at, url)
            load.is_over = True
        refreshes, lost = at.refreshes, await _lost(at)
    name, callers = f"keys rotated under {processes} x {sites} refreshes", processes * sites
    if load.told.failed:
        logger.error("%s on %s: %s", name, store, dict(load.told.failed))
    return [
        Figure(f"{name}: rounds of refreshes", store, load.rounds, least=rounds),
        Figure(f"{name}: rows resealed meanwhile", store, resealed, least=sites),
        exactly(f"{name}: status of the command", store, status, 0),
        exactly(f"{name}: failed callers", store, callers * load.rounds - load.told.served, 0),
        exactly(f"{name}: token calls", store, refreshes, sites * load.rounds),
        exactly(f"{name}: sites lost to [new] alone", store, lost, 0),
    ]


async def lazily(url: str, store: str, *, processes: int, sites: int) -> list[Figure]:
    """Have workers with the new key before the old one do nothing but refresh, once."""
    async with scene(url, sites=sites, rotating=True) as at:
        await at.install([_text(OLD)])
        async with _crew(at, processes) as crew:
            told = sum(await crew.do(partial(call, sites=at.sites)), Told())
        refreshes, lost = at.refreshes, await _lost(at)
    name = f"keys rotated lazily by {processes} x {sites} refreshes"
    return [
        exactly(f"{name}: failed callers", store, processes * sites - told.served, 0),
        exactly(f"{name}: token calls", store, refreshes, sites),
        exactly(f"{name}: sites lost to [new] alone", store, lost, 0),
    ]


def _crew(at: Scene, processes: int) -> Crew:
    return Crew({**at.options, "encryption_keys": [_text(NEW), _text(OLD)]}, [0] * processes)


async def _rotate_by_command(at: Scene, url: str) -> int:
    keys = ",".join([_text(NEW), _text(OLD)])
    env = {**environment(at.fake, 1, url), "WIX_ENCRYPTION_KEYS": keys}
    done = await anyio.run_process([str(COMMAND), "keys", "rotate"], env=env, check=False)
    return done.returncode


async def _lost(at: Scene) -> int:
    """Return how often the new key alone opens no row of a site, or a useless row."""
    rows = InstallationRepository(at.fake.app_id, at.storage, Vault([NEW]))
    lost = set()
    for site in at.sites:
        stored = await rows.get(site)
        if stored is None or stored.unreadable:
            lost.add(site)
    at.fake.expire_access_tokens()
    # A lost key would be made up for by client credentials.
    options = {**at.options, "encryption_keys": [_text(NEW)], "recover": False}
    async with Wix(**options) as wix:
        for site in at.sites:
            if (await call(wix, sites=[site])).failed:
                lost.add(site)
    return len(lost)


def _text(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


def measure(stores: Stores) -> Iterator[Figure]:
    """Rotate at full size, by command and lazily."""
    for kind in KINDS:
        with stores.empty(kind) as url:
            yield from anyio.run(partial(rotated, url, kind, processes=4, sites=50, rounds=20))
        with stores.empty(kind) as url:
            yield from anyio.run(partial(lazily, url, kind, processes=4, sites=50))
