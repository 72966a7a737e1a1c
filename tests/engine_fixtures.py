"""A clock that a test moves, a storage that notes its steps, and the engine over both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from tests.engine import Engine, ManualClock, Steps
from wix_asgi.testing import FakeWix


@pytest.fixture(name="clock")
def _clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(name="storage")
def _storage(clock: ManualClock) -> Steps:
    return Steps(clock)


@pytest.fixture(name="engine")
def _engine(storage: Steps, clock: ManualClock) -> Iterator[Engine]:
    """Give an engine that does not pause between its tries."""
    with stamina.set_testing(True, attempts=3):
        yield Engine(FakeWix(), storage, clock)
