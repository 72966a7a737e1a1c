"""Installations that Wix knows and the storage does not: found by client credentials."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Literal

import anyio

from wix_asgi.errors import GrantRefused, NotInstalled, WixError, WixMisconfigured, WixUnavailable
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.models import AccessToken
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.reporting.line_limit import LineLimit
from wix_asgi.tokens._attempt import Attempt
from wix_asgi.tokens._grant_rules import GrantRules
from wix_asgi.tokens._grant_source import GrantSource
from wix_asgi.tokens._look import Step
from wix_asgi.tokens._storage_watch import Stage
from wix_asgi.tokens.policy import RefreshPolicy

__all__ = ["Finder"]

logger = logging.getLogger("wix_asgi")


class Finder:
    """Asks Wix once for an installation that is not stored, stores it, and remembers a no.

    An installation is not stored where a webhook alone brought it, where its site is a copy, or
    where the storage has lost it.
    """

    def __init__(
        self,
        installations: InstallationRepository,
        oauth: OAuthClient,
        source: GrantSource,
        rules: GrantRules,
        *,
        policy: RefreshPolicy,
        clock: Callable[[], float],
        note_owed: Callable[[str], object],
    ) -> None:
        """Store in `installations`; `note_owed` gets the instance id of each that is found."""
        self._installations = installations
        self._oauth = oauth
        self._source = source
        self._rules = rules
        self._policy = policy
        self._clock = clock
        self._note_owed = note_owed
        self._lines = LineLimit(math.inf)
        # In the order in which they end: each is remembered for the same time.
        self._refused: dict[str, tuple[float, type[WixError]]] = {}
        self._origins: dict[str, str] = {}
        self._lock = threading.Lock()

    def check(self, instance_id: str) -> None:
        """Check that Wix may be asked for an installation that is not stored.

        Raises:
            NotInstalled: The settings rule it out, or Wix said no a moment ago.
            WixMisconfigured: Wix refused the app's credentials a moment ago.
        """
        with self._lock:
            until, error = self._refused.get(instance_id, (-math.inf, NotInstalled))
        if self._clock() < until or not self._rules.may_find:
            raise error

    async def find(self, attempt: Attempt) -> AccessToken | Literal[Step.LOOK_AGAIN]:
        """Ask Wix under the lease of `attempt`, and store the installation that is found.

        Raises:
            LeaseRanOut: The process slept through its lease.
            NotInstalled: Wix says no, or said no a moment ago.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: Wix is failing, which is no answer.
            StorageUnavailable: The storage is failing.
        """
        instance_id = attempt.instance_id
        self.check(instance_id)
        attempt.progress.enter(Stage.WIX)
        try:
            with attempt.slot:
                grant = await self._source.find(instance_id, attempt.hold_lease)
                # Before it is stored: on_install is told of the origin, and carries data over.
                origin = await self._origin_of(instance_id, grant.access_token)
                origin = origin or self._origins.get(instance_id)
        except GrantRefused as exc:
            self._remember(instance_id, NotInstalled)
            raise NotInstalled(instance_id=instance_id) from exc
        except WixMisconfigured:
            self._remember(instance_id, WixMisconfigured)
            raise
        attempt.progress.enter(Stage.STORAGE)
        addition = await self._installations.add(
            instance_id, grant, origin_instance_id=origin, owes_on_install=True
        )
        if not addition.is_stored:
            # An install of the same moment has stored its own grant, which is newer.
            return Step.LOOK_AGAIN
        logger.info(
            "found an installation at Wix that was not stored (site %s)",
            instance_id,
            extra={"instance_id": instance_id},
        )
        self._note_owed(instance_id)
        return grant.access_token

    def note_origin(self, instance_id: str, origin_instance_id: str) -> None:
        """Note what a verified caller says of a copied site: Wix may not tell it to the app."""
        with self._lock:
            self._origins[instance_id] = origin_instance_id
            if len(self._origins) > self._policy.max_missing:
                del self._origins[next(iter(self._origins))]

    def forget(self, instance_id: str) -> None:
        """Drop a remembered no of Wix: the app may have been installed on this site since."""
        with self._lock:
            self._refused.pop(instance_id, None)

    def _remember(self, instance_id: str, error: type[WixError]) -> None:
        until = self._clock() + self._policy.missing_pause
        with self._lock:
            self._refused.pop(instance_id, None)
            self._refused[instance_id] = until, error
            if len(self._refused) > self._policy.max_missing:
                del self._refused[next(iter(self._refused))]

    async def _origin_of(self, instance_id: str, token: AccessToken) -> str | None:
        """Return the origin of a copied site, where Wix tells it in time; else None."""
        refusal = "403, the app lacks the permission"
        try:
            with anyio.fail_after(self._policy.origin_wait):
                found = await self._oauth.app_instance(token)
            if found is not None:
                return found.origin_instance_id
        except (GrantRefused, WixMisconfigured) as exc:
            refusal = str(exc)
        except (WixUnavailable, TimeoutError) as exc:
            logger.warning(
                "Wix did not tell whether this site is a copy: %s (site %s)",
                str(exc) or "no answer in time",
                instance_id,
                extra={"instance_id": instance_id},
            )
            return None
        if self._lines.admit("no Get App Instance") is not None:
            logger.warning(
                "Wix refuses Get App Instance, so that copies of sites are not known as such where "
                "no one else tells it: %s",
                refusal,
            )
        return None
