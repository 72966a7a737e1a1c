"""Calling the app's own functions: in their order, sync or async, with one argument or two."""

from __future__ import annotations

import functools
from typing import Any
from unittest.mock import ANY

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.limits import PATIENCE
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import HandshakeRefused, NotInstalled, Reason
from wix_asgi.hooks import Hook, Hooks

REFUSAL = HandshakeRefused(Reason.DENIED)
REQUEST = Request({"type": "http"})


class Recorder(list[Any]):
    """A function with a memory, which is empty and so false before its first call."""

    def __call__(self, *args: object) -> None:
        self.append(args)


class Method:
    """Functions of an object and of its class."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def one(self, refusal: object) -> None:
        self.seen.append((refusal,))

    async def two(self, refusal: object, request: object) -> None:
        self.seen.append((refusal, request))


class AsyncCallable:
    """An object that is called, and awaited."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def __call__(self, refusal: object, /) -> None:
        self.seen.append((refusal,))


async def call(hook: Hook) -> Response | None:
    """Call `hook` with a refusal and a request."""
    return await Hooks(on_error=hook, detached=DetachedTasks()).refused(REFUSAL, REQUEST)


async def test_no_hooks_answer_nothing() -> None:
    """Without hooks there is no response of the app."""
    hooks = Hooks(detached=DetachedTasks())

    assert (None, [], []) == (
        await hooks.refused(REFUSAL, REQUEST),
        hooks.on_install,
        hooks.on_error,
    )


async def test_arguments_by_arity() -> None:
    """The number of positional parameters decides how many arguments a function gets."""
    seen: list[Any] = []

    def none() -> None:
        seen.append(())

    def keyword(refusal: object, *, extra: str = "x") -> None:
        seen.append((refusal, extra))

    def any_number(*args: object, **_kwargs: object) -> None:
        seen.append(args)

    for hook in (none, keyword, any_number, functools.partial(keyword, extra="y")):
        await call(hook)

    assert [(), (REFUSAL, "x"), (REFUSAL, ANY), (REFUSAL, "y")] == seen


async def test_methods_and_objects() -> None:
    """Bound methods and objects that can be called are hooks, too."""
    bound, called = Method(), AsyncCallable()
    for hook in (bound.one, bound.two, called):
        await call(hook)

    assert [(REFUSAL,), (REFUSAL, ANY)] == bound.seen
    assert [(REFUSAL,)] == called.seen


async def test_false_callables_are_hooks() -> None:
    """An object that counts as false is a hook all the same."""
    on_install, on_error = Recorder(), Recorder()
    hooks = Hooks(on_install=on_install, on_error=on_error, detached=DetachedTasks())
    await hooks.refused(REFUSAL, REQUEST)

    assert [on_install] == hooks.on_install
    assert [(REFUSAL, ANY)] == on_error


@pytest.mark.parametrize("is_async", [False, True])
async def test_first_response_wins(is_async: bool) -> None:
    """All hooks are called, and the first Response among their results is returned."""
    first, second = PlainTextResponse("first"), PlainTextResponse("second")
    seen: list[str] = []

    def nothing(_: object) -> str:
        seen.append("nothing")
        return "no Response"

    async def async_first(_: object) -> Response:
        seen.append("first")
        return first

    def sync_first(_: object) -> Response:
        seen.append("first")
        return first

    def last(_: object) -> Response:
        seen.append("last")
        return second

    hooks = Hooks(on_error=nothing, detached=DetachedTasks())
    hooks.on_error += [async_first if is_async else sync_first, last]

    assert first is await hooks.refused(REFUSAL, REQUEST)
    assert ["nothing", "first", "last"] == seen


async def test_errors_go_through() -> None:
    """The error of a hook goes through to the caller."""

    def hook(_: object) -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        await call(hook)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_lost_installation_is_told_without_a_request(is_async: bool) -> None:
    """No caller waits for it: the hooks run in the background, with None for the request."""
    method = Method()
    tasks = DetachedTasks()
    hooks = Hooks(on_error=method.two if is_async else method.one, detached=tasks)
    lost = NotInstalled(instance_id="a-site")
    hooks.tell(lost)
    before = list(method.seen)
    await tasks.aclose(PATIENCE)

    assert [] == before
    assert [(lost, None) if is_async else (lost,)] == method.seen


async def test_a_hook_that_fails_at_a_lost_installation_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Many read `request.url`, which is missing: the line names the site."""

    def fail(_: object, request: Request) -> None:
        assert request.url

    tasks = DetachedTasks()
    hooks = Hooks(on_error=fail, detached=tasks)
    hooks.tell(NotInstalled(instance_id="a-site"))
    await tasks.aclose(PATIENCE)

    assert "an on_error hook raised (site a-site)" in caplog.text
    assert "AttributeError" in caplog.text


async def test_a_lost_installation_without_hooks_starts_nothing() -> None:
    """There is nobody to be told."""
    tasks = DetachedTasks()
    Hooks(detached=tasks).tell(NotInstalled(instance_id="a-site"))

    assert {} == tasks._running
