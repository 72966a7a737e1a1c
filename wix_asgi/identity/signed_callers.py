"""The callers that signed instances name: genuine, and allowed to use the client."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from wix_asgi.errors import CallerReason, Unauthenticated
from wix_asgi.identity._refusal_log import RefusalLog
from wix_asgi.models import Identity
from wix_asgi.protocol.instance_rules import InstanceRules
from wix_asgi.protocol.signed_instance import SignedInstances
from wix_asgi.settings import WixSettings

__all__ = ["SignedCaller", "SignedCallers", "two_sites"]


class SignedCaller(NamedTuple):
    """The caller that the signed instances of one request name.

    Attributes:
        identity: The site and the claims.
        refusal: The error for an instance that is merely too old, and names the same site; None for
            an instance that lends the client.
    """

    identity: Identity
    refusal: Unauthenticated | None


class SignedCallers:
    """Finds the callers of one app by their signed instances; safe to share among threads.

    Attributes:
        refusals: The log for the callers that were refused.
    """

    def __init__(
        self,
        settings: WixSettings,
        *,
        clock: Callable[[], float] = time.time,
        refusals: RefusalLog | None = None,
    ) -> None:
        """Take secrets and rules from the settings; `clock` gives seconds since the epoch."""
        self._instances = SignedInstances(settings)
        self._rules = InstanceRules(settings)
        self._clock = clock
        self.refusals = refusals or RefusalLog()

    def are_current(self, values: Sequence[str]) -> bool:
        """Return whether all instances are signed with the current app secret."""
        return all(map(self._instances.is_current, values))

    def find(self, values: Sequence[str]) -> SignedCaller | None:
        """Return the caller that the instances of one request name; None where there are none.

        Raises:
            Unauthenticated: An instance is forged, or refused for more than its age; or they name
                two sites.
        """
        now = self._clock()
        identities = [self._instances.verify(value, now) for value in values]
        callers = [SignedCaller(one, self._rules.refusal(one, now)) for one in identities]
        for caller in callers:
            if caller.refusal is not None and caller.refusal.reason is not CallerReason.TOO_OLD:
                raise caller.refusal
        if len(callers) < 2:
            return callers[0] if callers else None
        sites = [caller.identity.instance_id for caller in callers]
        if len(set(sites)) > 1:
            raise two_sites(*sites)
        # A page keeps the instance of its address, while its front end may send a newer one.
        return min(callers, key=lambda caller: caller.refusal is not None)


def two_sites(one: str, other: str) -> Unauthenticated:
    """Return the error for a request that names `one` site and an`other`."""
    return Unauthenticated(
        f"The request names the sites {one} and {other}.",
        reason=CallerReason.TWO_SITES,
        instance_id=one,
    )
