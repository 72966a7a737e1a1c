"""VCR.py records the talk with Wix, and plays it without Wix."""

from __future__ import annotations

from pathlib import Path

import vcr
from vcr.cassette import Cassette

from tests.patching.expired import EXCHANGES, expired
from wix_asgi.testing import FakeWix


def recorded(cassette: Cassette) -> list[tuple[str, str]]:
    """Return the method and the path of each request on the cassette."""
    return [(request.method, request.path) for request in cassette.requests]


async def test_vcr_records_and_plays_calls_and_refreshes(tmp_path: Path, fake: FakeWix) -> None:
    """The call, the refresh and the call's repetition are on the cassette, and played from it."""
    cassette_file = str(tmp_path / "wix.yaml")
    with fake.serve():
        with vcr.use_cassette(cassette_file) as recording:
            async with expired(fake) as client:
                live = await client.get("/echo")
        asked = len(fake.calls)
    with vcr.use_cassette(
        cassette_file, record_mode="none", match_on=["method", "path"]
    ) as playing:
        async with expired(fake) as client:
            played = await client.get("/echo")

    assert EXCHANGES == recorded(recording)
    assert playing.all_played
    assert live.json() == played.json()
    assert asked == len(fake.calls)
