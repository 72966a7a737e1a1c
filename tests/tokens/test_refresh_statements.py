"""The statements and the commits that a refresh costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.engine import Engine, ManualClock
from tests.support import SITE
from wix_asgi.testing import FakeWix
from wix_asgi_backends._compiled import Call, Outcome
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends.memory import MemoryStorage
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


@pytest.fixture(name="sql", params=["sqlite", "postgres"])
def _sql(request: pytest.FixtureRequest, tmp_path: Path) -> SQLStorage:
    """Give a storage in each database."""
    if request.param == "sqlite":
        return SQLiteStorage(tmp_path / "test.db")
    return PostgresStorage(parse_url(request.getfixturevalue("postgres_url")))


async def test_refresh_takes_four_statements_and_two_commits(sql: SQLStorage) -> None:
    """The row is read, the lease claimed with it unchanged, and given back with the new token."""
    calls: list[list[str]] = []
    send = sql._send

    async def note(connection: Any, sent: Sequence[Call]) -> Outcome:
        calls.append([call.compiled.text for call in sent])
        return await send(connection, sent)

    engine = Engine(FakeWix(), sql, ManualClock())  # type: ignore[arg-type] # any storage
    async with sql:
        installed = await engine.install(left=0)
        # The sight of a rotated refresh token is looked for now and then, and not at each refresh.
        await engine.refresher._terms.recall()
        vars(sql)["_send"] = note
        token = await engine.refresher.refresh(SITE, {installed.value})
        vars(sql).pop("_send")
        stored = await engine.stored()
        is_free = await sql.claim(f"refresh:{engine.fake.app_id}:{SITE}", "another", 1)
        await engine.settle()
    writes = [call for call in calls if not all(text.startswith("SELECT") for text in call)]

    assert stored.access_token is not None
    assert token.value == stored.access_token.value
    assert is_free
    assert sum(map(len, calls)) <= 4
    assert 2 == len(writes)


async def test_row_that_changes_before_the_lease(clock: ManualClock) -> None:
    """A lease is not taken for a row that another process has changed since it was read."""

    class Changing(MemoryStorage):
        changes = 1

        async def claim_unchanged(self, name: str, owner: str, ttl: float, **row: str) -> bool:
            if self.changes:
                self.changes -= 1
                newer = await engine.stored()
                await engine.installations.note_origin(newer, "the-origin")
            return await super().claim_unchanged(name, owner, ttl, **row)

    engine = Engine(FakeWix(), Changing(clock=clock), clock)

    async def pause(_seconds: float) -> None:
        clock.advance(1.0)

    engine.sleep = pause
    installed = await engine.install(left=0)
    token = await engine.refresher.refresh(SITE, {installed.value})
    stored = await engine.stored()

    assert "the-origin" == stored.origin_instance_id
    assert stored.access_token is not None
    assert token.value == stored.access_token.value
    assert 1 == engine.posts
