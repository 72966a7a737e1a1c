"""The outcomes of a look at a stored installation: a token to use, or the next step to take."""

from __future__ import annotations

from collections.abc import Container
from enum import Enum

from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import AccessToken
from wix_asgi.tokens._grant_rules import GrantRules
from wix_asgi.tokens.policy import RefreshPolicy

__all__ = ["Step", "token_without_refresh"]


class Step(Enum):
    """The next step of a refresh that has no token yet."""

    LEAD = "refresh the token: the lease and a slot at Wix are ours"
    WAIT_FOR_SLOT = "wait for a slot at Wix"
    WAIT_FOR_HOLDER = "wait for the refresh of the lease holder"
    LOOK_AGAIN = "look again: the row has changed, or a refresh may be tried once more"


def token_without_refresh(
    stored: StoredInstallation,
    unwanted: Container[str],
    now: float,
    policy: RefreshPolicy,
    rules: GrantRules,
) -> AccessToken | None:
    """Return the stored token where no refresh is needed, or none is allowed yet; else None.

    Before the mandatory window no refresh is needed. While the verdict of the last refresh stands
    none is allowed, nor is any where there is no grant to ask for, and the token is served to its
    last second.

    Raises:
        WixError: The standing verdict, or the obstacle, where no token lives.
    """
    token = stored.live_token(now, unwanted)
    if token is not None and token.expires_at - now > policy.mandatory_window(token.lifetime):
        return token
    verdict = stored.standing_verdict() or rules.obstacle(stored)
    if verdict is None:
        return None
    if token is None:
        raise verdict
    return token
