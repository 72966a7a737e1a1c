"""The proof of an install: the part of a callback in which the flows differ."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.handshake._flows import FlowRun
from wix_asgi.handshake._query import Parameters, Query
from wix_asgi.models import Grant

__all__ = ["InstallProof", "ProvenInstall", "other_site"]

_INSTANCE_ID: Final = re.compile(r"(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})")
"""Wix's instance ids; nothing else of an address is logged, which anybody can write."""


@dataclass(frozen=True, slots=True)
class ProvenInstall:
    """An installation that Wix has confirmed, and the tokens for it.

    Attributes:
        origin_instance_id: The installation of which it is a copy; None where it is none, or the
            flow does not tell.
    """

    instance_id: str
    grant: Grant
    origin_instance_id: str | None = None
    claims: Mapping[str, Any] | None = field(default=None, repr=False)


class InstallProof(Protocol):
    """Proves the installs of one flow; shared by all callbacks and event loops.

    Attributes:
        parameters: The parameters that Wix adds to the address of the callback.
    """

    parameters: Parameters

    def refusal(self, query: Query) -> HandshakeRefused | None:
        """Return the refusal of a callback that its address alone shows to be no install.

        BAD_REQUEST leaves the state as it is, and every other reason uses it up. No I/O.
        """
        ...

    async def prove(
        self, query: Query, run: FlowRun, turn: AbstractAsyncContextManager[None]
    ) -> ProvenInstall:
        """Have Wix confirm the install of a callback that is not refused.

        To enter `turn` uses the state up, and takes one of the slots at Wix until it is left.

        Raises:
            HandshakeRefused: Wix confirms another app or site, or nothing.
            GrantRefused: Wix grants no token.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: Wix is failing. Where it is `unsent`, the state is good again.
            Exception: The errors of `turn`.
        """
        ...


def other_site(proof: str, instance_id: str, named: str) -> HandshakeRefused:
    """Return the refusal of a `proof` for `instance_id` where the address has `named` another."""
    claimed = named if _INSTANCE_ID.fullmatch(named) else "another site"
    return HandshakeRefused(
        Reason.INSTANCE_MISMATCH,
        f"the {proof} is for site {instance_id}, and the address names {claimed}",
    )
