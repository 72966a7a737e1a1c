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
from wix_asgi.errors import SettingsError
from wix_asgi.events import make_event
from wix_asgi.handshake.callback import MAX_EXCHANGES, Callback
from wix_asgi.handshake.handshake import Handshake
from wix_asgi.handshake.install import Install
from wix_asgi.handshake.on_install import OnInstall
from wix_asgi.handshake.responses import Responses, make_pages
from wix_asgi.handshake.state import StateSigner
from wix_asgi.hooks import Hooks
from wix_asgi.identity.callers import ResolveIdentity
from wix_asgi.identity.policy import TokenPolicy
from wix_asgi.identity.session import Sessions
from wix_asgi.identity.signed_callers import SignedCallers
from wix_asgi.identity.token_callers import TokenCallers
from wix_asgi.installations.removal import Removal
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.leases.only_one import OnlyOne
from wix_asgi.oauth.client import OAuthClient, OAuthPolicy
from wix_asgi.oauth.shared_rate import SharedRateLimit
from wix_asgi.oauth.throttle import FailureThrottle
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.protocol.webhook_token import WebhookTokens
from wix_asgi.sealing.vault import Vault
from wix_asgi.settings import WixSettings
from wix_asgi.storage import EventStorage, Storage
from wix_asgi.tokens.cache import TokenCache
from wix_asgi.tokens.policy import RefreshPolicy
from wix_asgi.tokens.presence import Presence
from wix_asgi.tokens.recheck import Rechecks
from wix_asgi.tokens.refresh import Refresher
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport
from wix_asgi.webhooks.endpoint import WebhookEndpoint
from wix_asgi.webhooks.handlers import Handlers
from wix_asgi.webhooks.inbox import Inbox
from wix_asgi.webhooks.lifecycle import Lifecycle
from wix_asgi.webhooks.worker import EventWorker

__all__ = ["Assembly", "assemble"]


@dataclass(frozen=True, slots=True)
class Assembly:
    """The parts of one app that `Wix` works with; they live and end with it.

    Attributes:
        pools: The connection pools that were made here, to be closed with the app; an empty list
            where the app handed in a transport of its own.
        sessions: None where the app has none.
        webhook: The webhook path; None without a public key.
        worker: None where the storage has no inbox.
    """

    pools: list[PoolTransport]
    installations: InstallationRepository
    oauth: OAuthClient
    tokens: TokenCache
    clients: ClientFactory
    sessions: Sessions | None
    handshake: Handshake
    only_one: OnlyOne
    removal: Removal
    webhook: WebhookEndpoint | None
    worker: EventWorker | None


def assemble(
    settings: WixSettings,
    storage: Storage,
    hooks: Hooks,
    *,
    handlers: Handlers,
    detached: DetachedTasks,
    resolve: ResolveIdentity | None,
    transport: httpx.AsyncBaseTransport | None,
    ready: Callable[[], Awaitable[None]],
    is_ready: Callable[[], bool],
) -> Assembly:
    """Build all parts; nothing is opened.

    Without `transport` there are four pools. Refreshes have their own, since calls that fill their
    pool wait for refreshes; and installs and questions about access tokens have one each, since
    anybody can cause them.
    `ready` is awaited before a part uses the storage, unless it `is_ready` already.

    Raises:
        SettingsError: There is a public key, and the storage cannot keep events.
    """
    pools = [] if transport else _make_pools()
    calls, refreshes, installs, questions = [transport] * 4 if transport else pools
    endpoints = Endpoints(settings)
    vault = Vault(settings.key_ring())
    installations = InstallationRepository(settings.app_id, storage, vault)
    shared_rate = SharedRateLimit(storage, f"pace:{settings.app_id}")
    oauth = OAuthClient(
        endpoints, refreshes, throttle=FailureThrottle(shared_rate=shared_rate.acquire)
    )

    def note_owed(instance_id: str) -> None:
        # Made below, of clients that need these tokens.
        on_install.owe(instance_id)

    refresher = Refresher(
        installations,
        storage,
        oauth,
        app_id=settings.app_id,
        flow=settings.flow,
        recover=settings.recover,
        note_owed=note_owed,
        note_lost=hooks.tell,
        policy=RefreshPolicy(max_cached_tokens=settings.token_cache),
    )
    tokens = TokenCache(refresher, detached, Rechecks(installations))
    signed = SignedCallers(settings)

    async def generation_of(instance_id: str) -> str | None:
        await ready()
        installed_at = await installations.installed_at(instance_id)
        return None if installed_at is None else installed_at.isoformat()

    pages = make_pages(settings)
    sessions = Sessions(settings, signed, generation_of, detached) if settings.session else None
    clients = ClientFactory(
        api_url=settings.api_url,
        transport=calls,
        tokens=tokens,
        signed=signed,
        access_tokens=TokenCallers(
            settings,
            OAuthClient(endpoints, questions, policy=_QUESTIONS),
            detached,
            ready=ready,
        ),
        sessions=sessions,
        resolve=resolve,
        pages=pages,
        ready=ready,
    )

    def forget(instance_id: str) -> None:
        tokens.forget(instance_id)
        if sessions is not None:
            sessions.forget(instance_id)

    removal = Removal(settings.app_id, storage, hooks, detached=detached, forget=forget)
    on_install = OnInstall(
        app_id=settings.app_id,
        storage=storage,
        installations=installations,
        hooks=hooks,
        clients=clients,
        detached=detached,
        pay_removal=removal.pay,
    )
    lifecycle = Lifecycle(
        app_id=settings.app_id,
        flow=settings.flow,
        installations=installations,
        refresher=refresher,
        tokens=tokens,
        presence=Presence(refresher, detached),
        removal=removal,
        pay_on_install=on_install.pay,
        forget=forget,
    )
    signer = StateSigner(settings)
    responses = Responses(settings, hooks, pages, sessions=sessions)
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

    inbox = _make_inbox(settings, storage, vault)
    worker = webhook = None
    if inbox is not None:
        worker = EventWorker(
            inbox,
            handlers,
            app_id=settings.app_id,
            storage=storage,
            prepare=lifecycle.apply,
            prepared_types=Lifecycle.TYPES,
            make_event=lambda event, event_id, attempt: make_event(
                event, event_id, attempt, clients.for_instance(event.instance_id)
            ),
            detached=detached,
            concurrency=settings.webhook_concurrency,
            ready=ready,
        )
        if settings.public_key:
            webhook = _make_endpoint(
                settings,
                inbox=inbox,
                handlers=handlers,
                worker=worker,
                detached=detached,
                ready=ready,
                is_ready=is_ready,
            )
    return Assembly(
        pools,
        installations,
        oauth,
        tokens,
        clients,
        sessions,
        handshake,
        only_one,
        removal,
        webhook,
        worker,
    )


def _make_inbox(settings: WixSettings, storage: Storage, vault: Vault) -> Inbox | None:
    """Return the inbox, or None where the storage has none and no event can come."""
    if isinstance(storage, EventStorage):
        return Inbox(settings.app_id, storage, vault)
    if not settings.public_key:
        return None
    methods = [name for name in vars(EventStorage) if not name.startswith("_")]
    missing = [name for name in methods if not callable(getattr(storage, name, None))]
    raise SettingsError(
        "One setting is wrong:\n"
        "  public_key (WIX_PUBLIC_KEY): events cannot be kept, since the storage "
        f"{type(storage).__name__} lacks {', '.join(missing)} of wix_asgi.storage.EventStorage. "
        "Expected: sqlite://, postgresql:// or memory:// as storage, or no public key, for an app "
        "without webhooks."
    )


def _make_endpoint(
    settings: WixSettings,
    *,
    inbox: Inbox,
    handlers: Handlers,
    worker: EventWorker,
    detached: DetachedTasks,
    ready: Callable[[], Awaitable[None]],
    is_ready: Callable[[], bool],
) -> WebhookEndpoint:
    runs = settings.webhooks == "run"

    def is_wanted(event_type: str) -> bool:
        return not runs or event_type in Lifecycle.TYPES or bool(handlers.of(event_type))

    return WebhookEndpoint(
        app_id=settings.app_id,
        tokens=WebhookTokens(settings.public_key, app_id=settings.app_id),
        inbox=inbox,
        is_wanted=is_wanted,
        wake=worker.wake if runs else _leave_asleep,
        ready=ready,
        is_ready=is_ready,
        detached=detached,
    )


def _leave_asleep() -> None:
    """Leave the events of this process to the worker of another one."""


_REFRESH_CONNECTIONS: Final = 2 * RefreshPolicy().max_refreshes
"""Twice the refreshes under way, so that none of them waits behind events of `finish_setup`."""


_QUESTIONS: Final = OAuthPolicy(
    max_tries=TokenPolicy().max_tries, total_seconds=TokenPolicy().total_seconds
)


def _make_pools() -> list[PoolTransport]:
    """Return the pools for calls, for refreshes, for installs, and for questions about tokens."""
    return [
        PoolTransport(),
        PoolTransport(PoolPolicy(max_connections=_REFRESH_CONNECTIONS)),
        PoolTransport(PoolPolicy(max_connections=MAX_EXCHANGES)),
        PoolTransport(PoolPolicy(max_connections=TokenPolicy().max_questions)),
    ]
