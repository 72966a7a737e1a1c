"""Apps on uvloop, which `uvicorn[standard]` brings along and takes by default."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.processes.apps import running
from tests.support import SITE
from tests.transport import test_native_fallback as fallback
from tests.transport import test_native_giving_up as giving_up
from tests.transport import test_pool_over_the_wire as wire
from tests.transport import test_pool_while_patched as patched
from wix_asgi.testing import FakeWix


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on uvloop."""
    return "asyncio", {"use_uvloop": True}


async def test_the_tests_of_this_module_are_on_uvloop() -> None:
    """The loop is uvloop's."""
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)


class TestOverTheWire(wire.TestOverTheWire):
    """The promises of the pool, whose native connections are asyncio's protocols."""


class TestWhilePatched(patched.TestWhilePatched):
    """The same by httpcore, as while a tracer has patched httpx."""


class TestTimeouts(giving_up.TestTimeouts):
    """Native connections whose requests run out of time."""


class TestCancellation(giving_up.TestCancellation):
    """Native connections whose requests are cancelled."""


class TestByHttpcore(fallback.TestByHttpcore):
    """Requests that native connections leave to httpcore."""


async def test_an_install_and_a_call_on_uvloop(tmp_path: Path) -> None:
    """An app under uvicorn with uvloop installs, keeps its token in SQLite, and calls Wix."""
    fake = FakeWix()
    with (
        fake.serve(),
        running(fake, "sqlite:///wix.db", "--loop", "uvloop", room=tmp_path) as app,
    ):
        async with app.browser() as http:
            finished = await app.install(http, SITE)
            fake.expire_access_tokens()
            called = await http.get("/products", params=app.opened_by(SITE))
        app.server.stop()

    assert (303, 200) == (finished.status_code, called.status_code)
    assert {SITE} == fake.installed
    assert "Application shutdown complete" in app.server.output
    assert "Traceback" not in app.server.output
