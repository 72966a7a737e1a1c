"""The fixture of every test of the handshake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina


@pytest.fixture(autouse=True)
def _retries_wait_for_nothing() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield
