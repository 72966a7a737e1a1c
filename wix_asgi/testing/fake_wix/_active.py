"""A fake Wix in the place of the real one, for every `Wix` of the process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from wix_asgi._http import httpx
from wix_asgi._stand_in import StandIn, in_place
from wix_asgi.concurrency.closers import Closers
from wix_asgi.storage import AddingStorage, ClaimReader, EventStorage, Storage, open_storage

__all__ = ["activated"]

_TEST_STORAGE: Final = "WIX_TEST_STORAGE"
_CAPABILITIES: Final = (Storage, ClaimReader, AddingStorage, EventStorage)


@dataclass(frozen=True, slots=True)
class _Block:
    """The fake Wix of a `with` block, and the memory of its apps, which ends with it."""

    transport: httpx.AsyncBaseTransport
    storage: Storage
    apps: Closers


_blocks: Final[list[_Block]] = []
"""The blocks of this process, the innermost last."""

_ended: Final[list[_Block]] = []
"""Blocks that have ended, for apps that close after them on the event loop of the test itself."""


def _innermost() -> _Block:
    _ended[:] = [block for block in _ended if block.apps.is_closing]
    for block in (*_ended, *_blocks)[-1:]:
        return block
    raise RuntimeError("This Wix was made under FakeWix.active(), whose block has ended.")


class _ActiveTransport(httpx.AsyncBaseTransport):
    """Leads to the fake Wix of the innermost block."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await _innermost().transport.handle_async_request(request)


def _forward(name: str) -> Callable[..., Awaitable[Any]]:
    async def method(_self: object, *args: Any, **options: Any) -> Any:
        return await getattr(_innermost().storage, name)(*args, **options)

    return method


def _methods() -> Iterator[str]:
    yield from ("__aenter__", "__aexit__")
    for capability in _CAPABILITIES:
        yield from (name for name in vars(capability) if not name.startswith("_"))


# An app that lives longer than a test, such as one of a module, is the same app in the next test:
# so what it was made with leads on to the block that is under way.
_TRANSPORT: Final = _ActiveTransport()
_MEMORY: Final = cast(
    "Storage", type("ActiveMemory", (), {name: _forward(name) for name in _methods()})()
)


@contextlib.contextmanager
def activated(
    settings: Mapping[str, Any],
    transport: httpx.AsyncBaseTransport,
    *,
    storage: str | Storage | None,
    public_url: str,
) -> Iterator[None]:
    """Put the fake Wix of these settings in place for a block; see `FakeWix.active`."""
    told = storage or os.environ.get(_TEST_STORAGE, "").strip() or _MEMORY
    keywords = {**settings, "transport": _TRANSPORT, "storage": told}
    stand_in = StandIn(keywords, public_url)
    _blocks.append(_Block(transport, open_storage("memory://"), stand_in.apps))
    try:
        with in_place(stand_in):
            yield
    finally:
        _ended.append(_blocks.pop())
