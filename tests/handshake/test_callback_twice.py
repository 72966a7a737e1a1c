"""A callback that comes twice at one process: each load by its browser gets the first's outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import (
    CLOSE_WINDOW,
    Answer,
    FlowUnderTest,
    Load,
    app_of,
    begin,
    call_back,
    reason_of,
)
from tests.limits import PATIENCE
from tests.support import PUBLIC_URL, SITE, Browser, make_wix, running, without_claim_owner
from wix_asgi import Wix
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.testing import FakeWix

pytestmark = pytest.mark.usefixtures("flow")

WELCOME = f"{PUBLIC_URL}/welcome"
PATIENT = CallbackPolicy(answer_wait=PATIENCE, claim_wait=PATIENCE)


PlainStorage = without_claim_owner(FlakyStorage)


async def load_at_once(
    app: ASGIApp, load: Load, fake: FakeWix, flow: FlowUnderTest, times: int = 3
) -> list[Answer]:
    """Send a callback several times, all of them while the first is at Wix; return the answers."""
    answers: list[Answer] = []

    async def send() -> None:
        answers.append(await load.at(app))

    async with anyio.create_task_group() as tasks:
        with fake.hold(flow.proves) as gate:
            for _ in range(times):
                tasks.start_soon(send)
            await gate.arrived(timeout=PATIENCE)
            await anyio.wait_all_tasks_blocked()
    return answers


@pytest.mark.parametrize("storage", [FlakyStorage, PlainStorage])
async def test_double_click(flow: FlowUnderTest, storage: Callable[[], FlakyStorage]) -> None:
    """Loads beside the first get its very response; one exchange, one hook, one outcome (R4)."""
    fake, seen = FakeWix(), list[Any]()
    async with make_wix(fake, storage=storage(), on_install=seen.append) as wix:
        app = app_of(wix, fake, policy=PATIENT)
        browser = Browser(app)
        answers = await load_at_once(app, Load(browser, await begin(browser, fake)), fake, flow)

    assert [answers[0]] * 3 == answers
    assert (303, 1) == (answers[0].status, len(answers[0].all("Set-Cookie")))
    assert (answers[0].one("Location") or "").startswith(CLOSE_WINDOW)
    assert 1 == fake.count(flow.grants) == fake.count(flow.proves) == len(seen)


async def test_refusal_is_the_same_for_all_loads(
    flow: FlowUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    """Loads beside a refused load show its refusal, and the log has it once (R4)."""
    fake, errors = FakeWix(), list[Any]()
    fake.fail(flow.proves, status=404)
    async with make_wix(fake, on_error=errors.append) as wix:
        app = app_of(wix, fake, policy=PATIENT)
        browser = Browser(app)
        answers = await load_at_once(app, Load(browser, await begin(browser, fake)), fake, flow)

    assert [answers[0]] * 3 == answers
    assert (403, 1) == (answers[0].status, len(answers[0].all("Set-Cookie")))
    assert 1 == len(errors) == caplog.text.count("install refused")


def page(ran: list[str]) -> Response:
    """Return a page with a background task."""
    return HTMLResponse("<p>welcome", background=BackgroundTask(ran.append, "task"))


def long_page(ran: list[str]) -> Response:
    """Return a page that is too long to be kept, with a background task."""
    return PlainTextResponse("x" * 100_000, background=BackgroundTask(ran.append, "task"))


def stream(ran: list[str]) -> Response:
    """Return a response that can be sent once, with a background task."""
    return StreamingResponse(iter(["a", "b"]), background=BackgroundTask(ran.append, "task"))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (page, [(200, 10)] * 4),
        (long_page, [(200, 100_000)] + [(303, 0)] * 3),
        (stream, [(200, 2)] + [(303, 0)] * 3),
    ],
)
async def test_response_of_a_hook_is_sent_again_where_it_can_be(
    flow: FlowUnderTest, make: Callable[[list[str]], Response], expected: list[tuple[int, int]]
) -> None:
    """A hook's short page goes to each load; a stream to the first load, the rest is led on (R4).

    Its background task runs once.
    """
    fake, ran = FakeWix(), list[str]()
    async with make_wix(fake, on_install=lambda _: make(ran), after_install="/welcome") as wix:
        app = app_of(wix, fake, policy=PATIENT)
        browser = Browser(app)
        load = Load(browser, await begin(browser, fake))
        answers = [*await load_at_once(app, load, fake, flow), await load.at(app)]

    assert expected == sorted((answer.status, len(answer.body)) for answer in answers)
    assert [WELCOME if status == 303 else None for status, _ in expected] == [
        answer.one("Location") for answer in sorted(answers, key=lambda answer: answer.status)
    ]
    assert [1] * 4 == [len(answer.all("Set-Cookie")) for answer in answers]
    assert ["task"] == ran


async def test_headers_of_other_middleware_stay_with_their_load(flow: FlowUnderTest) -> None:
    """A header that other middleware adds to one answer is not in the answer to another (R4)."""
    fake = FakeWix()
    async with make_wix(fake, on_install=lambda _: PlainTextResponse("welcome")) as wix:
        inner = app_of(wix, fake, policy=PATIENT)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def add(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message).append("Set-Cookie", "session=secret")
                await send(message)

            await inner(scope, receive, add)

        browser = Browser(app)
        load = Load(browser, await begin(browser, fake))
        answers = [*await load_at_once(app, load, fake, flow), await load.at(app)]

    assert [1] * 4 == [answer.all("Set-Cookie").count("session=secret") for answer in answers]


async def test_used_state_costs_no_claim() -> None:
    """A used state that comes again writes nothing, with its cookie or without (R49)."""
    fake, storage = FakeWix(), FlakyStorage()
    async with running(fake, storage=storage) as app:
        browser = Browser(app)
        url = await begin(browser, fake)
        load = Load(browser, url)
        await load.at(app)
        await anyio.wait_all_tasks_blocked()
        storage.steps.clear()
        again = [(await load.at(app)).status for _ in range(20)]
        without = [reason_of(await call_back(Browser(app), url)) for _ in range(20)]

    assert [303] * 20 == again
    assert [(409, "state_reused")] * 20 == without
    assert {"get"} == set(storage.steps)


async def test_storage_that_tells_no_owner(flow: FlowUnderTest) -> None:
    """Over this storage another process says "finished already", as far as it knows (R4)."""
    fake, storage = FakeWix(), PlainStorage()
    async with make_wix(fake, storage=storage) as one, make_wix(fake, storage=storage) as other:
        first, second = app_of(one, fake), app_of(other, fake)
        browser = Browser(first)
        url = await begin(browser, fake)
        load = Load(browser, url)
        statuses = [(await load.at(app)).status for app in (first, first, second, second)]
        without = [reason_of(await call_back(Browser(app), url)) for app in (first, second)]

    assert [303, 303, 409, 409] == statuses
    assert [(409, "state_reused"), (403, "browser_mismatch")] == without
    assert 1 == fake.count(flow.grants) == len(storage._claims)


@pytest.mark.parametrize("step", ["get", "claim_owner"])
async def test_storage_is_down_when_a_load_comes_again(step: str) -> None:
    """Where the outcome cannot be read, the browser is told to come back, and keeps its cookie."""
    fake, storage = FakeWix(), FlakyStorage()
    async with make_wix(fake, storage=storage) as one, make_wix(fake, storage=storage) as other:
        first, second = app_of(one, fake), app_of(other, fake)
        browser = Browser(first)
        load = Load(browser, await begin(browser, fake))
        await load.at(first)
        storage.down = {step}
        told = await load.at(second)
        storage.down = set()
        finished = await load.at(second)

    assert ({"get": 202, "claim_owner": 503}[step], []) == (told.status, told.all("Set-Cookie"))
    assert 303 == finished.status


async def test_outcomes_are_read_within_a_bound() -> None:
    """Above the bound of questions a browser is told to come back, and keeps its cookie (R49)."""
    fake, storage = FakeWix(), FlakyStorage()
    unasked = CallbackPolicy(max_questions=0)
    async with make_wix(fake, storage=storage) as one, make_wix(fake, storage=storage) as other:
        first, second = app_of(one, fake, policy=unasked), app_of(other, fake, policy=unasked)
        browser = Browser(first)
        load = Load(browser, await begin(browser, fake))
        answers = [await load.at(app) for app in (first, first, second, second)]

    assert [303, 202, 202, 202] == [answer.status for answer in answers]
    assert [1, 0, 0, 0] == [len(answer.all("Set-Cookie")) for answer in answers]
    assert 0 == storage.steps.count("claim_owner")


async def test_install_without_a_token_for_its_page() -> None:
    """An installation that is removed by the hook is no success (R47)."""
    fake = FakeWix()
    parts: list[Wix] = []

    async def remove(_: object) -> None:
        (wix,) = parts
        fake.uninstall(SITE)
        await wix.storage.delete(fake.app_id, SITE)
        wix._tokens._loops.here().cache.clear()

    async with make_wix(fake, on_install=remove) as wix:
        parts.append(wix)
        browser = Browser(app_of(wix, fake))
        answer = await call_back(browser, await begin(browser, fake))

    assert (409, "state_reused") == reason_of(answer)
