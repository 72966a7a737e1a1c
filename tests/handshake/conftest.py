"""The fixtures of the tests of the handshake: most of them run for both flows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stamina

from tests.handshake.handshaking import FLOWS, FlowUnderTest


@pytest.fixture(autouse=True)
def _retries_wait_for_nothing() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with `flow` for both flows, or for that of its mark `flow`."""
    if "flow" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("flow")
        flows = [flow for flow in FLOWS if mark is None or flow.name in mark.args]
        metafunc.parametrize("flow", flows, ids=lambda flow: flow.name.value, indirect=True)


@pytest.fixture
def flow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FlowUnderTest:
    """Have the apps of a test install by this flow, and end at Wix's close-window page."""
    flow: FlowUnderTest = request.param
    monkeypatch.setenv("WIX_FLOW", flow.name)
    monkeypatch.setenv("WIX_AFTER_INSTALL", "close")
    return flow
