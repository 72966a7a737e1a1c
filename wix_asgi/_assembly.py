"""Builds the parts of one app from its settings, so that `Wix` only opens, closes and offers them.

Each constructor shows the needs of its part; only this module knows all parts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from wix_asgi._http import httpx
from wix_asgi.client.client import ClientFactory
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.handshake.callback import MAX_EXCHANGES, Callback
from wix_asgi.handshake.handshake import Handshake
from wix_asgi.handshake.install import Install
from wix_asgi.handshake.on_install import OnInstall
from wix_asgi.handshake.responses import Responses
from wix_asgi.handshake.state import StateSigner
from wix_asgi.hooks import Hooks
from wix_asgi.identity.callers import ResolveIdentity
from wix_asgi.identity.signed_callers import SignedCallers
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.leases.only_one import OnlyOne
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.oauth.shared_rate import SharedRateLimit
from wix_asgi.oauth.throttle import FailureThrottle
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage
from wix_asgi.tokens.cache import TokenCache
from wix_asgi.tokens.policy import RefreshPolicy
from wix_asgi.tokens.refresh import Refresher
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

__all__ = ["Assembly", "assemble"]


@dataclass(frozen=True, slots=True)
class Assembly:
    """The parts of one app that `Wix` works with; they live and end with it.

    Attributes:
        pools: The connection pools that were made here, to be closed with the app; an empty list
            where the app handed in a transport of its own.
    """

    pools: list[PoolTransport]
    installations: InstallationRepository
    oauth: OAuthClient
    tokens: TokenCache
    clients: ClientFactory
    handshake: Handshake
    only_one: OnlyOne


def assemble(
    settings: WixSettings,
    storage: Storage,
    hooks: Hooks,
    *,
    detached: DetachedTasks,
    resolve: ResolveIdentity | None,
    transport: httpx.AsyncBaseTransport | None,
    ready: Callable[[], Awaitable[None]],
) -> Assembly:
    """Build all parts; nothing is opened.

    Without `transport` there are three pools. Refreshes have their own, since calls that
    fill their pool wait for refreshes; and installs have one, since anybody can begin installs.
    `ready` is awaited before a part uses the storage.
    """
    pools = [] if transport else _make_pools()
    calls, refreshes, installs = [transport] * 3 if transport else pools
    endpoints = Endpoints(settings)
    installations = InstallationRepository(settings.app_id, storage, Vault(settings.key_ring()))
    shared_rate = SharedRateLimit(storage, f"pace:{settings.app_id}")
    oauth = OAuthClient(
        endpoints, refreshes, throttle=FailureThrottle(shared_rate=shared_rate.acquire)
    )

    def owe(instance_id: str) -> None:
        # Made below, for its clients need tokens.
        on_install.owe(instance_id)

    tokens = TokenCache(
        Refresher(
            installations,
            storage,
            oauth,
            app_id=settings.app_id,
            flow=settings.flow,
            recover=settings.recover,
            note_owed=owe,
            note_lost=hooks.tell,
        ),
        detached,
    )
    clients = ClientFactory(
        api_url=settings.api_url,
        transport=calls,
        tokens=tokens,
        signed=SignedCallers(settings),
        resolve=resolve,
        ready=ready,
    )
    on_install = OnInstall(
        app_id=settings.app_id,
        storage=storage,
        installations=installations,
        hooks=hooks,
        clients=clients,
        detached=detached,
    )
    signer, responses = StateSigner(settings), Responses(settings, hooks)
    handshake = Handshake(
        Install(endpoints=endpoints, signer=signer, responses=responses, flow=settings.flow),
        Callback(
            settings=settings,
            endpoints=endpoints,
            signer=signer,
            storage=storage,
            installations=installations,
            oauth=OAuthClient(endpoints, installs),
            tokens=tokens,
            clients=clients,
            detached=detached,
            on_install=on_install,
            responses=responses,
        ),
        on_install,
    )
    only_one = OnlyOne(storage, settings.app_id, detached, ready=ready)
    return Assembly(pools, installations, oauth, tokens, clients, handshake, only_one)


_REFRESH_CONNECTIONS: Final = 2 * RefreshPolicy().max_refreshes
"""Twice the refreshes under way, so that none of them waits behind events of `finish_setup`."""


def _make_pools() -> list[PoolTransport]:
    """Return the pools for calls, for refreshes, and for installs."""
    return [
        PoolTransport(),
        PoolTransport(PoolPolicy(max_connections=_REFRESH_CONNECTIONS)),
        PoolTransport(PoolPolicy(max_connections=MAX_EXCHANGES)),
    ]
