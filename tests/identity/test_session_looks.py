"""The looks at installations by which sessions are believed, and their cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.identity.signing import GOOD, settings
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import StorageUnavailable
from wix_asgi.identity._generations import Generations
from wix_asgi.identity._session_seal import Session, SessionSeal
from wix_asgi.identity.session import Sessions
from wix_asgi.identity.session_policy import SessionPolicy
from wix_asgi.identity.signed_callers import SignedCallers


class Rows:
    """Generations by instance ID, whose readings are counted; a clock that the test moves."""

    def __init__(self) -> None:
        self.known: dict[str, str | None] = {SITE: "first"}
        self.reads = 0
        self.seconds = 0.0
        self.error: Exception | None = None
        self.opened = anyio.Event()
        self.opened.set()
        self.reached = anyio.Event()

    async def read(self, instance_id: str) -> str | None:
        """Return a generation as it is when the reading begins."""
        self.reads += 1
        found = self.known.get(instance_id)
        self.reached.set()
        await self.opened.wait()
        if self.error is not None:
            raise self.error
        return found

    def generations(self, **policy: Any) -> Generations:
        """Return the looks at these rows."""
        return Generations(
            self.read, DetachedTasks(), SessionPolicy(**policy), clock=lambda: self.seconds
        )

    def sessions(self, clock: Callable[[], float], **policy: Any) -> Sessions:
        """Return the sessions of an app with these rows."""
        own = settings(instance_max_age=0)
        return Sessions(
            own,
            SignedCallers(own),
            self.read,
            DetachedTasks(),
            clock=clock,
            monotonic=lambda: self.seconds,
            policy=SessionPolicy(**policy),
        )


@pytest.fixture(name="rows")
async def _rows() -> Rows:
    return Rows()


def page(query: bytes = b"", cookie: str | None = None) -> dict[str, Any]:
    """Return the scope of a page."""
    headers = [] if cookie is None else [(b"cookie", cookie.encode())]
    return {"type": "http", "method": "GET", "headers": headers, "query_string": query}


async def test_a_site_in_use_costs_a_read_a_minute(rows: Rows) -> None:
    """A look serves a minute, and then a removed site is served no more (R59)."""
    generations = rows.generations()
    for seconds in range(0, 61, 5):
        rows.seconds = float(seconds)
        assert await generations.is_current(SITE, "first")
    reads = rows.reads
    rows.known.clear()
    rows.seconds = 60.5

    assert 1 == reads
    assert not await generations.is_current(SITE, "first")


async def test_many_requests_share_a_look(rows: Rows) -> None:
    """Requests at one time cost one read."""
    generations = rows.generations()
    rows.opened = anyio.Event()
    answers: list[bool] = []

    async def ask() -> None:
        answers.append(await generations.is_current(SITE, "first"))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)
            await rows.reached.wait()
            await anyio.wait_all_tasks_blocked()
            rows.opened.set()

    assert [True] * 20 == answers
    assert 1 == rows.reads


async def test_a_cancelled_request_cancels_no_look(rows: Rows) -> None:
    """The look goes on for others."""
    generations = rows.generations()
    rows.opened = anyio.Event()
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(generations.now, SITE)
            await rows.reached.wait()
            tasks.cancel_scope.cancel()
        rows.opened.set()

        assert "first" == await generations.now(SITE)
    assert 1 == rows.reads


async def test_another_generation_is_looked_at_anew(rows: Rows) -> None:
    """A session of a reinstall in another process counts at once; stale ones read once a second."""
    generations = rows.generations()
    assert await generations.is_current(SITE, "first")
    rows.known[SITE] = "second"
    rows.seconds = 2.0
    answers = [await generations.is_current(SITE, one) for one in ("second", "first", "first")]

    assert [True, False, False] == answers
    assert 2 == rows.reads


async def test_a_site_that_was_written_here_is_looked_at_anew(rows: Rows) -> None:
    """A look that began before the row was written is neither kept nor joined."""
    generations = rows.generations()
    rows.opened = anyio.Event()
    found: list[str | None] = []

    async def look() -> None:
        found.append(await generations.now(SITE))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            await rows.reached.wait()
            rows.known[SITE] = "second"
            generations.forget(SITE)
            tasks.start_soon(look)
            await anyio.wait_all_tasks_blocked()
            rows.opened.set()

    assert ["first", "second"] == sorted(str(one) for one in found)
    assert "second" == await generations.now(SITE)
    assert 2 == rows.reads


async def test_the_memory_is_bounded(rows: Rows) -> None:
    """The site that was looked at longest ago is forgotten."""
    generations = rows.generations(max_looks=2)
    for site in ("a", "b", "c", "b", "c", "a"):
        await generations.now(site)

    assert 4 == rows.reads


@pytest.mark.parametrize("error", [StorageUnavailable(), RuntimeError("a bug")])
async def test_a_look_that_fails_is_repeated(rows: Rows, error: Exception) -> None:
    """The error goes to those who asked, and the next request looks anew."""
    generations = rows.generations()
    rows.error = error
    with pytest.raises(type(error)):
        await generations.now(SITE)
    rows.error = None

    assert "first" == await generations.now(SITE)


async def test_a_shutdown_is_no_end_of_a_session(rows: Rows) -> None:
    """A look that a shutdown cut off did not say that the installation is gone."""
    detached = DetachedTasks(cleanup_seconds=PATIENCE)
    generations = Generations(rows.read, detached, SessionPolicy())
    rows.opened = anyio.Event()
    raised: list[Exception] = []

    async def look() -> None:
        try:
            await generations.now(SITE)
        except StorageUnavailable as exc:
            raised.append(exc)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            await rows.reached.wait()
            await detached.aclose(0)

    assert ["The process is shutting down."] == [str(exc) for exc in raised]


async def test_a_hanging_storage_holds_no_request_up(rows: Rows) -> None:
    """After the bound a request goes on without its session, and an answer without its cookie."""
    sessions = rows.sessions(lambda: 5e9, look_wait=0.01)
    seal = SessionSeal(settings())
    cookie = f"{seal.name_of(SITE)}={seal.seal(Session(SITE, 'first', 5e9))}"
    rows.opened = anyio.Event()
    with anyio.fail_after(PATIENCE):
        session = sessions.of(page(cookie=cookie))
        assert session is not None
        await session.prepare()
        lines = await sessions.renewal(page(f"instance={GOOD}".encode()), [GOOD])
        unknown = session.identity
        rows.opened.set()
        caller = await session.check()

    assert (None, []) == (unknown, lines)
    assert caller is not None
    assert SITE == caller.instance_id


async def test_a_session_of_an_endless_instance_is_renewed_daily(rows: Rows) -> None:
    """The same instance keeps a session alive, and without it that ends after 400 days."""
    now = [5e9]
    sessions = rows.sessions(lambda: now[0])
    query = f"instance={GOOD}".encode()
    (line,) = await sessions.renewal(page(query), [GOOD])
    cookie = line.partition(";")[0]
    repeated: list[int] = []
    living: list[bool] = []
    for days in (0.9, 1.1, 399, 401):
        now[0] = 5e9 + days * 86_400
        repeated.append(len(await sessions.renewal(page(query, cookie), [GOOD])))
        session = sessions.of(page(cookie=cookie))
        assert session is not None
        living.append(await session.check() is not None)

    assert [0, 1, 1, 1] == repeated
    assert [True, True, True, False] == living


async def test_a_session_ends_while_a_websocket_is_open(rows: Rows) -> None:
    """Each use of a long connection's session asks anew whether it lasts (R59)."""
    now = [5e9]
    sessions = rows.sessions(lambda: now[0])
    seal = SessionSeal(settings())
    cookie = f"{seal.name_of(SITE)}={seal.seal(Session(SITE, 'first', 5e9))}"
    session = sessions.of(page(cookie=cookie))
    assert session is not None
    before = await session.check()
    now[0] += 401 * 86_400
    after = await session.check()

    assert before is not None
    assert (None, None) == (after, session.identity)
    assert "The session has ended, or its installation has." == session.problem


async def test_a_forged_cookie_costs_nothing(rows: Rows) -> None:
    """Cookies of strangers are never looked up in the storage, however many there are (R51)."""
    sessions = rows.sessions(lambda: 5e9)
    name = SessionSeal(settings()).name_of(SITE)
    cookies = "; ".join(f"{name[:-4]}{number:04x}={'A' * 500}" for number in range(500))
    session = sessions.of(page(cookie=cookies))

    assert session is not None
    assert session.problem is not None
    assert None is await session.check()
    assert 0 == rows.reads
