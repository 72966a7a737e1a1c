"""Keeps installations true to Wix's events, before any handler of the app sees these.

Events come late, twice and in no order, so none of them is believed where Wix can be asked: an
installation is stored with a token that Wix has granted for it, and removed once Wix has refused
all of its grants.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import ClassVar, Protocol

import anyio

from wix_asgi.errors import NotInstalled, WixMisconfigured, WixUnavailable
from wix_asgi.installations.removal import Removal, end_of_generation
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import InstallFlow
from wix_asgi.protocol.installation_events import (
    TYPES,
    InstallationChange,
    InstallationState,
    read_change,
)
from wix_asgi.protocol.sample_event import is_sample
from wix_asgi.protocol.webhook_event import SignedEvent
from wix_asgi.reporting.one_line import one_line
from wix_asgi.tokens.cache import TokenCache
from wix_asgi.tokens.presence import Presence
from wix_asgi.tokens.refresh import Refresher
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["Lifecycle", "PayOnInstall"]

logger = logging.getLogger("wix_asgi")


class PayOnInstall(Protocol):
    """Tells `on_install` of an installation whose row says that this is owed."""

    async def __call__(self, instance_id: str, *, at_once: bool) -> None:
        """Return when that is told; `at_once` where no callback of the same install comes."""
        ...


class Lifecycle:
    """Applies events to the installations of one app; shared by all workers of a process.

    Attributes:
        TYPES: The types of events that it applies.
    """

    TYPES: ClassVar[frozenset[str]] = TYPES

    def __init__(
        self,
        *,
        app_id: str,
        flow: InstallFlow,
        installations: InstallationRepository,
        refresher: Refresher,
        tokens: TokenCache,
        presence: Presence,
        removal: Removal,
        pay_on_install: PayOnInstall,
        forget: Callable[[str], object],
        policy: WebhookPolicy | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Work with the parts of the app; `forget` drops the cached tokens of a site.

        `now` gives seconds since the epoch.
        """
        self._app_id = app_id
        self._flow = flow
        self._installations = installations
        self._refresher = refresher
        self._tokens = tokens
        self._presence = presence
        self._removal = removal
        self._pay_on_install = pay_on_install
        self._forget = forget
        self._policy = policy or WebhookPolicy()
        self._now = now
        self._sleep = sleep

    async def apply(self, event: SignedEvent) -> None:
        """Store or remove the installation that an event is about; other types change nothing.

        It may be called again at any time, also after it was cut off: finished steps are not
        repeated. When it returns, the hooks have ended.

        Raises:
            WixUnavailable: Wix gives no answer, or the process is shutting down: to be tried again.
            StorageUnavailable: The storage is failing: to be tried again.
        """
        if event.event_type not in TYPES or is_sample(event, self._app_id):
            return
        change = read_change(event)
        stored = await self._installations.get(change.instance_id)
        if change.state is InstallationState.INSTALLED or (
            change.state is InstallationState.UNKNOWN and stored is None
        ):
            await self._installed(event, change, stored)
        elif stored is None:
            self._forget(change.instance_id)
            await self._removal.pay(change.instance_id)
        else:
            await self._removed(event, stored)

    async def _installed(
        self, event: SignedEvent, change: InstallationChange, stored: StoredInstallation | None
    ) -> None:
        """Have the installation stored; a healthy row is only completed."""
        if stored is None:
            stored = await self._find(event, change)
        elif stored.is_lost:
            # A token that Wix grants takes the verdict from the row.
            await self._presence.ask(change.instance_id)
            stored = await self._installations.get(change.instance_id)
        origin = change.origin_instance_id
        while stored is not None and origin is not None and stored.origin_instance_id is None:
            if await self._installations.note_origin(stored, origin):
                break
            stored = await self._installations.get(change.instance_id)
        if stored is not None and stored.owes_on_install:
            await self._pay_on_install(
                change.instance_id, at_once=self._age(event) > self._policy.recent
            )

    async def _find(
        self, event: SignedEvent, change: InstallationChange
    ) -> StoredInstallation | None:
        """Have Wix grant a token, by which the installation is stored; return its row."""
        instance_id, refusal = change.instance_id, ""
        # In the advanced flow a callback brings it, and the app may have no client credentials.
        is_repeated = self._flow is InstallFlow.CLIENT_CREDENTIALS
        for pause in self._pauses(event, is_repeated=is_repeated):
            await self._sleep(pause)
            # The token, or the no of Wix, of an installation before this one.
            self._forget(instance_id)
            self._refresher.forget(instance_id)
            if change.origin_instance_id is not None:
                self._tokens.note_origin(instance_id, change.origin_instance_id)
            try:
                await self._tokens.get(instance_id)
                break
            except NotInstalled as exc:
                refusal = exc.message
            except WixMisconfigured as exc:
                raise WixUnavailable(f"Wix gives no answer: {exc.message}") from exc
        else:
            logger.info(
                "%s brings no installation, %s: %s (site %s)",
                event.event_type,
                "which its callback may bring"
                if self._flow is InstallFlow.ADVANCED
                else "since Wix knows none",
                refusal,
                one_line(instance_id),
                extra={"instance_id": instance_id},
            )
        return await self._installations.get(instance_id)

    async def _removed(self, event: SignedEvent, stored: StoredInstallation) -> None:
        """Remove the installation, if Wix says that it is gone, and no later one."""
        instance_id = stored.instance_id
        is_gone = await self._is_gone(event, stored)
        if is_gone is None:
            logger.warning(
                "%s for an installation of which Wix gives no answer whether it is gone: it stays, "
                "until `wix.remove()` or `wix-asgi installations remove` (site %s)",
                event.event_type,
                one_line(instance_id),
                extra={"instance_id": instance_id},
            )
        elif not is_gone:
            logger.info(
                "%s came late or was followed by a reinstall, since Wix says that the app is "
                "installed: the installation stays (site %s)",
                event.event_type,
                one_line(instance_id),
                extra={"instance_id": instance_id},
            )
        elif not await self._removal.remove(
            instance_id, installed_before=end_of_generation(stored.installed_at)
        ):
            await self._removal.pay(instance_id)

    async def _is_gone(self, event: SignedEvent, stored: StoredInstallation) -> bool | None:
        """Ask Wix, more than once where the removal is recent; None where Wix cannot tell."""
        difference = timedelta(seconds=self._policy.clock_difference)
        is_of_earlier_one = event.issued_at + difference < stored.installed_at
        answer: bool | None = None
        for pause in self._pauses(event, is_repeated=not is_of_earlier_one):
            await self._sleep(pause)
            answer = await self._presence.ask(stored.instance_id)
            if not answer:
                break
        return None if answer is None else not answer

    def _pauses(self, event: SignedEvent, *, is_repeated: bool) -> tuple[float, ...]:
        """Return the pauses before the questions of this event, one for each."""
        if is_repeated and self._age(event) <= self._policy.recent:
            return (0.0, *self._policy.repeats)
        return (0.0,)

    def _age(self, event: SignedEvent) -> float:
        return self._now() - event.issued_at.timestamp()
