"""A Sentry that sends nothing, and the events that it would have sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

__all__ = ["DSN", "recorder", "recording_sentry"]

DSN = "https://test-key@sentry.example/1"


def recorder(sent: list[dict[str, Any]]) -> type[Transport]:
    """Return a transport that adds each event and transaction to `sent`, and sends nothing."""

    class Recording(Transport):
        def capture_envelope(self, envelope: Envelope) -> None:
            items = [item for item in envelope.items if item.type in {"event", "transaction"}]
            sent.extend(json.loads(item.get_bytes()) for item in items)

    return Recording


@contextmanager
def recording_sentry(**options: Any) -> Iterator[list[dict[str, Any]]]:
    """Run a real Sentry with its defaults, and these options; yield the events as they are sent."""
    sent: list[dict[str, Any]] = []
    sentry_sdk.init(dsn=DSN, transport=recorder(sent), traces_sample_rate=1.0, **options)
    try:
        yield sent
    finally:
        sentry_sdk.get_client().close()
