"""TLS as httpx makes it: whom it trusts, which name it asks for, which protocol it offers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trackers.apart import lines_of
from tests.transport.corpus.conftest import WIRES

pytestmark = pytest.mark.processes


@pytest.fixture(name="lines", scope="module")
def _lines() -> dict[str, dict[str, Any]]:
    """Play all transports, in a process of their own."""
    return {line["wire"]: line for line in lines_of("tests.transport.corpus.over_tls")}


@pytest.mark.parametrize("name", [str(wire) for wire in WIRES])
def test_tls(lines: dict[str, dict[str, Any]], name: str) -> None:
    """A server must have a trusted certificate for the name that it is called by (R39)."""
    assert {
        "wire": name,
        "first": "ok",
        "second": "ok",
        "large": 1_000_000,
        "connections": 1,
        "another name": "ConnectError",
        "the name that was given": "ok",
        "a stranger": "ConnectError",
        "names": ["localhost", None, "localhost"],
        "protocols": ["http/1.1"],
    } == lines[name]
