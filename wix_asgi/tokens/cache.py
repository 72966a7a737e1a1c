"""A valid access token for an installation: cached, refreshed ahead, refreshed once.

A token's life has three windows, scaled to the lifetime it was granted for. *Fresh*: it is served.
*Advisory* (the last 30 %, at most 90 s, jittered): it is served, and one caller starts a refresh in
the background. *Mandatory* (the last 7 %, at most 20 s): callers wait for the refresh.

Once a minute a call has the row of its token read (`recheck`): a removed installation is served no
more, and a token that another process has stored is taken over.

In a process all callers share one refresh, which is detached from them: a caller that is cancelled
takes no other down. Over all processes there is one lease in storage. Nothing is held while a
caller's own request is sent.
"""

from __future__ import annotations

import logging
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks, Interrupted
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.errors import StorageUnavailable, WixError, WixUnavailable
from wix_asgi.models import AccessToken
from wix_asgi.reporting.one_line import one_line
from wix_asgi.tokens._storage_watch import Progress, Stage
from wix_asgi.tokens._values import CachedToken, UnwantedValues
from wix_asgi.tokens.recheck import Rechecks
from wix_asgi.tokens.refresh import Refresher

__all__ = ["TokenCache"]

logger = logging.getLogger("wix_asgi")


@dataclass(frozen=True, slots=True)
class _Refresh:
    """A refresh under way."""

    task: DetachedTask[AccessToken]
    unwanted: UnwantedValues
    progress: Progress


@dataclass(slots=True)
class _LoopState:
    """The cache and the refreshes of one event loop: no other loop can wait for its tasks."""

    cache: OrderedDict[str, CachedToken] = field(default_factory=OrderedDict)
    refreshes: dict[str, _Refresh] = field(default_factory=dict)
    rechecks: dict[str, DetachedTask[None]] = field(default_factory=dict)


class TokenCache:
    """Serves access tokens by instance id; the cache is bounded and belongs to the event loop."""

    def __init__(
        self,
        refresher: Refresher,
        detached: DetachedTasks,
        rechecks: Rechecks,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Serve the tokens of `refresher`, under its policy, while `rechecks` find their rows.

        `clock` gives monotonic seconds, `jitter` 0 to 1.
        """
        self._refresher = refresher
        self._policy = refresher.policy
        self._detached = detached
        self._rechecks = rechecks
        self._clock = clock
        self._jitter = jitter
        self._loops = PerLoop(_LoopState)

    async def get(self, instance_id: str) -> AccessToken:
        """Return a token that is good for the next request.

        Raises:
            NotInstalled: The app is not on this site, or Wix refuses its refresh token for good.
            WixUnavailable: The token is used up and Wix is failing.
            WixMisconfigured: The token is used up and Wix refuses the app's credentials.
            StorageUnavailable: The token is used up and the storage is failing.
            UnsealError: The stored tokens cannot be read.
        """
        state = self._loops.here()
        entry = state.cache.get(instance_id)
        if entry is None:
            return await self._wait(state, instance_id)
        state.cache.move_to_end(instance_id)
        if self._clock() < entry.quiet_until:
            return entry.token
        if entry.recheck_at <= self._clock() < entry.token.expires_at:
            await self._recheck(state, instance_id, entry)
        return await self._get_due(state, instance_id)

    async def renew(self, instance_id: str, refused: AccessToken) -> AccessToken:
        """Return a token other than `refused`, which Wix answered with a 401.

        Should Wix grant that very token again, it is returned after two refreshes at most. So is,
        without a refresh, a token that was renewed for a 401 and answered with a 401 again, less
        than ten seconds ago.

        Raises:
            Exception: The errors that `get` raises.
        """
        state = self._loops.here()
        entry = state.cache.get(instance_id)
        if entry is not None and entry.token.value == refused.value:
            if self._clock() < entry.useless_until:
                return refused
            del state.cache[instance_id]
        token = await self.get(instance_id) if instance_id in state.cache else refused
        for _ in range(self._policy.max_renewals):
            if token.value != refused.value:
                break
            token = await self._wait(state, instance_id, refused)
        return token

    def note_useless(self, instance_id: str, token: AccessToken) -> None:
        """Note that Wix answers with a 401 to a token that was renewed for a 401."""
        entry = self._loops.here().cache.get(instance_id)
        if entry is not None and entry.token.value == token.value:
            entry.useless_until = self._clock() + self._policy.useless_renewal_pause

    def adopt(self, instance_id: str, token: AccessToken) -> None:
        """Serve `token` from now on: a new installation brought it."""
        state = self._loops.here()
        self._refresher.forget(instance_id)
        # A refresh under way belongs to the installation before this one.
        state.refreshes.pop(instance_id, None)
        self._keep(state, instance_id, token)

    def note_origin(self, instance_id: str, origin_instance_id: str) -> None:
        """Note of which installation a verified caller says that this one is a copy."""
        if instance_id not in self._loops.here().cache:
            self._refresher.note_origin(instance_id, origin_instance_id)

    def forget(self, instance_id: str) -> None:
        """Drop the token of a removed installation, and that of a refresh under way.

        Other event loops drop theirs at their next recheck.
        """
        state = self._loops.here()
        state.cache.pop(instance_id, None)
        state.refreshes.pop(instance_id, None)

    async def _get_due(self, state: _LoopState, instance_id: str) -> AccessToken:
        """Return a token after a recheck, which may have dropped or replaced it, by its window."""
        entry = state.cache.get(instance_id)
        if entry is None:
            return await self._wait(state, instance_id)
        now = self._clock()
        if now < entry.advisory_at:
            return entry.token
        if now < entry.mandatory_at:
            self._join(state, instance_id)
            return entry.token
        return await self._get_late(state, instance_id, entry)

    async def _recheck(self, state: _LoopState, instance_id: str, entry: CachedToken) -> None:
        """Have the row read in the background; wait for that, in bounds, if it is overdue."""
        rechecks = self._rechecks
        is_overdue = self._clock() >= entry.overdue_at
        task = state.rechecks.get(instance_id)
        if task is None:
            if not rechecks.may_begin(len(state.rechecks), is_overdue=is_overdue):
                return
            task = state.rechecks[instance_id] = self._detached.start(
                lambda: self._run_recheck(state, instance_id, entry), is_waited_for=False
            )
        if is_overdue and not rechecks.is_late:
            await rechecks.wait_for(task)

    async def _run_recheck(self, state: _LoopState, instance_id: str, entry: CachedToken) -> None:
        """Drop or replace the token as its row says, unless a newer one was cached meanwhile."""
        began = self._clock()
        try:
            stored = await self._rechecks.read(instance_id)
        except Exception:
            entry.recheck_at = self._rechecks.retry_at()
            entry.plan()
            return
        finally:
            del state.rechecks[instance_id]
        if state.cache.get(instance_id) is not entry:
            # An install or a refresh of this process: its token may be newer than the row is.
            return
        if stored is None:
            del state.cache[instance_id]
            return
        if stored.owes_on_install:
            self._refresher.note_owed(instance_id)
        if stored.unreadable is not None:
            # Sealed with a key that this process lacks: the installation is there.
            self._note_read(entry, began)
        elif stored.access_token is None or stored.access_token.value != entry.token.value:
            # Another process has refreshed, or installed anew.
            del state.cache[instance_id]
            if token := stored.live_token(self._clock(), ()):
                self._keep(state, instance_id, token, read_at=began)
        else:
            self._note_read(entry, began)

    async def _get_late(
        self, state: _LoopState, instance_id: str, entry: CachedToken
    ) -> AccessToken:
        """Wait for the successor of a token in its mandatory window, while that token lives."""
        left = entry.token.expires_at - self._clock()
        if left <= 0:
            return await self._wait(state, instance_id)
        try:
            # Half of the rest, so that the token in hand does not die while its caller waits.
            seconds = min(self._policy.caller_wait, left / 2)
            return await self._wait(state, instance_id, seconds=seconds)
        except WixError:
            if self._clock() < entry.token.expires_at:
                return entry.token
        return await self._wait(state, instance_id)

    async def _wait(
        self,
        state: _LoopState,
        instance_id: str,
        refused: AccessToken | None = None,
        *,
        seconds: float | None = None,
    ) -> AccessToken:
        watch = self._refresher.storage_watch
        patience = self._policy.caller_wait if seconds is None else seconds
        if watch.caller_wait == 0.0:
            raise StorageUnavailable("The storage failed a moment ago.")
        refresh = self._join(state, instance_id, refused)
        try:
            with anyio.move_on_after(min(patience, watch.caller_wait)):
                return await refresh.task.result()
        except Interrupted:
            raise WixUnavailable("The process is shutting down.") from None
        if refresh.progress.stage is not Stage.STORAGE:
            raise WixUnavailable("A refresh takes too long.")
        error = StorageUnavailable("The storage takes too long to answer.")
        # A caller with a living token has little patience, which says nothing of the storage.
        if seconds is None or watch.is_failing:
            watch.note_time_out(instance_id, error)
        raise error

    def _join(
        self, state: _LoopState, instance_id: str, refused: AccessToken | None = None
    ) -> _Refresh:
        """Join the refresh under way, or start it; it is not to return `refused`."""
        refresh = state.refreshes.get(instance_id)
        if refresh is None:
            unwanted = UnwantedValues()
            if entry := state.cache.get(instance_id):
                unwanted.add(entry.token.value)
            progress = Progress(self._clock)
            task = self._detached.start(
                lambda: self._run_refresh(state, instance_id, unwanted, progress)
            )
            refresh = state.refreshes[instance_id] = _Refresh(task, unwanted, progress)
        if refused is not None:
            refresh.unwanted.add(refused.value)
        return refresh

    async def _run_refresh(
        self,
        state: _LoopState,
        instance_id: str,
        unwanted: UnwantedValues,
        progress: Progress,
    ) -> AccessToken:
        """Refresh, and keep the outcome unless a new installation came in between."""

        def finish() -> bool:
            """End as the current refresh; False where a new installation has taken its place."""
            refresh = state.refreshes.get(instance_id)
            if refresh is None or refresh.unwanted is not unwanted:
                return False
            del state.refreshes[instance_id]
            return True

        try:
            token = await self._refresher.refresh(instance_id, unwanted, progress)
        except BaseException as exc:
            if finish():
                self._put_off(state, instance_id, exc)
            raise
        if finish():
            self._keep(state, instance_id, token)
        return token

    def _keep(
        self,
        state: _LoopState,
        instance_id: str,
        token: AccessToken,
        *,
        read_at: float | None = None,
    ) -> None:
        policy = self._policy
        # Jittered, so that installations that began together do not refresh together.
        advisory = policy.advisory_window(token.lifetime) * (1 + (self._jitter() - 0.5) / 3)
        mandatory = policy.mandatory_window(token.lifetime)
        entry = CachedToken(token, token.expires_at - advisory, token.expires_at - mandatory)
        self._note_read(entry, self._clock() if read_at is None else read_at)
        state.cache[instance_id] = entry
        state.cache.move_to_end(instance_id)
        if len(state.cache) > policy.max_cached_tokens:
            state.cache.popitem(last=False)

    def _note_read(self, entry: CachedToken, read_at: float) -> None:
        """Plan the next recheck: the row had this token at the moment `read_at`."""
        entry.recheck_at = self._rechecks.due_after(read_at)
        entry.overdue_at = read_at + self._rechecks.policy.overdue
        entry.plan()

    def _put_off(self, state: _LoopState, instance_id: str, exc: BaseException) -> None:
        """Serve a living token for a while before the next refresh is started."""
        entry = state.cache.get(instance_id)
        if entry is None or entry.token.expires_at <= self._clock():
            return
        logger.warning(
            "a refresh failed, the current token is served: %s (site %s)",
            one_line(str(exc)) if isinstance(exc, WixError) else type(exc).__name__,
            instance_id,
            extra={"instance_id": instance_id},
        )
        later = self._clock() + self._policy.failure_pause * (0.5 + self._jitter())
        entry.advisory_at = min(later, entry.token.expires_at)
        entry.mandatory_at = max(entry.mandatory_at, entry.advisory_at)
        entry.plan()
