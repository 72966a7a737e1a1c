"""The wait of one thread, or of one greenlet, until another thread wakes it."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final, Protocol

__all__ = ["HubWaker", "LockWaker", "Waker", "check_patches", "new_waker", "real"]


class Waker(Protocol):
    """One wait, by the thread or greenlet that made this."""

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for `wake`, and return whether it came within `seconds`; None is without end."""
        ...

    def wake(self) -> None:
        """End the wait, from any thread; nothing where it is over."""
        ...

    def close(self) -> None:
        """Give up what the wait has used, in the thread that made this."""
        ...


def real(module: str, name: str) -> Any:
    """Return a function of the standard library as it is without gevent's patches."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)


def is_gevent_patched() -> bool:
    """Whether the threads of this process are gevent's greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


_WAS_PATCHED: Final = is_gevent_patched()


def check_patches(*, was_patched: bool = _WAS_PATCHED) -> None:
    """Check that gevent's patches, if there are any, came before the import of wix-asgi.

    Raises:
        RuntimeError: They came later: queues that were imported before them would block the portal
            for ever.
    """
    if is_gevent_patched() and not was_patched:
        raise RuntimeError(
            "gevent.monkey.patch_all() was called after wix_asgi was imported: call it first. With "
            "gunicorn --preload, write it at the top of gunicorn.conf.py."
        )


def new_waker() -> Waker:
    """Return a waker that no other greenlet waits for, where threads are greenlets."""
    return HubWaker() if is_gevent_patched() else LockWaker()


class LockWaker:
    """Waits in its whole thread; a signal's handler that raises ends the wait."""

    def __init__(self) -> None:
        """Begin to be waited for."""
        self._lock = real("_thread", "allocate_lock")()
        self._lock.acquire()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for `wake`, `seconds` at most."""
        return bool(self._lock.acquire(timeout=-1 if seconds is None else seconds))

    def wake(self) -> None:
        """End the wait; it is called once."""
        self._lock.release()

    def close(self) -> None:
        """Do nothing: a lock is garbage after its use."""


class HubWaker:
    """Waits in its greenlet, so that other greenlets of the thread run."""

    def __init__(self) -> None:
        """Watch the hub of this thread."""
        # Loaded where its patches are; it has no types of its own.
        get_hub: Any = importlib.import_module("gevent").get_hub
        new_event: Any = importlib.import_module("gevent.event").Event
        self._event: Any = new_event()
        # The one object of gevent that another thread may touch (gevent.hub, "async watchers").
        self._watcher: Any = get_hub().loop.async_()
        self._watcher.start(self._event.set)
        # A real one, held for a moment: the other thread must not wake a closed watcher.
        self._lock = real("_thread", "allocate_lock")()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for `wake`, `seconds` at most."""
        return bool(self._event.wait(seconds))

    def wake(self) -> None:
        """End the wait."""
        with self._lock:
            if self._watcher is not None:
                self._watcher.send()

    def close(self) -> None:
        """End the watching."""
        with self._lock:
            watcher, self._watcher = self._watcher, None
        watcher.stop()
        watcher.close()
