"""Plain hooks run in threads of their own number, and async hooks on the event loop."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.to_thread import current_default_thread_limiter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.limits import PATIENCE
from tests.support import SITE, SlowHook
from wix_asgi.concurrency.app_calls import outcome_of, result_of
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import HandshakeRefused, NotInstalled, Reason
from wix_asgi.hooks import Hook, HookPolicy, Hooks
from wix_asgi.models import Installation

REFUSAL = HandshakeRefused(Reason.DENIED)
INSTALLATION = Installation("app", SITE, datetime.now(UTC))
VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="the default")
ANSWER = PlainTextResponse("the hook's")


class Awaited:
    """An object that can be awaited, and is no coroutine."""

    def __init__(self, work: Callable[[], Awaitable[Response]]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, Response]:
        return self._work().__await__()


class Called:
    """An object that is called, and awaited."""

    def __init__(self, threads: list[int]) -> None:
        self._threads = threads

    async def __call__(self, _: object) -> None:
        self._threads.append(threading.get_ident())

    async def method(self, _: object) -> None:
        self._threads.append(threading.get_ident())


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` as decorators for all kinds of functions do: they are plain themselves."""

    @functools.wraps(function)
    def wrapper(*args: object) -> Any:
        return function(*args)

    return wrapper


def made_async(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function as an async one, as decorators do that await a thread."""

    @functools.wraps(function)
    async def wrapper(*args: object) -> Any:
        return function(*args)

    return wrapper


@asynccontextmanager
async def closing(
    hook: Hook | None = None, *, on_install: Hook | None = None, **policy: Any
) -> AsyncIterator[Hooks]:
    """Have hooks under this policy, whose tasks end with the block."""
    detached = DetachedTasks()
    yield Hooks(
        on_install=on_install, on_error=hook, detached=detached, policy=HookPolicy(**policy)
    )
    await detached.aclose(PATIENCE)


def request_of(host: str = "192.0.2.1") -> Request:
    """Return a request from this address."""
    return Request({"type": "http", "client": (host, 50_000)})


@pytest.mark.parametrize("kind", ["on_install", "on_error"])
async def test_plain_hooks_leave_the_event_loop_to_others(kind: str) -> None:
    """While a plain hook waits, the event loop runs; the hook has the caller's variables."""
    told = threading.Event()
    seen: list[object] = []

    def hook(_: object) -> Response:
        # Only the event loop tells it.
        seen.extend([told.wait(PATIENCE), threading.get_ident(), VARIABLE.get()])
        return ANSWER

    async def call(hooks: Hooks) -> None:
        VARIABLE.set("the caller's")
        if kind == "on_install":
            seen.append(await hooks.installed(INSTALLATION, request_of()))
        else:
            seen.append(await hooks.refused(REFUSAL, request_of()))

    async with closing(hook, on_install=hook) as hooks, anyio.create_task_group() as tasks:
        tasks.start_soon(call, hooks)
        await anyio.lowlevel.checkpoint()
        told.set()
    loops_thread = threading.get_ident()

    assert [True, "the caller's", ANSWER] == [seen[0], seen[2], seen[3]]
    assert loops_thread != seen[1]


@pytest.mark.parametrize("form", [lambda work: work(), Awaited], ids=["coroutine", "awaitable"])
async def test_what_a_plain_hook_returns_is_awaited_on_the_event_loop(
    form: Callable[[Callable[[], Awaitable[Response]]], Awaitable[Response]],
) -> None:
    """A plain function may give back work for the event loop."""
    threads: list[int] = []

    async def work() -> Response:
        threads.append(threading.get_ident())
        return ANSWER

    def hook(_: object) -> Awaitable[Response]:
        threads.append(threading.get_ident())
        return form(work)

    async with closing(hook) as hooks:
        answer = await hooks.refused(REFUSAL, request_of())

    assert answer is ANSWER
    assert [False, True] == [thread == threading.get_ident() for thread in threads]


async def test_async_hooks_are_called_on_the_event_loop() -> None:
    """Async functions, methods and objects, in partials and decorators, need no thread."""
    threads: list[int] = []

    async def function(_: object) -> None:
        threads.append(threading.get_ident())

    called = Called(threads)
    hooks_of_all_kinds: list[Hook] = [
        function,
        called,
        called.method,
        functools.partial(function),
        functools.partial(called),
        decorated(function),
        functools.partial(decorated(functools.partial(function))),
        made_async(lambda _: threads.append(threading.get_ident())),
    ]
    async with closing(error_threads=1) as hooks:
        hooks.on_error += hooks_of_all_kinds
        await hooks.refused(REFUSAL, request_of())

    assert [threading.get_ident()] * len(hooks_of_all_kinds) == threads


async def test_hooks_take_no_thread_of_the_app() -> None:
    """However many hooks run, all threads for plain routes are free (R49)."""
    hook = SlowHook(ANSWER)
    async with closing(hook, on_install=hook) as hooks, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(hooks.installed, INSTALLATION, request_of())
            tasks.start_soon(hooks.refused, REFUSAL, request_of())
        await hook.has_begun(6)
        taken = current_default_thread_limiter().borrowed_tokens
        hook.told.set()

    assert 0 == taken
    assert 6 == hook.ended


async def test_installs_wait_for_their_hook() -> None:
    """More installs than threads queue, and the hook is called for all of them."""
    hook = SlowHook(ANSWER)
    async with (
        closing(on_install=hook, install_threads=1) as hooks,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(5):
            tasks.start_soon(hooks.installed, INSTALLATION, request_of())
        await hook.has_begun()
        begun = len(hook.events)
        hook.told.set()

    assert (1, 5) == (begun, hook.ended)


async def test_refusals_do_not_wait_for_hooks_that_hang(caplog: pytest.LogCaptureFixture) -> None:
    """While all threads of on_error are taken, refusals go without, and the log says so (R49)."""
    hook = SlowHook(ANSWER)
    async with closing(hook, error_threads=2, error_queue=0) as hooks:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(hooks.refused, REFUSAL, request_of())
            await hook.has_begun(2)
            answers = [await hooks.refused(REFUSAL, request_of()) for _ in range(3)]
            hook.told.set()
        afterwards = await hooks.refused(REFUSAL, request_of())

    assert ([None] * 3, ANSWER) == (answers, afterwards)
    assert 3 == len(hook.events)
    assert ["a refusal was answered without on_error, whose threads are all taken"] == [
        record.getMessage() for record in caplog.records
    ]


async def test_a_loss_is_told_while_refusals_take_all_threads() -> None:
    """It is told once only, and strangers can cause refusals (R49)."""
    hook = SlowHook(ANSWER)
    told: list[object] = []

    def hear(event: object) -> None:
        if isinstance(event, NotInstalled):
            told.append(event.instance_id)
        else:
            hook(event)

    async with (
        closing(hear, error_threads=1, error_queue=0) as hooks,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(hooks.refused, REFUSAL, request_of())
        await hook.has_begun()
        hooks.tell(NotInstalled(instance_id=SITE))
        await anyio.wait_all_tasks_blocked()
        hook.told.set()

    assert [SITE] == told


async def test_the_queue_for_on_error_goes_round_over_the_networks() -> None:
    """A network with many refusals in the queue does not push another's out of it (R49)."""
    hook = SlowHook(ANSWER)
    answers: list[Response | None] = []

    async def refuse(hooks: Hooks, host: str) -> None:
        answer = await hooks.refused(REFUSAL, request_of(host))
        if host != "192.0.2.1":
            answers.append(answer)

    async with (
        closing(hook, error_threads=1, error_queue=3, error_wait=PATIENCE) as hooks,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(refuse, hooks, "192.0.2.1")
        await hook.has_begun()
        for _ in range(10):
            tasks.start_soon(refuse, hooks, "192.0.2.1")
        tasks.start_soon(refuse, hooks, "198.51.100.1")
        await anyio.lowlevel.checkpoint()
        hook.told.set()

    assert [ANSWER] == answers


@pytest.mark.parametrize("natively", [False, True])
async def test_a_cancelled_refusal_keeps_its_thread_to_the_end(
    natively: bool, anyio_backend: str
) -> None:
    """Strangers that hang up begin no more threads than those who wait (R49)."""
    hook = SlowHook(ANSWER)
    async with closing(hook, error_threads=1, error_queue=0) as hooks:
        await hang_up(hooks, hook, natively=natively and anyio_backend == "asyncio")
        answers = [await hooks.refused(REFUSAL, request_of()) for _ in range(3)]
        begun = len(hook.events)
        hook.told.set()

    assert [None] * 3 == answers
    assert (1, 1) == (begun, hook.ended)


async def hang_up(hooks: Hooks, hook: SlowHook, *, natively: bool) -> None:
    """Have a refusal cancelled during its hook, by anyio or as servers on asyncio do it."""
    if natively:
        task = asyncio.ensure_future(hooks.refused(REFUSAL, request_of()))
        await hook.has_begun()
        task.cancel()
        await asyncio.wait([task])
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hooks.refused, REFUSAL, request_of())
        await hook.has_begun()
        tasks.cancel_scope.cancel()


def test_the_outcome_of_a_call_is_what_it_returns_or_raises() -> None:
    """Every error comes back from a thread, the exit of an app among them."""
    with pytest.raises(SystemExit) as caught:
        result_of(outcome_of(functools.partial(sys.exit, 3)))

    assert ANSWER is result_of(outcome_of(lambda: ANSWER))
    assert 3 == caught.value.code


async def test_the_error_of_a_plain_hook_has_no_frames_of_its_thread() -> None:
    """Trackers see no locals of the thread, among which are all context variables (R52)."""

    def hook(_: object) -> None:
        raise LookupError("broken")

    async with closing(hook, on_install=hook) as hooks:
        for call in (
            functools.partial(hooks.refused, REFUSAL, request_of()),
            functools.partial(hooks.installed, INSTALLATION, request_of()),
        ):
            with pytest.raises(LookupError, match="broken") as caught:
                await call()
            modules = {entry.frame.f_globals["__name__"] for entry in caught.traceback}

            assert {"wix_asgi.hooks", "wix_asgi.concurrency.app_calls", __name__} == modules
