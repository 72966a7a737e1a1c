"""Gunicorn's limit for request lines, and the finding about it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.processes.apps import APP
from tests.servers import ROOT, environment, free_port, serving
from tests.support import make_wix
from wix_asgi.models import FindingLevel
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.processes


@pytest.fixture
def anyio_backend() -> str:
    """Run on one event loop: the server is the subject."""
    return "asyncio"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "4094 bytes by default: start it with --limit-request-line 8190."),
        (["--limit-request-line", "8190"], "takes addresses as long as Wix's."),
    ],
)
async def test_the_limit_of_gunicorn_is_found(
    tmp_path: Path, options: list[str], told: str
) -> None:
    """By default its own workers refuse each callback; the option of the README lets them pass."""
    fake, port = FakeWix(), free_port()
    command = [sys.executable, "-m", "gunicorn", APP, "-k", "asgi", "--chdir", str(ROOT)]
    with fake.serve():
        env = environment(fake, port, "memory://")
        bound = [*command, "-b", f"127.0.0.1:{port}", *options]
        with serving(bound, cwd=tmp_path, env=env) as server:
            server.accepts(port)
            wix = make_wix(fake, public_url=f"http://127.0.0.1:{port}")
            findings = await wix.check()
    errors = [each for each in findings if each.level is FindingLevel.ERROR]
    (callback,) = [each for each in findings if each.subject == "callback"]

    assert callback.message.endswith(told), callback
    assert ([] if options else [callback]) == errors
