"""Tracers of httpx see each call of a WixClient once, and no token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.trackers.apart import lines_of

pytestmark = pytest.mark.processes

COUNTS = {
    "each_client": [1, 1, 1, 1, 1],
    "one_client": [1, 0, 0],
    "all_of_httpx": [1, 1, 1, 1, 1, 0],
    "sentry": [1, 1, 1, 1, 1],
}


@pytest.fixture(name="told", scope="module")
def _told() -> dict[str, dict[str, Any]]:
    """Play all scenes, in a process of their own."""
    return {line["tracer"]: line for line in lines_of("tests.trackers.call_spans")}


@pytest.mark.parametrize("tracer", COUNTS)
def test_each_call_is_one_span(told: dict[str, dict[str, Any]], tracer: str) -> None:
    """Tracing one client leaves all others as they are, and a tracer that is taken off is gone."""
    assert COUNTS[tracer] == told[tracer]["counts"]


def test_headers_of_calls_are_captured(told: dict[str, dict[str, Any]]) -> None:
    """OpenTelemetry was asked for all headers, so that a token in them would be seen."""
    for tracer in ("each_client", "all_of_httpx"):
        text = json.dumps(told[tracer]["sent"])

        assert "http.request.header.accept" in text
        assert ("[REDACTED]" in text) == (tracer == "all_of_httpx")


@pytest.mark.parametrize("tracer", COUNTS)
def test_no_span_has_a_token(told: dict[str, dict[str, Any]], tracer: str) -> None:
    """The address and the status of a call are in its span, and no token is (R52)."""
    text = json.dumps(told[tracer]["sent"])

    assert "/echo" in text
    assert told[tracer]["secrets"]
    assert [] == [secret[:12] for secret in told[tracer]["secrets"] if secret in text]
