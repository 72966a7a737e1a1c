"""The portal under gevent, whose patches it must see through."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import SimpleNamespace

import anyio
import gevent
import pytest

from tests.limits import PATIENCE
from wix_asgi.concurrency._wakers import HubWaker, LockWaker, check_patches, new_waker, real
from wix_asgi.concurrency.portal import Portal


def patch(monkeypatch: pytest.MonkeyPatch, *, is_patched: bool, original: object) -> None:
    """Have gevent's module of patches say whether this process is patched."""
    module = SimpleNamespace(
        is_module_patched=lambda _: is_patched, get_original=lambda _, __: original
    )
    monkeypatch.setitem(sys.modules, "gevent.monkey", module)


def test_gevents_patches_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patches have to be first; real functions, and the kind of a waker, depend on them."""
    lock = threading.Lock
    patch(monkeypatch, is_patched=True, original=lock)
    with pytest.raises(RuntimeError, match="call it first"):
        check_patches(was_patched=False)
    check_patches(was_patched=True)
    of_greenlet, original = new_waker(), real("_thread", "start_new_thread")
    of_greenlet.close()
    patch(monkeypatch, is_patched=False, original=lock)
    check_patches(was_patched=False)
    of_thread = new_waker()
    monkeypatch.delitem(sys.modules, "gevent.monkey")

    assert lock is original
    assert isinstance(of_greenlet, HubWaker)
    assert isinstance(of_thread, LockWaker)
    assert threading.get_ident is real("threading", "get_ident")


def test_greenlets_wait_for_nothing_but_their_own_call() -> None:
    """While a greenlet waits for the portal, others of its thread run; a timeout cancels."""
    go, cancelled = threading.Event(), threading.Event()
    one = Portal(new_waker=HubWaker)

    async def wait() -> str:
        while not go.is_set():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.001)
        return "done"

    async def hang() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    waiting = gevent.spawn(one.call, wait)
    gevent.spawn(go.set)
    waiting.join(PATIENCE)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        one.call(hang)
    was_cancelled = cancelled.wait(PATIENCE)
    one.stop()

    assert "done" == waiting.value
    assert was_cancelled


def test_waker_of_gevent_may_be_closed_first() -> None:
    """It is woken once, and no more where the greenlet has given up meanwhile."""
    waker = HubWaker()
    before = waker.wait(0.0)
    waker.wake()
    after = waker.wait(PATIENCE)
    waker.close()
    waker.wake()

    assert (False, True) == (before, after)
