"""The sync side of a Wix: `wix.sync`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from typing import Protocol, TypeVar

from wix_asgi.client.client import ClientFactory
from wix_asgi.client.sync_client import SyncWixClient, sync_client
from wix_asgi.concurrency.portal import portal
from wix_asgi.identity.callers import KnownCaller
from wix_asgi.models import Identity, Installation

__all__ = ["SyncWix"]

T = TypeVar("T")


class _AsyncWix(Protocol):
    """The part of a `Wix` that has a sync side."""

    @property
    def clients(self) -> ClientFactory: ...

    async def identify(self, value: str | None) -> Identity: ...

    def installations(self) -> AsyncIterator[Installation]: ...

    async def remove(
        self, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool: ...

    async def finish_setup(self, instance_id: str) -> None: ...

    def warm(self) -> None: ...


class SyncWix:
    """A Wix for code that cannot await: Flask, Django, Celery, scripts, `def` endpoints.

    All of it runs on the portal, an event loop in a thread of the process, beside the event loops
    on which the same Wix is used. The storage opens there with the first use; the process closes it
    at its end. Threads, greenlets and forked processes may share it.
    """

    def __init__(self, wix: _AsyncWix) -> None:
        """Be the sync side of `wix`."""
        self._wix = wix
        self._is_warm = False

    def client(self, instance_id: str) -> SyncWixClient:
        """Return an authenticated client for this installation; it needs no closing."""
        caller = KnownCaller(instance_id)
        self._warm()
        return sync_client(self._wix.clients, lambda: caller)

    def identify(self, value: str | None) -> Identity:
        """Return the caller whom a proof of Wix names; raises the errors of `Wix.identify`."""
        return self._call(lambda: self._wix.identify(value))

    def installations(self) -> Iterator[Installation]:
        """Iterate over the sites the app is installed on, read a page at a time."""
        installations = aiter(self._wix.installations())
        while True:
            try:
                yield self._call(lambda: anext(installations))
            except StopAsyncIteration:
                return

    def remove(self, instance_id: str, *, installed_before: datetime | None = None) -> bool:
        """Remove this installation, as `Wix.remove` does; returns and raises the same."""
        return self._call(lambda: self._wix.remove(instance_id, installed_before=installed_before))

    def finish_setup(self, instance_id: str) -> None:
        """Tell Wix that this site's setup is finished, as `Wix.finish_setup`; raises its errors."""
        self._call(lambda: self._wix.finish_setup(instance_id))

    def _call(self, work: Callable[[], Awaitable[T]]) -> T:
        self._warm()
        return portal().call(work)

    def _warm(self) -> None:
        if not self._is_warm:
            self._wix.warm()
            self._is_warm = True
