"""The callback path: Wix's answer is checked and proved, and the installation stored.

The flows differ in the proof alone (`_install_proof`): a code that is exchanged, or a signed
instance for which Wix grants a token.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final, NoReturn

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wix_asgi.asgi.cookies import read_cookies
from wix_asgi.client.client import ClientFactory
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.concurrency.purge import Purge
from wix_asgi.errors import (
    HandshakeRefused,
    NotInstalled,
    Reason,
    StorageUnavailable,
    WixError,
    WixUnavailable,
)
from wix_asgi.handshake._admission import Admission
from wix_asgi.handshake._code_exchange import CodeExchange
from wix_asgi.handshake._completion import Completion
from wix_asgi.handshake._flows import Copies, FlowRun, Flows, UsedState
from wix_asgi.handshake._install_proof import InstallProof, ProvenInstall
from wix_asgi.handshake._next_page import NextPage
from wix_asgi.handshake._outcome import Installed, Refused
from wix_asgi.handshake._query import Query, read_query
from wix_asgi.handshake._repeats import Repeats
from wix_asgi.handshake._requests import refuse_automatic_loads, refuse_other_methods
from wix_asgi.handshake._retrying import Retrying
from wix_asgi.handshake._state_use import AlreadyUsed, StateUse, StateUses
from wix_asgi.handshake._wix_slots import WixSlots
from wix_asgi.handshake.external_install import ExternalInstall
from wix_asgi.handshake.on_install import OnInstall
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.handshake.responses import Responses, caught, final_reason
from wix_asgi.handshake.state import Flow, StateSigner
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import AccessToken, InstallFlow
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import FINISHED, Endpoints
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage
from wix_asgi.tokens.cache import TokenCache

__all__ = ["MAX_EXCHANGES", "Callback"]

logger = logging.getLogger("wix_asgi")

MAX_EXCHANGES: Final = 50
"""Callbacks of a process that may ask Wix at once, each with a connection of the installs' pool.

Codes that strangers make up reach Wix as well, so there is a bound; a callback above it is told to
come back, and loses nothing. The number is a choice, not a measurement: at a second for the two
questions of an install it is fifty installs a second, far more than an app has.
"""


class Callback:
    """Finishes an install at each `GET`; shared by all requests and event loops."""

    def __init__(
        self,
        *,
        settings: WixSettings,
        endpoints: Endpoints,
        signer: StateSigner,
        storage: Storage,
        installations: InstallationRepository,
        oauth: OAuthClient,
        tokens: TokenCache,
        clients: ClientFactory,
        detached: DetachedTasks,
        on_install: OnInstall,
        responses: Responses,
        max_exchanges: int = MAX_EXCHANGES,
        policy: CallbackPolicy | None = None,
    ) -> None:
        """Ask Wix through `oauth`, with at most `max_exchanges` callbacks of the process at once.

        All other arguments are the parts of the app, and their owner closes them.
        """
        self._settings = settings
        self._signer = signer
        self._oauth = oauth
        self._tokens = tokens
        self._clients = clients
        self._on_install = on_install
        self._responses = responses
        self._policy = policy or CallbackPolicy()
        retrying = Retrying(self._policy)
        self._proof: InstallProof = (
            CodeExchange(oauth, retrying, app_id=settings.app_id, policy=self._policy)
            if settings.flow is InstallFlow.ADVANCED
            else ExternalInstall(settings, oauth)
        )
        self._completion = Completion(installations, retrying)
        self._slots = WixSlots(max_exchanges)
        self._admission = Admission(self._policy)
        self._uses = StateUses(storage, detached, state_ttl=settings.state_ttl)
        self._flows = Flows(detached, self._policy)
        self._next_page = NextPage(settings, endpoints, tokens)
        self._repeats = Repeats(
            uses=self._uses,
            flows=self._flows,
            admission=self._admission,
            installations=installations,
            next_page=self._next_page,
            responses=responses,
            policy=self._policy,
        )
        self._purge = Purge(storage.purge, detached)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI app."""
        request = Request(scope, receive)
        response = await self._responses.answer(request, self._finish(request))
        await response(scope, receive, send)

    async def _finish(self, request: Request) -> Response:
        """Check the request and its browser, and answer with the outcome of its flow."""
        refuse_other_methods(request, allow="GET")
        refuse_automatic_loads(request)
        query = read_query(request.scope["query_string"], self._proof.parameters)
        flow = self._signer.check(query.get("state"))
        await self._check_browser(request, flow)
        run = self._flows.running(flow)
        if run is None and self._flows.used(flow) is None:
            refusal = self._proof.refusal(query)
            if refusal is not None and final_reason(refusal) is None:
                raise refusal
            if refusal is not None and self._admission.are_denials_spent:
                return await self._refuse_at_once(request, flow, refusal)
            # Here, not in the task: a Wix that is closing waits for its tasks before it can open.
            await self._clients.ready()
            # A browser that hangs up from here on does not cost the site owner the install.
            use = self._uses.of(flow)
            run = self._flows.start(
                flow, use, lambda run: self._run(request, query, flow, run, refusal)
            )
        response = None
        if run is not None:
            try:
                response = await run.next_response(self._policy.answer_wait)
            except TimeoutError:
                return self._repeats.finishing(request, run.incident)
            self._purge.start()
        return response or await self._repeats.answer(request, flow)

    async def _check_browser(self, request: Request, flow: Flow) -> None:
        """Refuse every browser but the one in which the flow began."""
        cookies = read_cookies(request.scope["headers"], self._signer.cookie_prefix)
        if flow.is_bound_to(cookies):
            return
        if flow.cookie_name not in cookies and await self._repeats.is_used(
            flow, self._clients.ready
        ):
            # The cookie went when the flow ended: this is a reload.
            raise HandshakeRefused(Reason.STATE_REUSED)
        raise HandshakeRefused(Reason.BROWSER_MISMATCH)

    async def _run(
        self,
        request: Request,
        query: Query,
        flow: Flow,
        run: FlowRun,
        refusal: HandshakeRefused | None,
    ) -> Copies | None:
        """Install, and keep the outcome; None where the kept outcome answers all loads."""
        work = self._refuse(run.use, refusal) if refusal else self._install(request, query, run)
        end = await caught(work)
        if isinstance(end, AlreadyUsed):
            if self._uses.can_be_read:
                self._flows.remember(flow, UsedState())
            return None
        if isinstance(end, Exception):
            response, reason = await self._responses.refuse(request, end), final_reason(end)
            if reason is None:
                return Copies(response)
            await self._repeats.keep(flow, run.use, UsedState(Refused(reason)))
            return self._copies(response, flow)
        instance_id, response_of_hook = end
        if response_of_hook:
            await self._responses.begin_session(request, response_of_hook, instance_id, run.claims)
        copies = self._copies(response_of_hook, flow) if response_of_hook else None
        await self._repeats.keep(flow, run.use, UsedState(Installed(instance_id), copies))
        return copies or await self._lead_on(request, instance_id, flow, run)

    async def _install(
        self, request: Request, query: Query, run: FlowRun
    ) -> tuple[str, Response | None]:
        """Use up the state and the proof, keep the installation, and tell the app of it."""
        proven = await self._proof.prove(query, run, self._turn(request, run.use))
        run.claims = proven.claims
        stored = await self._store(proven, run.begun_at)
        response = await self._on_install.tell(stored, request)
        if self._settings.finish_setup:
            await self._finish_setup(proven.instance_id, proven.grant.access_token)
        return proven.instance_id, response and self._responses.with_headers(
            response, from_hook=True
        )

    @contextlib.asynccontextmanager
    async def _turn(self, request: Request, use: StateUse) -> AsyncIterator[None]:
        """Use the state up, and hold a slot at Wix for the block."""
        async with self._slots.slot(request.scope):
            async with self._admission.claim_slot():
                await use.take()
            yield

    async def _lead_on(
        self, request: Request, instance_id: str, flow: Flow, run: FlowRun
    ) -> Copies | None:
        """Return the redirect after an install; None where there is no token for it just now."""
        try:
            response = await self._next_page.after(instance_id)
        except (NotInstalled, StorageUnavailable, WixUnavailable):
            return None
        await self._responses.begin_session(request, response, instance_id, run.claims)
        return self._copies(self._responses.with_headers(response), flow)

    def _copies(self, response: Response, flow: Flow) -> Copies:
        """Return the last response of a flow for all of its loads, with its cookie cleared."""
        self._responses.clear_cookie(response, flow.cookie_name)
        return Copies(response)

    async def _refuse(self, use: StateUse, refusal: HandshakeRefused) -> NoReturn:
        """Use the state up where the rate of denials allows it; else it is left to expire."""
        with self._admission.denial() as may_leave_row:
            if may_leave_row:
                await use.take(ending=Refused(refusal.reason))
        raise refusal

    async def _refuse_at_once(
        self, request: Request, flow: Flow, refusal: HandshakeRefused
    ) -> Response:
        """Refuse without a task of its own: nothing is written that a hang-up could cut off."""
        response = await self._responses.refuse(request, refusal)
        self._responses.clear_cookie(response, flow.cookie_name)
        return response

    async def _store(self, proven: ProvenInstall, begun_at: float) -> StoredInstallation:
        instance_id = proven.instance_id
        stored = await self._completion.store(
            proven, begun_at=begun_at, owes_on_install=self._on_install.is_wanted
        )
        self._tokens.adopt(instance_id, proven.grant.access_token)
        logger.info("installed on site %s", instance_id, extra={"instance_id": instance_id})
        return stored

    async def _finish_setup(self, instance_id: str, token: AccessToken) -> None:
        """Tell Wix that the setup is finished; an event that fails costs no install."""
        try:
            await self._oauth.send_event(token, FINISHED)
        except Exception as exc:
            logger.warning(
                "%s was not sent, wix.finish_setup() can do it later: %s (site %s)",
                FINISHED,
                exc if isinstance(exc, WixError) else type(exc).__name__,
                instance_id,
                extra={"instance_id": instance_id},
            )
