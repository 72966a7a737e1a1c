"""Checking a store that fails, hangs or takes too long is told apart from finding faults."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi.testing.storage_check import check
from wix_asgi_backends.memory import MemoryStorage

LEFT = "What was written can be removed."


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as most backends do."""
    return "asyncio"


class Failing(MemoryStorage):
    """Raises for long ids, and for every call once it is down."""

    is_down = False

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        if self.is_down:
            raise StorageUnavailable from OSError("secret")
        return await super().get(app_id, instance_id)

    async def put(self, record: Record) -> None:
        if self.is_down:
            raise StorageUnavailable from OSError("secret")
        if len(record.instance_id) > 255:
            raise ValueError(record.instance_id)
        await super().put(record)


async def test_error_of_one_rule() -> None:
    """An error in a case fails that case, with the kind of the error; the remaining cases go on."""
    findings = await check(Failing())

    assert {
        "test_ids_come_back",
        "test_instance_ids_are_exact[the last of 2000 letters]",
    } == {finding.case for finding in findings}
    assert {
        "ValueError at: await put_all(storage, *ids)",
        'ValueError at: await storage.put(record(one, "of-one"))',
    } == {f.seen for f in findings}


async def test_store_that_is_down() -> None:
    """A store that does not answer is asked no further, and that is told."""
    storage = Failing()
    storage.is_down = True
    first, last = await check(storage)

    assert first.seen.startswith("StorageUnavailable from OSError at: await storage.put(record(")
    assert "check" == last.case
    assert "nothing answered" in last.seen
    assert (0, True) == (first.unchecked, last.unchecked > 0)


async def test_time_is_bounded() -> None:
    """No case is begun when time is up."""
    (finding,) = await check(MemoryStorage(), seconds=0)

    assert "Every rule is looked at." == finding.rule
    assert finding.unchecked > 0


class Hanging(MemoryStorage):
    """Never says that a name is taken, nor that a record is gone."""

    async def delete(self, *_: Any, **__: Any) -> bool:
        await anyio.sleep_forever()
        return False


async def test_case_that_is_cut_short() -> None:
    """A case under way when the time of the whole check is up is not checked, and not broken."""
    (finding,) = await check(Stuck(), seconds=0.5)

    assert finding.unchecked > 0


class Stuck(MemoryStorage):
    """Never answers a write."""

    async def put(self, record: Record) -> None:
        del record
        await anyio.sleep_forever()


async def test_call_that_hangs() -> None:
    """A call that never returns costs its case, and its cleaning up, no more than their time."""
    findings = await check(Hanging(), seconds=2, case_seconds=0.05, cleaning_seconds=0.01)

    assert "it was not done when its time was up" in {finding.seen for finding in findings}
    assert any("(TimeoutError)" in f.seen for f in findings if f.rule == LEFT)
