"""Copying, and writes of apps between its steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backends.of_before import OfBefore
from tests.engine import ManualClock, Steps
from tests.operations.sealed import APP, SITE, contents, record, record_of, rewrite
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi.operations.copy_installations import Copy, copy_installations, is_same_storage
from wix_asgi_backends.memory import MemoryStorage

ids = st.sets(st.text(min_size=1, max_size=3), max_size=12)


@pytest.fixture
def anyio_backend() -> str:
    """Run on one loop: the order of the steps is given."""
    return "asyncio"


class StepsOfBefore(OfBefore, Steps):
    """A storage written against the contract without `add`."""


@pytest.fixture(name="source")
def _source(clock: ManualClock) -> Steps:
    return Steps(clock)


@pytest.fixture(name="target")
def _target(clock: ManualClock) -> Steps:
    return Steps(clock)


async def test_a_copy_that_broke_off_goes_on(source: Steps, target: Steps) -> None:
    """Written records stay, and the next run writes the rest only."""
    for site in "abcde":
        await source.put(record(site))
    target.after["add"] = after_two(target)
    with pytest.raises(StorageUnavailable):
        await copy_installations(APP, source, target)
    target.after.clear()
    written = await contents(target)
    copy = await copy_installations(APP, source, target)

    assert ["a", "b"] == [one.instance_id for one in written]
    assert (3, 5, True) == (copy.written, copy.same, copy.is_complete)
    assert await contents(source) == await contents(target)


def after_two(storage: Steps) -> Callable[[], Awaitable[object]]:
    """Return a hook that lets two records be written, and no third."""

    async def count() -> None:
        if storage.log.count("add") == 2:
            storage.fail("add", StorageUnavailable())

    return count


async def test_a_change_behind_the_copy_is_found_by_another_pass(
    source: Steps, target: Steps
) -> None:
    """Records refreshed or installed in the source after their page was read are copied, too."""
    for site in "bc":
        await source.put(record(site))

    async def change() -> None:
        del target.after["add"]
        await rewrite(source, "b")
        await source.put(record("a"))

    target.after["add"] = change
    copy = await copy_installations(APP, source, target)

    assert (3, 4, 3, True) == (copy.passes, copy.written, copy.same, copy.is_complete)
    assert await contents(source) == await contents(target)


async def test_a_source_that_never_rests_is_told(source: Steps, target: Steps) -> None:
    """After ten passes the copy gives up, and counts the records that it could not compare."""
    await source.put(record())

    async def change() -> None:
        await rewrite(source)

    target.after["add"] = target.after["replace"] = change
    copy = await copy_installations(APP, source, target)

    assert (10, 10, 0, 1, False) == (
        copy.passes,
        copy.written,
        copy.same,
        copy.unsettled,
        copy.is_complete,
    )


async def test_a_refresh_in_the_target_in_between_wins(source: Steps, target: Steps) -> None:
    """A record that an app writes just before the copy would is not written over."""
    await source.put(record())
    await copy_installations(APP, source, target)
    await rewrite(source)
    apps: list[Record] = []

    async def overtake() -> None:
        del target.before["replace"]
        apps.append(await rewrite(target))

    target.before["replace"] = overtake
    copy = await copy_installations(APP, source, target)

    assert ([SITE], 0) == (copy.kept, copy.written)
    assert apps[0].refresh_token == (await record_of(target)).refresh_token


@pytest.mark.parametrize(("kind", "step"), [(Steps, "add"), (StepsOfBefore, "get")])
async def test_an_install_in_the_target_in_between_wins(
    source: Steps, clock: ManualClock, kind: Callable[[ManualClock], Steps], step: str
) -> None:
    """A site that is installed in the target after its page was read keeps its record there."""
    await source.put(record())
    fresh, target = record(), kind(clock)

    async def install() -> None:
        del target.before[step]
        await target.put(fresh)

    target.before[step] = install
    copy = await copy_installations(APP, source, target)

    assert ([SITE], 0) == (copy.kept, copy.written)
    assert fresh.refresh_token == (await record_of(target)).refresh_token


async def test_tokens_end_when_they_would_have(
    source: Steps, target: Steps, clock: ManualClock
) -> None:
    """Lifetimes and pauses are shorter by the time that has passed since they were read."""
    for site in "ab":
        await source.put(record(site, failure="unavailable", retry_in=60.0))

    async def dawdle() -> None:
        clock.advance(7)

    target.after["add"] = dawdle
    await copy_installations(APP, source, target, clock=clock)
    there = await record_of(target, "b")

    assert (200.0 - 14.0, 60.0 - 14.0) == (there.expires_in, there.retry_in)


async def test_the_target_tells_when_it_was_installed(
    source: Steps, target: Steps, clock: ManualClock
) -> None:
    """The moment of the install is that of the copy: storages set it by their own clock."""
    await source.put(record())
    clock.advance(1000)
    await copy_installations(APP, source, target, clock=clock)
    before, after = await record_of(source), await record_of(target)

    assert before.installed_at is not None
    assert after.installed_at is not None
    assert 1000 == (after.installed_at - before.installed_at).total_seconds()


async def test_progress_is_told(source: Steps, target: Steps) -> None:
    """After each record of each pass it is told how many there were."""
    for site in "ab":
        await source.put(record(site))
    told: list[tuple[int, int]] = []

    def tell(now: Copy) -> None:
        told.append((now.passes, now.seen))

    await copy_installations(APP, source, target, report=tell)

    assert [(1, 1), (1, 2), (2, 1), (2, 2)] == told


async def test_a_copy_of_a_copy_is_marked_once(source: Steps, target: Steps) -> None:
    """From storage to storage a version stays the app's own version, with a single mark."""
    await source.put(record(version="version-1"))
    third = MemoryStorage()
    await copy_installations(APP, source, target)
    await copy_installations(APP, target, third)

    assert "copied:version-1" == (await record_of(target)).version
    assert "copied:version-1" == (await record_of(third)).version


async def test_finding_out_leaves_no_claim(source: Steps, target: Steps) -> None:
    """Whether two storages are one is found out by a claim, which is given back."""
    await is_same_storage(source, source)
    await is_same_storage(source, target)

    assert set() == source.holders | target.holders


@given(wanted=ids, other=ids)
def test_any_two_sets_of_ids_are_put_together(wanted: set[str], other: set[str]) -> None:
    """For any two sets of ids, all records of both are in the target afterwards."""

    async def main() -> None:
        source, target = MemoryStorage(), MemoryStorage()
        for site in wanted:
            await source.put(record(site))
        for site in other:
            await target.put(record(site))
        copy = await copy_installations(APP, source, target)

        assert sorted(wanted & other) == copy.kept
        assert (len(wanted - other), len(other - wanted)) == (copy.same, len(copy.extra))
        assert sorted(wanted | other) == [one.instance_id for one in await contents(target)]

    anyio.run(main)
