"""Callers while the app's own storage is down: they are told so, and the log is, too."""

from __future__ import annotations

import anyio
import pytest

from tests.engine import ACCESS, EXPIRED, MANDATORY, Engine, Steps, failure, get, warm
from tests.support import SITE
from wix_asgi.errors import StorageUnavailable, WixUnavailable

OTHER = "1f0c7a52-3b7e-4c0e-9a51-0b6f6a1e5d02"
"""A site whose token is asked for while another one's could not be had."""


@pytest.fixture(name="impatient")
def _impatient(engine: Engine) -> Engine:
    """Give an engine whose callers do not wait."""
    return engine.another(caller_wait=0.01)


def _fail_slowly(engine: Engine, storage: Steps) -> None:
    """Have the storage fail once, after a time-out of its own."""

    async def fail() -> None:
        storage.before.clear()
        engine.clock.advance(10.0)
        raise StorageUnavailable("db.example is down")

    storage.before["get"] = fail


def _hang(storage: Steps) -> anyio.Event:
    """Have the storage answer no more reads until the event is set."""
    free = anyio.Event()
    storage.before["get"] = free.wait
    return free


async def test_a_storage_that_hangs_is_not_called_wix(impatient: Engine, storage: Steps) -> None:
    """A caller whose patience ends in the storage is told of the storage."""
    await impatient.install(left=0)
    free = _hang(storage)
    error = await failure(lambda: get(impatient))
    free.set()
    await impatient.settle()

    assert isinstance(error, StorageUnavailable)


async def test_a_wix_that_hangs_is_not_called_the_storage(impatient: Engine) -> None:
    """A caller whose patience ends at Wix is told of Wix, and the next one waits again."""
    await impatient.install(left=0)
    with impatient.fake.hold(ACCESS) as gate:
        impatient.tokens._join(impatient.tokens._loops.here(), SITE)
        await gate.arrived()
        errors = [await failure(lambda: get(impatient)) for _ in range(2)]
        gate.release()
        await impatient.settle()

    assert [WixUnavailable] * 2 == [type(error) for error in errors]


async def test_after_a_failure_all_callers_are_told_at_once(engine: Engine, storage: Steps) -> None:
    """For a second no refresh of any site is begun."""
    await engine.install(left=0)
    _fail_slowly(engine, storage)
    errors = [await failure(lambda: get(engine))]
    looks = storage.log.count("get")
    errors += [await failure(lambda: get(engine, OTHER)), await failure(lambda: get(engine))]

    assert [StorageUnavailable] * 3 == [type(error) for error in errors]
    assert looks == storage.log.count("get")


async def test_a_storage_that_is_well_again_serves_the_next_caller(
    engine: Engine, storage: Steps
) -> None:
    """A second after the failure a refresh is begun anew; then callers wait as ever."""
    await engine.install(left=0)
    _fail_slowly(engine, storage)
    await failure(lambda: get(engine))
    engine.clock.advance(1.0)
    await get(engine)

    assert 1 == engine.posts
    assert not engine.refresher.storage_watch.is_failing


async def test_a_storage_that_is_still_down_holds_up_nobody(engine: Engine, storage: Steps) -> None:
    """The caller who tries again is told after a moment, though the storage takes its time."""
    engine = engine.another(storage_probe_wait=0.01)
    await engine.install(left=0)
    _fail_slowly(engine, storage)
    await failure(lambda: get(engine))
    engine.clock.advance(1.0)
    free = _hang(storage)
    error = await failure(lambda: get(engine))
    await storage.asked("get", 2)
    at_once = await failure(lambda: get(engine, OTHER))
    looks = storage.log.count("get")
    free.set()
    await engine.settle()

    assert [StorageUnavailable] * 2 == [type(error), type(at_once)]
    assert 2 == looks


async def test_a_storage_that_fails_at_once_is_tried_by_all(engine: Engine, storage: Steps) -> None:
    """Its failures hold up nobody, and the first caller after them is served."""
    await engine.install(left=0)
    storage.fail("get", StorageUnavailable("down"), times=2)
    errors = [await failure(lambda: get(engine)) for _ in range(2)]
    await get(engine)

    assert [StorageUnavailable] * 2 == [type(error) for error in errors]
    assert 1 == engine.posts


async def test_a_living_token_is_served(engine: Engine, storage: Steps) -> None:
    """A token in its mandatory window serves its callers until its end, and none is late."""
    token = await warm(engine, MANDATORY)
    storage.fail("get", StorageUnavailable("down"), times=9)
    values = [await get(engine), await get(engine)]
    engine.clock.advance(EXPIRED - MANDATORY)
    error = await failure(lambda: get(engine))

    assert [token.value] * 2 == values
    assert isinstance(error, StorageUnavailable)


async def test_a_caller_with_a_living_token_does_not_tell_that_the_storage_fails(
    engine: Engine, storage: Steps
) -> None:
    """Its patience ends before its token does, and is no measure of the storage."""
    token = await warm(engine, EXPIRED - 0.02)
    free = _hang(storage)
    value = await get(engine)
    is_failing = engine.refresher.storage_watch.is_failing
    free.set()
    await engine.settle()

    assert token.value == value
    assert not is_failing


async def test_it_is_logged_once_a_minute(
    engine: Engine, storage: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """One ERROR names the site and the storage's own words, and counts those left out."""
    await engine.install(left=0)
    for pause in (2.0, 60.0, 0.0):
        storage.fail("get", StorageUnavailable("db.example is down"))
        await failure(lambda: get(engine))
        engine.clock.advance(pause)
    lines = [record for record in caplog.records if record.levelname == "ERROR"]

    assert 2 == len(lines)
    assert SITE in lines[0].getMessage()
    assert lines[0].getMessage().endswith("gets no new token: db.example is down")
    assert lines[1].getMessage().endswith("db.example is down (and 1 more before it)")
    assert [SITE] * 2 == [vars(line)["instance_id"] for line in lines]


async def test_the_cause_is_logged_and_not_the_time_out(
    impatient: Engine, storage: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a caller gives up just before its refresh fails, the line has the refresh's words."""
    await impatient.install(left=0)
    free = anyio.Event()

    async def fail_late() -> None:
        await free.wait()
        raise StorageUnavailable("db.example is down")

    storage.before["get"] = fail_late
    error = await failure(lambda: get(impatient))
    free.set()
    await impatient.settle()
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]

    assert "The storage takes too long to answer." == str(error)
    assert line.getMessage().endswith("gets no new token: db.example is down")


async def test_a_storage_that_never_says_why_is_logged_too(
    engine: Engine, storage: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    """From the second caller on that waits in vain, the time-out is told."""
    impatient = engine.another(caller_wait=0.01, storage_probe_wait=0.01)
    await impatient.install(left=0)
    free = _hang(storage)
    await failure(lambda: get(impatient))
    before = [record for record in caplog.records if record.levelname == "ERROR"]
    impatient.clock.advance(1.0)
    await failure(lambda: get(impatient))
    (line,) = [record for record in caplog.records if record.levelname == "ERROR"]
    free.set()
    await impatient.settle()

    assert [] == before
    assert line.getMessage().endswith("gets no new token: The storage takes too long to answer.")
