from __future__ import annotations

import asyncio
import gc
import ssl
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.limits import PATIENCE
from wix_asgi._http import httpx
from wix_asgi.transport import pooled as transport
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

if TYPE_CHECKING:
    from tests.transport.conftest import Fakes


class TestLoops:
    def test_loops_in_turn_share_no_connection(self, anyio_backend: str, fakes: Fakes) -> None:
        """One pool used on several event loops in turn opens connections for each."""
        pool = PoolTransport(connect=fakes)
        anyio.run(fakes.call, pool, backend=anyio_backend)
        anyio.run(fakes.call, pool, backend=anyio_backend)

        assert [1, 1] == fakes.requests

    def test_an_ended_loop_is_forgotten(self, anyio_backend: str, fakes: Fakes) -> None:
        """The connections of ended loops do not pile up."""
        pool = PoolTransport(connect=fakes)
        for _ in range(5):
            anyio.run(fakes.call, pool, backend=anyio_backend)
        gc.collect()

        assert 1 >= len(pool._pools._values)

    def test_a_closed_asyncio_loop_is_forgotten(self, fakes: Fakes) -> None:
        """A loop that is over is forgotten even where its connections refer to it."""
        loops: list[object] = []

        async def use() -> None:
            loops.append(asyncio.get_running_loop())
            await fakes.call(pool)

        pool = PoolTransport(connect=fakes)
        for _ in range(5):
            asyncio.run(use())

        assert [loops[-1]] == list(pool._pools._values)

    def test_threads_share_no_connection(self, anyio_backend: str, fakes: Fakes) -> None:
        """One pool used from two threads at once keeps their connections apart."""
        pool = PoolTransport(PoolPolicy(max_connections=1), connect=fakes)
        both = threading.Barrier(2, timeout=PATIENCE)
        seen: list[tuple[int, int]] = []

        async def use() -> None:
            held = await fakes.start(pool)
            both.wait()
            seen.append((pool.in_flight, pool.idle))
            both.wait()
            await held.aread()
            await fakes.call(pool)

        run = partial(anyio.run, use, backend=anyio_backend)
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)

        assert [(1, 0), (1, 0)] == seen
        assert [2, 2] == fakes.requests


def test_the_tls_context_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pools share one TLS context, which verifies certificates; `warm` makes it early."""
    made: list[ssl.SSLContext] = []

    def create() -> ssl.SSLContext:
        made.append(ssl.create_default_context())
        return made[-1]

    transport._ssl_context.cache_clear()
    monkeypatch.setattr(httpx, "create_ssl_context", create)
    pool = PoolTransport()
    made_by_constructor = len(made)
    pool.warm()
    made_by_warm = len(made)
    PoolTransport().warm()
    transport._ssl_context.cache_clear()

    assert (0, 1, 1) == (made_by_constructor, made_by_warm, len(made))
    assert ssl.CERT_REQUIRED == made[0].verify_mode


PATCH = """
httpx = sys.modules["httpx"]
httpx.AsyncHTTPTransport = type("Patched", (httpx.AsyncHTTPTransport,), {})
"""


@pytest.mark.parametrize(
    ("patch", "warm", "expected"),
    [
        pytest.param("", "pool.warm()", True, id="before an event loop runs"),
        pytest.param("", "asyncio.run(warm())", False, id="on asyncio"),
        pytest.param("", "trio.run(warm)", True, id="on trio"),
        pytest.param(PATCH, "asyncio.run(warm())", True, id="on asyncio, while httpx is patched"),
    ],
)
def test_the_network_part_of_httpx_is_imported_early(patch: str, warm: str, expected: bool) -> None:
    """`warm` imports httpcore where requests go by it: the import would block the first one."""
    script = f"""
import asyncio, sys, trio
from wix_asgi.transport.pooled import PoolTransport
pool = PoolTransport()

async def warm():
    pool.warm()
{patch}
before = "httpcore" in sys.modules
{warm}
print(before, "httpcore" in sys.modules)
"""
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)

    assert f"False {expected}\n" == done.stdout
