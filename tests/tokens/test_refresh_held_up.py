"""Processes that are held up in the middle of a refresh, while others want the same token."""

from __future__ import annotations

import anyio
import pytest

from tests.engine import ACCESS, FAILING, Engine, ManualClock, Steps, refresh
from tests.support import SITE, without_claim_owner
from wix_asgi._http import httpx
from wix_asgi.errors import StorageUnavailable
from wix_asgi.installations.claims import refresh_lease, rotation_mark
from wix_asgi.leases.lease import Lease
from wix_asgi.models import AccessToken
from wix_asgi.testing import FakeWix
from wix_asgi.tokens._lease_terms import LeaseTerms
from wix_asgi.tokens.policy import RefreshPolicy

HELD_UP = 10.0
"""Seconds: more than a short lease, and less than a call to Wix may last."""


@pytest.fixture(name="rotating")
async def _rotating(engine: Engine, storage: Steps, clock: ManualClock) -> Engine:
    """Give an engine that has seen its Wix rotate, and whose token is over."""
    del engine  # only its tries without pauses are wanted
    rotating = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock)
    await rotating.install(left=0)
    await refresh(rotating)
    _end_token(rotating)
    return rotating


def _end_token(engine: Engine) -> None:
    engine.clock.advance(300)
    engine.fake.expire_access_tokens()
    engine.fake.calls.clear()


async def _refresh_beside_one_held_up(holder: Engine, other: Engine) -> list[AccessToken]:
    """Have `holder` stand still while Wix has its refresh token; return what both get."""
    tokens: list[AccessToken] = []
    looks = anyio.Event()

    async def look_again(_: float) -> None:
        looks.set()
        await anyio.wait_all_tasks_blocked()

    async def run(engine: Engine) -> None:
        tokens.append(await refresh(engine))

    other.sleep = look_again
    with holder.fake.hold(ACCESS) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, holder)
            await gate.arrived()
            holder.clock.advance(HELD_UP)
            tasks.start_soon(run, other)
            await looks.wait()
            gate.release()
    return tokens


async def test_no_other_process_sends_a_rotating_token_that_may_be_at_wix(
    rotating: Engine,
) -> None:
    """The lease outlives the longest call, so that the site is not lost by a second sending."""
    tokens = await _refresh_beside_one_held_up(rotating, rotating.another())
    _end_token(rotating)
    await refresh(rotating)

    assert tokens[:1] == tokens[1:]
    assert 1 == rotating.posts


async def test_a_process_that_has_just_started_knows_that_tokens_rotate(rotating: Engine) -> None:
    """The first refresh of a process has a long lease, too, where another one saw a rotation."""
    tokens = await _refresh_beside_one_held_up(rotating.another(), rotating)

    assert tokens[:1] == tokens[1:]
    assert 1 == rotating.posts


async def test_the_row_of_a_rotated_token_tells_every_process(
    rotating: Engine, storage: Steps
) -> None:
    """A process that knows of no rotation has a long lease where the row's token was rotated."""
    mark = rotation_mark(rotating.fake.app_id)
    owner = await storage.claim_owner(mark)
    await storage.release(mark, owner or "")
    tokens = await _refresh_beside_one_held_up(rotating.another(), rotating.another())

    assert owner is not None
    assert tokens[:1] == tokens[1:]
    assert 1 == rotating.posts


@pytest.mark.parametrize("kind", ["rotating", "the same"])
async def test_the_lease_of_a_killed_holder(kind: str, storage: Steps, clock: ManualClock) -> None:
    """It holds up others for 20 seconds where tokens rotate, and for two where they do not."""
    engine = Engine(FakeWix(rotate_refresh_tokens=kind == "rotating"), storage, clock)
    await engine.install(left=0)
    await refresh(engine)
    _end_token(engine)
    name = refresh_lease(engine.fake.app_id, SITE)
    killed = Lease(
        storage, name, title="a refresh lease", terms=engine.refresher._terms, clock=clock
    )
    await killed.take()
    waited_from = clock()

    async def pause(seconds: float) -> None:
        clock.advance(seconds)

    engine.sleep = pause
    await refresh(engine)

    assert (20.0 if kind == "rotating" else 2.0) == pytest.approx(clock() - waited_from, abs=0.5)


async def test_a_lease_that_ran_out_is_not_held_again_by_its_renewal(
    rotating: Engine, storage: Steps
) -> None:
    """Another process refreshed meanwhile: the refresh token that it has sent is not sent again."""
    holder = rotating.another(lease_margin=-15 + 0.01)
    claims = storage.log.count("claim")

    async def stand_still() -> None:
        del storage.after["get"]
        rotating.clock.advance(HELD_UP)
        await refresh(rotating)
        await storage.asked("claim", claims + 3)
        await anyio.wait_all_tasks_blocked()

    async def when_it_has_read() -> None:
        del storage.after["claim"]
        storage.after["get"] = stand_still

    storage.after["claim"] = when_it_has_read
    await refresh(holder)

    assert 1 == rotating.posts


async def test_a_lease_that_is_too_short_for_a_call_is_renewed_before_it(
    rotating: Engine, storage: Steps
) -> None:
    """A further try begins with a lease that outlives it."""
    ends: list[float] = []
    send = rotating.fake.transport.handle_async_request
    name = refresh_lease(rotating.fake.app_id, SITE)
    rotating.fake.fail(ACCESS, **FAILING)

    async def answer_late(request: httpx.Request) -> httpx.Response:
        ends.append(storage._claims[name][1] - rotating.clock())
        rotating.clock.advance(HELD_UP)
        return await send(request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rotating.fake.transport, "handle_async_request", answer_late)
        await refresh(rotating)

    assert [20.0, 20.0] == ends


async def test_a_storage_that_answers_too_late_for_a_call_sends_nothing(
    rotating: Engine, storage: Steps
) -> None:
    """A lease that its storage grants with too little left is asked for anew, and again."""
    delays = [6.0, 6.0]

    async def answer_late() -> None:
        rotating.clock.advance(delays.pop() if delays else 0.0)

    storage.after["claim"] = answer_late
    claims = storage.log.count("claim")
    await refresh(rotating)

    assert 3 == storage.log.count("claim") - claims
    assert 1 == rotating.posts


async def test_the_sight_of_a_rotated_token_is_noted_once_a_day(
    rotating: Engine, storage: Steps
) -> None:
    """The storage keeps it for a month from the last note, and each process writes it rarely."""
    mark = rotation_mark(rotating.fake.app_id)
    noted = storage._claims[mark][1]
    _end_token(rotating)
    await refresh(rotating)
    same_day = storage._claims[mark][1]
    rotating.clock.advance(86400)
    rotating.fake.expire_access_tokens()
    await refresh(rotating)

    assert noted == same_day
    assert storage._claims[mark][1] - noted >= 86400


async def test_a_sight_that_could_not_be_noted_is_noted_later(
    storage: Steps, clock: ManualClock
) -> None:
    """The grant is stored and served, and the next rotated token is noted."""
    engine = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock)
    mark = rotation_mark(engine.fake.app_id)
    await engine.install(left=0)

    async def fail_the_note() -> None:
        storage.fail("claim", StorageUnavailable("down"))

    storage.after["replace"] = fail_the_note
    token = await refresh(engine)
    owners = [await storage.claim_owner(mark)]
    storage.after.clear()
    _end_token(engine)
    await refresh(engine)
    owners.append(await storage.claim_owner(mark))

    assert 300.0 == token.lifetime
    assert [None, "rotates"] == owners


async def test_a_process_that_knows_of_no_rotation_asks_once_a_minute(
    engine: Engine, storage: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where refresh tokens stay the same, refreshes cost no further read each."""
    asked: list[str] = []
    owner = storage.claim_owner

    async def claim_owner(name: str) -> str | None:
        asked.append(name)
        return await owner(name)

    monkeypatch.setattr(storage, "claim_owner", claim_owner)
    counts: list[int] = []
    for pause in (59.0, 1.0, 0.0):
        await engine.install(left=0)
        await refresh(engine)
        counts.append(len(asked))
        engine.clock.advance(pause)

    assert [1, 1, 2] == counts


async def test_the_sight_of_another_process_is_recalled(storage: Steps, clock: ManualClock) -> None:
    """A process takes long leases once the storage tells of a rotation that another one saw."""
    terms = LeaseTerms(storage, "app", policy=RefreshPolicy(), longest_call=15.0, clock=clock)
    await storage.claim(rotation_mark("app"), "rotates", 60)
    before = terms.ttl
    await terms.recall()

    assert (2.0, 20.0) == (before, terms.ttl)


async def test_a_storage_that_tells_no_owners_serves_too(clock: ManualClock) -> None:
    """A process then learns of rotated refresh tokens from its own first refresh."""
    storage = without_claim_owner(Steps)(clock)
    engine = Engine(FakeWix(rotate_refresh_tokens=True), storage, clock)
    await engine.install(left=0)
    terms = engine.refresher._terms
    before = terms.ttl
    await refresh(engine)

    assert (2.0, 20.0) == (before, terms.ttl)


def test_delays_lengthen_a_short_lease(storage: Steps, clock: ManualClock) -> None:
    """Eight times the longest delay, which fades; never longer than where tokens rotate."""
    terms = LeaseTerms(storage, "app", policy=RefreshPolicy(), longest_call=15.0, clock=clock)
    lengths = [terms.ttl]
    for delay in (0.5, 0.1):
        terms.note_delay(delay)
        lengths.append(terms.ttl)
    clock.advance(10)
    lengths.append(terms.ttl)
    terms.note_delay(60.0)
    lengths.append(terms.ttl)

    assert [2.0, 6.0, 6.0, 4.0, 20.0] == lengths
