"""The answers to the loads after the first one, by the outcome that the used state tells."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from wix_asgi.errors import (
    HandshakeRefused,
    NotInstalled,
    Reason,
    StorageUnavailable,
    WixUnavailable,
)
from wix_asgi.handshake._admission import Admission
from wix_asgi.handshake._flows import Flows, UsedState
from wix_asgi.handshake._next_page import NextPage
from wix_asgi.handshake._outcome import Installed, Refused
from wix_asgi.handshake._state_use import StateUse, StateUses
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.handshake.responses import Responses
from wix_asgi.handshake.state import Flow
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.reporting.line_limit import LineLimit

__all__ = ["Repeats"]

logger = logging.getLogger("wix_asgi")


class Repeats:
    """Answers loads of used states, at a bounded cost to the storage; shared by all callbacks."""

    def __init__(
        self,
        *,
        uses: StateUses,
        flows: Flows,
        admission: Admission,
        installations: InstallationRepository,
        next_page: NextPage,
        responses: Responses,
        policy: CallbackPolicy,
    ) -> None:
        """Ask `uses` within the bounds of `admission`, and remember the answers in `flows`."""
        self._uses = uses
        self._flows = flows
        self._admission = admission
        self._installations = installations
        self._next_page = next_page
        self._responses = responses
        self._policy = policy
        self._lines = LineLimit(policy.line_interval)

    async def is_used(self, flow: Flow, ready: Callable[[], Awaitable[None]]) -> bool:
        """Whether this state is used up, as far as it is known or may be asked now.

        `ready` opens the storage.

        Raises:
            StorageUnavailable: Storage did not say.
        """
        if self._flows.running(flow) or self._flows.used(flow):
            return True
        with self._admission.question(by_stranger=True) as may_ask:
            if not may_ask:
                return False
            await ready()
            usage = await self._uses.usage(flow)
        if usage.is_used:
            self._flows.remember(flow, UsedState(usage.outcome))
        return usage.is_used

    async def keep(self, flow: Flow, use: StateUse, used: UsedState) -> None:
        """Keep the outcome of the first load, in this process and for all others."""
        self._flows.remember(flow, used)
        if not use.owes_outcome or used.outcome is None:
            return
        if isinstance(used.outcome, Installed):
            await use.tell(used.outcome)
            return
        # Codes that strangers make up are refused, too: their outcomes queue as their claims do.
        with contextlib.suppress(StorageUnavailable):
            async with self._admission.claim_slot():
                await use.tell(used.outcome)

    async def answer(self, request: Request, flow: Flow) -> Response:
        """Answer a later load by the browser of this flow with the outcome of the first one.

        The cookie is cleared, unless the outcome is not known yet.

        Raises:
            HandshakeRefused: The storage cannot tell an outcome.
            StorageUnavailable: Storage did not say.
        """
        used = await self._read(flow)
        kept = used.response.next() if used.response else None
        if kept is not None:
            return kept
        response = await self._by_outcome(request, used)
        if response is None:
            return self.finishing(request, used.incident)
        self._responses.clear_cookie(response, flow.cookie_name)
        return response

    def finishing(self, request: Request, incident: str) -> Response:
        """Return the page that loads the same address again, and log its incident."""
        if self._lines.admit(incident) is not None:
            logger.warning(
                "an install takes long, and its browser was told to come back: incident %s",
                incident,
                extra={"incident": incident, "path": request.scope["path"]},
            )
        return self._responses.finishing(
            request, incident, refresh_after=self._policy.refresh_after
        )

    async def _read(self, flow: Flow) -> UsedState:
        """Return the memory of a used state; ask the storage for an outcome that it lacks."""
        used = self._flows.used(flow) or UsedState()
        if used.outcome is not None:
            return used
        if not self._uses.can_be_read:
            raise HandshakeRefused(Reason.STATE_REUSED)
        with self._admission.question() as may_ask:
            if may_ask:
                usage = await self._uses.usage(flow)
                used.outcome = usage.outcome
                if not usage.is_used:
                    # It was given back: the next load begins anew.
                    self._flows.forget(flow)
        return used

    async def _by_outcome(self, request: Request, used: UsedState) -> Response | None:
        """Return the response for the outcome; None for "not yet"."""
        match used.outcome:
            case Installed(instance_id):
                return await self._lead_on(request, instance_id)
            case Refused(reason):
                return await self._refuse(request, reason, "as the first load of this address")
        return None

    async def _lead_on(self, request: Request, instance_id: str) -> Response | None:
        """Return the redirect after an install, if it is stored; None where that is not known."""
        with self._admission.question() as may_ask:
            if not may_ask:
                return None
            try:
                if await self._installations.get(instance_id) is not None:
                    response = await self._next_page.after(instance_id)
                    await self._responses.begin_session(request, response, instance_id)
                    return self._responses.with_headers(response)
            except NotInstalled:
                pass
            except (StorageUnavailable, WixUnavailable):
                return None
        return await self._refuse(request, Reason.STATE_REUSED, "the app was removed meanwhile")

    async def _refuse(self, request: Request, reason: Reason, message: str) -> Response:
        headers = {"Retry-After": "5"} if reason.status == 503 else None
        return await self._responses.refuse(
            request, HandshakeRefused(reason, message, headers=headers)
        )
