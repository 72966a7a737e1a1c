"""Whether httpx or httpcore is patched, at each call anew."""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

import httpcore
import pytest

from tests.transport.native_connections import native, request_of
from tests.transport.test_pool_over_the_wire import keep_alive, serving
from wix_asgi._http import httpx
from wix_asgi.transport._patching import is_patched


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, of which native connections are."""
    return "asyncio"


def wrapping(seen: list[str], cls: type) -> Any:
    """Return a method that notes each request, and looks like the one that it wraps."""
    genuine: Any = vars(cls)["handle_async_request"]

    @functools.wraps(genuine)
    async def wrapper(self: object, request: Any) -> Any:
        seen.append(cls.__name__)
        return await genuine(self, request)

    return wrapper


CLASSES = [
    httpx.AsyncHTTPTransport,
    httpcore.AsyncConnectionPool,
    httpcore.AsyncHTTPConnection,
    httpcore.AsyncHTTP11Connection,
]


@pytest.mark.parametrize("cls", CLASSES)
async def test_a_wrapper_sees_requests_while_it_is_there(
    cls: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go by httpcore meanwhile, and natively before and after."""
    seen: list[str] = []
    told: list[tuple[bool, int]] = []
    async with serving(keep_alive) as server, native() as connection:
        for is_there in (False, True, False):
            with monkeypatch.context() as patch:
                if is_there:
                    patch.setattr(cls, "handle_async_request", wrapping(seen, cls))
                told.append((is_patched(), len(seen)))
                response = await connection.handle_async_request(request_of(server.url))
                await response.aread()

    assert [False, True, False] == [patched for patched, _ in told]
    assert [cls.__name__] == seen


@pytest.mark.parametrize("cls", CLASSES)
def test_a_class_of_another_is_a_patch(cls: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subclass in the place of the class, as some have it."""
    library = sys.modules[cls.__module__.partition(".")[0]]
    monkeypatch.setattr(library, cls.__name__, type("Other", (cls,), {}))

    assert is_patched()


@pytest.mark.parametrize("found", [None, ModuleType("httpcore")])
def test_httpcore_may_be_missing(found: ModuleType | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not imported yet, or half-way by another thread."""
    if found is None:
        monkeypatch.delitem(sys.modules, "httpcore")
    else:
        monkeypatch.setitem(sys.modules, "httpcore", found)

    assert not is_patched()
