"""Wix's own SDK from npm, a fake Wix for it and for us, and a table of both side by side."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import make_oauth
from tests.sdk.side_by_side import Sdk, SideBySide, install_sdk
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.testing import FakeWix

TABLE = pytest.StashKey[SideBySide]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin the table."""
    config.stash[TABLE] = SideBySide()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table."""
    terminalreporter.section("Wix's SDK and wix-asgi on the same inputs")
    for line in config.stash[TABLE].lines():
        terminalreporter.write_line(line)


@pytest.fixture
def anyio_backend() -> str:
    """Run on one loop: the requests are the same."""
    return "asyncio"


@pytest.fixture(name="both")
def _both(pytestconfig: pytest.Config) -> SideBySide:
    return pytestconfig.stash[TABLE]


@pytest.fixture(name="room", scope="session")
def _room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory in which the SDK is installed."""
    room = tmp_path_factory.mktemp("sdk")
    assert shutil.which("npm"), "install Node.js with npm"
    install_sdk(room)
    return room


@pytest.fixture(name="fake")
def _fake() -> Iterator[FakeWix]:
    fake = FakeWix()
    with fake.serve():
        yield fake


@pytest.fixture(name="sdk")
def _sdk(room: Path, fake: FakeWix) -> Sdk:
    return Sdk(room, fake)


@pytest.fixture(name="ours")
def _ours(fake: FakeWix) -> OAuthClient:
    return make_oauth(fake)
