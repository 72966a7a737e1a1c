"""One refresh of one installation, over all processes and hosts."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Container, Iterator
from functools import partial

import anyio

from wix_asgi.errors import NotInstalled, StorageUnavailable, WixUnavailable
from wix_asgi.installations.claims import refresh_lease
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.leases.lease import Lease, RowVersion
from wix_asgi.models import AccessToken, InstallFlow
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.storage import Storage
from wix_asgi.tokens._admission import Admission
from wix_asgi.tokens._attempt import Attempt
from wix_asgi.tokens._finder import Finder
from wix_asgi.tokens._grant_rules import GrantRules
from wix_asgi.tokens._grant_source import GrantSource
from wix_asgi.tokens._leader import Leader
from wix_asgi.tokens._lease_terms import LeaseTerms, RefreshTerms
from wix_asgi.tokens._look import Step, token_without_refresh
from wix_asgi.tokens._storage_watch import Progress, Stage, StorageWatch
from wix_asgi.tokens.policy import RefreshPolicy

__all__ = ["Refresher"]


def _ignore(_: object) -> None: ...


class Refresher:
    """Brings a living access token: another process has stored it, or Wix grants it.

    It looks at the stored installation, and then takes one step: it uses the token, leads the
    refresh as the lease holder, or waits for the lease holder or for a slot at Wix.

    Attributes:
        policy: The numbers of all refreshes.
        storage_watch: Whether the storage has failed the latest refresh.
    """

    def __init__(
        self,
        installations: InstallationRepository,
        storage: Storage,
        oauth: OAuthClient,
        *,
        app_id: str,
        flow: InstallFlow = InstallFlow.ADVANCED,
        recover: bool = True,
        note_owed: Callable[[str], object] = _ignore,
        note_lost: Callable[[NotInstalled], object] = _ignore,
        policy: RefreshPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Work for the app `app_id`, whose settings are `flow` and `recover`.

        `note_owed` gets the instance id of each installation that was found at Wix, or whose row
        says that `on_install` is owed, at every read of it. `note_lost` gets one error for each
        installation to which Wix refuses every grant. Both return at once. `clock` gives monotonic
        seconds, `jitter` 0 to 1.
        """
        self.policy = policy or RefreshPolicy()
        self.storage_watch = StorageWatch(self.policy, clock=clock)
        self._installations = installations
        self._storage = storage
        self._app_id = app_id
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._admission = Admission(oauth, policy=self.policy, jitter=jitter, sleep=sleep)
        self._terms = LeaseTerms(
            storage, app_id, policy=self.policy, longest_call=oauth.longest_call, clock=clock
        )
        self._rules = GrantRules(flow=flow, recover=recover)
        source = GrantSource(oauth, self._rules)
        self.note_owed = note_owed
        self._finder = Finder(
            installations,
            oauth,
            source,
            self._rules,
            policy=self.policy,
            clock=clock,
            note_owed=note_owed,
        )
        self._leader = Leader(
            installations,
            source,
            self._finder,
            self._terms,
            self._rules,
            policy=self.policy,
            clock=clock,
            jitter=jitter,
            sleep=sleep,
            note_lost=note_lost,
        )

    async def refresh(
        self, instance_id: str, unwanted: Container[str], progress: Progress | None = None
    ) -> AccessToken:
        """Return a living token whose value is none of `unwanted`, which may grow meanwhile.

        `progress` is kept up to date, for callers that give up before the end.

        Raises:
            NotInstalled: There is no such installation, or Wix refuses each grant that is tried.
            WixUnavailable: Wix is failing, or another process or other refreshes take too long.
            WixMisconfigured: Wix refuses the app's credentials.
            UnsealError: The refresh token cannot be read, and nothing may take its place.
            StorageUnavailable: The storage is failing, or too many refreshes queue for it.
        """
        return await self._watched(instance_id, unwanted, progress or Progress(self._clock))

    async def ask(self, instance_id: str) -> None:
        """Ask Wix whether the app is still on the site of a stored installation.

        It is where Wix grants a token, which is stored; a refusal is noted nowhere.

        Raises:
            NotInstalled: Wix refuses each grant of the installation, or there is none.
            NoAnswer: The installation has no grant to ask by.
            WixUnavailable: Wix is failing, or another process or other refreshes take too long.
            WixMisconfigured: Wix refuses the app's credentials.
            StorageUnavailable: The storage is failing, or too many refreshes queue for it.
        """
        await self._watched(instance_id, (), Progress(self._clock), is_question=True)

    def forget(self, instance_id: str) -> None:
        """Drop a remembered no of Wix: the app may have been installed on this site since."""
        self._finder.forget(instance_id)

    def note_origin(self, instance_id: str, origin_instance_id: str) -> None:
        """Note the origin of a copied site, for the case that its installation is not stored."""
        self._finder.note_origin(instance_id, origin_instance_id)

    async def _watched(
        self,
        instance_id: str,
        unwanted: Container[str],
        progress: Progress,
        *,
        is_question: bool = False,
    ) -> AccessToken:
        try:
            return await self._refresh(instance_id, unwanted, progress, is_question=is_question)
        except StorageUnavailable as exc:
            self.storage_watch.note_failure(instance_id, exc, self._clock() - progress.since)
            raise

    async def _refresh(
        self, instance_id: str, unwanted: Container[str], progress: Progress, *, is_question: bool
    ) -> AccessToken:
        began = self._clock()
        polls = self._poll_pauses(began + self._leader.usual_seconds)
        terms = RefreshTerms(self._terms)
        lease = Lease(
            self._storage,
            refresh_lease(self._app_id, instance_id),
            terms=terms,
            title="a refresh lease",
            clock=self._clock,
        )
        await self._admission.spread_arrivals()
        with self._admission.slot_at_wix() as slot:
            attempt = Attempt(instance_id, unwanted, lease, terms, slot, progress, is_question)
            while self._clock() < began + self.policy.budget:
                progress.enter(Stage.STORAGE)
                step = await self._look(attempt)
                if step is Step.LEAD:
                    step = await self._lead(attempt)
                if isinstance(step, AccessToken):
                    return step
                progress.enter(Stage.PEERS)
                if step is Step.WAIT_FOR_SLOT:
                    await slot.wait(self.policy.slot_wait)
                elif step is Step.WAIT_FOR_HOLDER:
                    slot.release()
                    await self._sleep(next(polls))
        raise WixUnavailable("Another process, or refreshes of other tokens, take too long.")

    async def _look(self, attempt: Attempt) -> AccessToken | Step:
        """Look at the stored installation; where a refresh is due, try to get the lease for it."""
        slot, lease = attempt.slot, attempt.lease
        with await self._admission.reader_slot():
            # First of all: a process without a slot at Wix leaves the lease to other processes.
            slot.take()
            stored = await self._installations.get(attempt.instance_id)
            self.storage_watch.note_answer()
            if not attempt.is_question and (token := self._token_without_refresh(stored, attempt)):
                return token
            if self._admission.is_hopeless(slot):
                if (
                    stored is not None
                    and not attempt.is_question
                    and (token := stored.live_token(self._clock(), attempt.unwanted))
                ):
                    return token
                raise WixUnavailable("Too many refreshes wait for Wix already.")
            if not slot.is_taken:
                return Step.WAIT_FOR_SLOT
            if lease.is_due(self.policy.lease_ask_pause):
                attempt.terms.set_for(stored)
                await attempt.terms.recall()
                await lease.take(
                    None
                    if stored is None
                    else RowVersion(self._app_id, stored.instance_id, stored.version)
                )
                attempt.unchanged = stored if lease.is_of_row else None
            return Step.LEAD if lease.is_held else Step.WAIT_FOR_HOLDER

    def _token_without_refresh(
        self, stored: StoredInstallation | None, attempt: Attempt
    ) -> AccessToken | None:
        if stored is None:
            self._finder.check(attempt.instance_id)
            return None
        if stored.owes_on_install:
            self.note_owed(attempt.instance_id)
        return token_without_refresh(
            stored, attempt.unwanted, self._clock(), self.policy, self._rules
        )

    async def _lead(self, attempt: Attempt) -> AccessToken | Step:
        try:
            return await attempt.lease.while_renewing(partial(self._leader.lead, attempt))
        finally:
            await attempt.lease.give_back()

    def _poll_pauses(self, usually_over_at: float) -> Iterator[float]:
        """Yield the pauses between looks; the first lasts until a refresh is usually over."""
        pause = self.policy.first_poll
        while True:
            rest = max(0.0, usually_over_at - self._clock())
            yield rest + pause * (0.5 + self._jitter())
            pause = min(2 * pause, self.policy.last_poll)
