"""Moves installations from refresh tokens to client credentials, and back, while the app serves.

A refresh token stays in its row when the installation is moved, so that it can be moved back, until
it is forgotten. Nothing is to be remembered between two runs: each installation's row says whether
it has been moved.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio

from wix_asgi.errors import GrantRefused, WixError, WixMisconfigured, WixUnavailable
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.scan import DatedRecord, RecordScan
from wix_asgi.models import Grant
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.operations._asking import AskPolicy, PatientAsker
from wix_asgi.operations._decisions import Decision, Decisions, Outcome, is_moved
from wix_asgi.operations._leased_rows import LeasedRows
from wix_asgi.protocol.app_installations import PATH, ListingCredential, parse_installations
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import Storage

__all__ = ["AskPolicy", "Migration", "Outcome", "SiteReport"]

_IN_VAIN: Final = "Wix fails for one installation after another, so the rest was not tried."


@dataclass(frozen=True, slots=True)
class SiteReport:
    """The outcome of one installation; in a dry run, the outcome that writing would have.

    Attributes:
        reason: Why it is kept, refused, or has failed; else empty.
    """

    instance_id: str
    outcome: Outcome
    reason: str = ""

    @property
    def is_trouble(self) -> bool:
        """Whether an operator has to look at it."""
        return self.outcome in {Outcome.REFUSED, Outcome.FAILED}


class Migration:
    """One run over the installations of an app.

    It may be interrupted at any point, and a later run goes on from there. Workers go on serving: a
    row is written by comparison, under the lease of its refresh, and only after Wix has granted a
    token by client credentials.

    Attributes:
        counts: How many installations had each outcome.
    """

    def __init__(
        self,
        app_id: str,
        storage: Storage,
        vault: Vault,
        endpoints: Endpoints,
        oauth: OAuthClient,
        *,
        applies: bool,
        report: Callable[[SiteReport], object] = lambda _: None,
        tell_pause: Callable[[str, float], object] = lambda _why, _seconds: None,
        policy: AskPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Write only if this run `applies`; else it is a dry run.

        `report` is called once for each installation, and `tell_pause` with Wix's failure and the
        seconds of each pause. `clock` gives monotonic seconds, and `jitter` 0 to 1.
        """
        self.counts: Counter[Outcome] = Counter()
        self._app_id = app_id
        self._storage = storage
        self._decisions = Decisions(vault, clock=clock)
        self._endpoints = endpoints
        self._oauth = oauth
        self._read_page = partial(parse_installations, app_id=app_id)
        self._applies = applies
        self._report = report
        self._policy = policy or AskPolicy()
        self._failed_in_a_row = 0
        self._clock = clock
        self._rows = LeasedRows(storage, app_id, clock=clock, sleep=sleep)
        self._asker = PatientAsker(
            self._policy, tell_pause=tell_pause, clock=clock, jitter=jitter, sleep=sleep
        )
        self._installations = InstallationRepository(app_id, storage, vault, clock=clock)

    @property
    def has_trouble(self) -> bool:
        """Whether an installation was refused, or has failed."""
        return any(self.counts[outcome] for outcome in (Outcome.REFUSED, Outcome.FAILED))

    async def move(self) -> None:
        """Move every stored installation that Wix grants a token by client credentials.

        Raises:
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: Wix fails for all installations; the rest was not tried.
            StorageUnavailable: The storage cannot be reached.
        """
        waiting: list[str] = []
        async for dated in self._scan():
            if is_moved(dated.record):
                self._tell(dated.record.instance_id, Decision(Outcome.KEPT, "moved before"))
                continue
            waiting.append(dated.record.instance_id)
            if len(waiting) == self._policy.at_once:
                await self._ask_for_all(waiting, self._move)
                waiting.clear()
        await self._ask_for_all(waiting, self._move)

    async def add(self, instance_ids: Iterable[str]) -> None:
        """Store the installations of these that Wix grants a token; those stored are left out.

        The app's `on_install` is owed to them. Raises as `move`.
        """
        waiting: list[str] = []
        for instance_id in instance_ids:
            if await self._storage.get(self._app_id, instance_id) is not None:
                continue
            waiting.append(instance_id)
            if len(waiting) == self._policy.at_once:
                await self._ask_for_all(waiting, self._add)
                waiting.clear()
        await self._ask_for_all(waiting, self._add)

    async def move_back(self) -> None:
        """Have every moved installation use its refresh token again, where it has one.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        await self._rewrite_all(self._decisions.moved_back)

    async def forget_refresh_tokens(self) -> None:
        """Empty the refresh token of every moved installation: it cannot be moved back then.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        await self._rewrite_all(self._decisions.forgotten)

    async def listed_at_wix(
        self, credential: ListingCredential | None, path: str = PATH
    ) -> list[str]:
        """Return the instance ids of all sites that have the app, as Wix lists them.

        Without a `credential` an access token of the first stored installations is tried.

        Raises:
            GrantRefused: Wix refuses the question, or there is no credential for it.
            WixUnavailable: Wix is failing.
            StorageUnavailable: The storage cannot be reached.
        """
        credential = credential or await self._borrowed_credential()
        found: list[str] = []
        cursor: str | None = None
        while True:
            request = self._endpoints.app_installations(credential, cursor, path)
            page = await self._asker.ask(partial(self._oauth.ask, request, self._read_page))
            found += page.instance_ids
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def _borrowed_credential(self) -> ListingCredential:
        tries_left = self._policy.at_once
        async for dated in self._scan():
            try:
                grant = await self._grant(dated.record.instance_id)
            except GrantRefused:
                tries_left -= 1
                if not tries_left:
                    break
            else:
                return ListingCredential(grant.access_token.value)
        raise GrantRefused("No stored installation has an access token to ask Wix with.")

    def _scan(self) -> RecordScan:
        return RecordScan(self._storage, self._app_id, clock=self._clock)

    def _tell(self, instance_id: str, decision: Decision) -> None:
        self.counts[decision.outcome] += 1
        self._report(SiteReport(instance_id, decision.outcome, decision.reason))

    async def _rewrite_all(self, decide: Callable[[DatedRecord], Decision]) -> None:
        async for dated in self._scan():
            decision = decide(dated)
            if decision.record is not None and self._applies:
                decision = await self._rows.rewrite(dated.record.instance_id, decide)
            self._tell(dated.record.instance_id, decision)

    async def _ask_for_all(
        self, instance_ids: list[str], work: Callable[[str], Awaitable[Decision]]
    ) -> None:
        """Do `work` for these at one time, and report them in their order.

        Raises:
            WixUnavailable: Wix fails for one installation after another.
            WixError: An error that is not about an installation, after all outcomes are reported.
        """
        found: dict[str, Decision | WixError] = {}

        async def work_on(instance_id: str) -> None:
            try:
                found[instance_id] = await work(instance_id)
            except WixError as exc:
                found[instance_id] = exc

        async with anyio.create_task_group() as tasks:
            for instance_id in instance_ids:
                tasks.start_soon(work_on, instance_id)
        errors = [self._settle(instance_id, found[instance_id]) for instance_id in instance_ids]
        for error in filter(None, errors):
            raise error

    def _settle(self, instance_id: str, found: Decision | WixError) -> WixError | None:
        """Report one installation, or return the error that ends the run."""
        is_failure = isinstance(found, WixUnavailable)
        self._failed_in_a_row = self._failed_in_a_row + 1 if is_failure else 0
        if isinstance(found, Decision):
            self._tell(instance_id, found)
        elif isinstance(found, GrantRefused | WixUnavailable):
            outcome = Outcome.FAILED if is_failure else Outcome.REFUSED
            self._tell(instance_id, Decision(outcome, found.message))
        else:
            return found
        is_hopeless = self._failed_in_a_row >= self._policy.hopeless
        return WixUnavailable(_IN_VAIN) if is_hopeless else None

    async def _grant(self, instance_id: str) -> Grant:
        return await self._asker.ask(partial(self._oauth.client_credentials, instance_id))

    async def _move(self, instance_id: str) -> Decision:
        grant = await self._grant(instance_id)
        if not self._applies:
            return Decision(Outcome.MOVED)
        return await self._rows.rewrite(instance_id, partial(self._decisions.moved, grant))

    async def _add(self, instance_id: str) -> Decision:
        grant = await self._grant(instance_id)
        # Ids from elsewhere may differ from Wix's in their case, which would make a second row.
        info = await self._asker.ask(lambda: self._oauth.token_info(grant.access_token.value))
        if info.instance_id != instance_id:
            return Decision(Outcome.REFUSED, "Wix answered for another instance id")
        if not self._applies:
            return Decision(Outcome.ADDED)
        addition = await self._installations.add(
            instance_id,
            grant,
            origin_instance_id=await self._origin(grant),
            owes_on_install=True,
        )
        if addition.is_stored:
            return Decision(Outcome.ADDED)
        return Decision(Outcome.KEPT, "stored meanwhile")

    async def _origin(self, grant: Grant) -> str | None:
        """Return the origin of a copied site; None, too, where Wix does not tell it."""
        try:
            site = await self._asker.ask(lambda: self._oauth.app_instance(grant.access_token))
        except (GrantRefused, WixMisconfigured, WixUnavailable):
            # The origin alone is lost: the token has proved the installation.
            return None
        return site.origin_instance_id if site else None
