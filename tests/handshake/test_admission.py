"""Callbacks before the storage: bounded before they wait, and in the rows that they may leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from starlette.types import ASGIApp

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    ACCESS,
    Answer,
    Load,
    app_of,
    ask,
    begin,
    call_back,
    cookies_set,
    reason_of,
    split_url,
    state_of,
)
from tests.limits import PATIENCE
from tests.support import Browser, make_wix
from wix_asgi import Wix
from wix_asgi.errors import StorageUnavailable
from wix_asgi.handshake._admission import Admission
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.testing import Clock, FakeWix

NO_WAIT = CallbackPolicy(claim_wait=0)
LONG_WAIT = CallbackPolicy(claim_wait=PATIENCE)


class BusyStorage(FlakyStorage):
    """A storage in which claims of states, and questions about them, wait for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = anyio.Event()

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        self.steps.append("claim begun")
        await self.go_on.wait()
        return await super().claim(name, owner, ttl)

    async def claim_owner(self, name: str) -> str | None:
        self.steps.append("question begun")
        await self.go_on.wait()
        return await super().claim_owner(name)


@dataclass
class Scene:
    """An app over a busy storage, and the answers to callbacks that were sent to it."""

    fake: FakeWix
    storage: BusyStorage
    wix: Wix
    app: ASGIApp
    answers: list[Answer] = field(default_factory=list)

    async def honest(self) -> Load:
        """Return the callback of an install that was begun."""
        browser = Browser(self.app)
        return Load(browser, await begin(browser, self.fake))

    async def send(self, load: Load) -> None:
        """Send it, and keep its answer."""
        self.answers.append(await load.at(self.app))

    async def send_without_cookie(self, url: str) -> None:
        """Send this address as another browser does."""
        path, query = split_url(url)
        self.answers.append(await ask(self.app, path, query))


@asynccontextmanager
async def scene(policy: CallbackPolicy) -> AsyncIterator[Scene]:
    """Run an app over a busy storage."""
    fake, storage = FakeWix(), BusyStorage()
    async with make_wix(fake, storage=storage) as wix:
        yield Scene(fake, storage, wix, app_of(wix, fake, policy=policy))


async def test_four_callbacks_claim_at_one_time() -> None:
    """However many callbacks come, four are in the storage, and all are served in turn (R49)."""
    async with scene(LONG_WAIT) as on:
        loads = [await on.honest() for _ in range(12)]
        async with anyio.create_task_group() as tasks:
            for load in loads:
                tasks.start_soon(on.send, load)
            await anyio.wait_all_tasks_blocked()
            at_one_time = on.storage.steps.count("claim begun")
            on.storage.go_on.set()

    assert 4 == at_one_time
    assert [303] * 12 == [answer.status for answer in on.answers]


async def test_callback_without_a_turn_is_unspent() -> None:
    """A callback that gets no turn is told 503, and works when it is loaded again (R24, R49)."""
    async with scene(NO_WAIT) as on:
        loads = [await on.honest() for _ in range(4)]
        browser = Browser(on.app)
        url = await begin(browser, on.fake)
        async with anyio.create_task_group() as tasks:
            for load in loads:
                tasks.start_soon(on.send, load)
            await anyio.wait_all_tasks_blocked()
            refused = await call_back(browser, url)
            asked = on.fake.count(ACCESS)
            on.storage.go_on.set()
        finished = await call_back(browser, url)

    assert (503, "storage_unavailable") == reason_of(refused)
    assert ("5", []) == (refused.headers["Retry-After"], cookies_set(refused))
    assert (0, 303) == (asked, finished.status_code)


async def test_claims_have_a_rate() -> None:
    """Above the rate a callback is told 503 before it reaches the storage (R56)."""
    policy = CallbackPolicy(claim_wait=0, claims_per_second=1e-9, claims_burst=4)
    async with scene(policy) as on:
        on.storage.go_on.set()
        for _ in range(3):
            await on.send(await on.honest())

    # An install leaves its use; and its outcome, past the rate.
    assert [303, 303, 303] == [answer.status for answer in on.answers]
    assert 6 == len(on.storage._claims)


async def test_made_up_codes_are_within_the_rate() -> None:
    """Refused codes leave no more rows than the rate allows, uses and outcomes together (R56)."""
    policy = CallbackPolicy(claim_wait=0, claims_per_second=1e-9, claims_burst=3)
    async with scene(policy) as on:
        on.storage.go_on.set()
        for _ in range(4):
            load = await on.honest()
            on.answers.append(await load.at(on.app, code="made-up"))

    assert [502, 502, 503, 503] == [answer.status for answer in on.answers]
    assert 3 == len(on.storage._claims)


async def test_denials_leave_rows_within_a_rate() -> None:
    """Above its rate a denial ends with its cookie, leaves nothing, and never waits (R56)."""
    policy = CallbackPolicy(denials_per_second=1e-9, denials_burst=3)
    async with scene(policy) as on:
        on.storage.go_on.set()
        for _ in range(8):
            load = await on.honest()
            on.answers.append(await load.at(on.app, error="access_denied"))
        await on.send(await on.honest())

    assert [403] * 8 + [303] == [answer.status for answer in on.answers]
    assert [1] * 9 == [len(answer.all("Set-Cookie")) for answer in on.answers]
    assert 3 + 2 == len(on.storage._claims)


async def test_denials_take_no_turn_of_an_install() -> None:
    """While all turns are taken a denial is answered at once, and leaves nothing (R49)."""
    async with scene(LONG_WAIT) as on:
        loads = [await on.honest() for _ in range(6)]
        denied = await on.honest()
        async with anyio.create_task_group() as tasks:
            for load in loads:
                tasks.start_soon(on.send, load)
            await anyio.wait_all_tasks_blocked()
            answer = await denied.at(on.app, error="access_denied")
            again = await denied.at(on.app)
            begun = on.storage.steps.count("claim begun")
            on.storage.go_on.set()

    assert [403, 403] == [answer.status, again.status]
    assert 4 == begun
    assert [303] * 6 == [answer.status for answer in on.answers]


async def test_two_questions_at_one_time() -> None:
    """Two loads without the cookie ask for a kinder answer; further loads do not wait (R49)."""
    async with scene(LONG_WAIT) as on:
        browser = Browser(on.app)
        url = await begin(browser, on.fake)
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(on.send_without_cookie, url)
            await anyio.wait_all_tasks_blocked()
            early = [answer.status for answer in on.answers]
            asked = on.storage.steps.count("question begun")
            on.storage.go_on.set()
        finished = await call_back(browser, url)

    assert ([403] * 10, 2) == (early, asked)
    assert [403] * 12 == [answer.status for answer in on.answers]
    assert 303 == finished.status_code


async def test_questions_of_strangers_have_a_rate() -> None:
    """Above the rate a load without the cookie gets the less kind answer, unasked (R49)."""
    policy = CallbackPolicy(questions_per_second=1e-9, questions_burst=3)
    async with scene(policy) as on:
        on.storage.go_on.set()
        url = await begin(Browser(on.app), on.fake)
        for _ in range(8):
            await on.send_without_cookie(url)

    assert [403] * 8 == [answer.status for answer in on.answers]
    assert 3 == on.storage.steps.count("question begun")


async def test_loads_without_the_cookie_write_nothing() -> None:
    """No load without the cookie of its flow writes, whether its state is used or not (R49)."""
    fake, storage = FakeWix(), FlakyStorage()
    async with make_wix(fake, storage=storage) as one, make_wix(fake, storage=storage) as other:
        first, second = app_of(one, fake), app_of(other, fake)
        browser, unused = Browser(first), Browser(first)
        used_url, unused_url = await begin(browser, fake), await begin(unused, fake)
        await browser.http.get(used_url)
        await anyio.wait_all_tasks_blocked()
        storage.steps.clear()
        loads = [
            reason_of(await call_back(Browser(second), url))
            for url in (used_url, unused_url, f"/wix/callback?error=x&state={state_of(unused_url)}")
            for _ in range(3)
        ]

    assert [(409, "state_reused")] * 3 + [(403, "browser_mismatch")] * 6 == loads
    assert {"claim_owner"} == set(storage.steps)
    assert 2 + 6 == len(storage.steps)


async def test_many_used_states_are_remembered_within_a_bound() -> None:
    """The memory of used states is bounded; a forgotten state is asked for again (R49)."""
    fake, storage = FakeWix(), FlakyStorage()
    async with make_wix(fake, storage=storage) as wix:
        app = app_of(wix, fake, policy=CallbackPolicy(max_known=2))
        loads = []
        for _ in range(3):
            browser = Browser(app)
            loads.append(Load(browser, await begin(browser, fake)))
            await loads[-1].at(app)
        await anyio.wait_all_tasks_blocked()
        storage.steps.clear()
        statuses = [(await load.at(app)).status for load in reversed(loads)]

    assert [303] * 3 == statuses
    assert 1 == storage.steps.count("claim")


@pytest.mark.parametrize(("seconds", "admitted"), [(0.0, 3), (0.5, 3), (1.0, 4), (10.0, 6)])
async def test_rate_comes_back_with_time(seconds: float, admitted: int) -> None:
    """The burst is admitted at once, and again as the seconds of the rate go by (R56)."""
    clock, waited = Clock(1_000), list[float]()
    policy = CallbackPolicy(claim_wait=0, claims_per_second=1, claims_burst=3)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    admission = Admission(policy, clock=clock.now, sleep=sleep)

    async def admit(times: int) -> int:
        done = 0
        for _ in range(times):
            try:
                async with admission.claim_slot():
                    done += 1
            except StorageUnavailable:
                pass
        return done

    at_once = await admit(5)
    clock.advance(seconds)

    assert admitted == at_once + await admit(5)
    assert [] == waited


async def test_claims_above_the_rate_wait_in_their_order() -> None:
    """A callback waits for its moment, if that is near, and is refused if it is not (R49)."""
    clock, waited = Clock(1_000), list[float]()
    policy = CallbackPolicy(claim_wait=0.5, claims_per_second=4, claims_burst=1)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    admission = Admission(policy, clock=clock.now, sleep=sleep)
    for _ in range(3):
        async with admission.claim_slot():
            pass
    with pytest.raises(StorageUnavailable):
        async with admission.claim_slot():
            pytest.fail("admitted above the rate")

    assert [0.25, 0.5] == waited
