"""The registry of handlers: for which events each is called, and by which name it is known."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from tests.servers import ROOT
from wix_asgi.events import WebhookEvent
from wix_asgi.webhooks.handlers import Handlers


def first(event: WebhookEvent) -> None:
    """Handle an event."""


def second(event: WebhookEvent) -> None:
    """Handle an event."""


class Called:
    """An object that is called."""

    def __call__(self, event: WebhookEvent) -> None:
        """Handle an event."""

    def method(self, event: WebhookEvent) -> None:
        """Handle an event."""


def names(handlers: Handlers, event_type: str) -> list[str]:
    """Return the names of the handlers of this type, without their module."""
    return [handler.name.removeprefix(f"{__name__}.") for handler in handlers.of(event_type)]


def test_handlers_are_called_for_their_type_in_the_order_of_registration() -> None:
    """Those for all types are among them, and no other's."""
    handlers = Handlers()
    handlers.on("AppRemoved")(first)
    handlers.on("*")(Called().method)
    handlers.on("AppRemoved", max_attempts=2, handler_timeout=7)(second)
    handlers.on("AppInstalled")(Called())

    assert ["first", "Called.method", "second"] == names(handlers, "AppRemoved")
    assert ["Called.method", "Called"] == names(handlers, "AppInstalled")
    assert ["Called.method"] == names(handlers, "another")
    assert [(8, 300.0), (8, 300.0), (2, 7.0)] == [
        (handler.max_attempts, handler.timeout) for handler in handlers.of("AppRemoved")
    ]


def test_a_registry_is_empty_until_the_first_handler() -> None:
    """The worker has nothing to do before it."""
    handlers = Handlers()
    before = handlers.is_empty
    handlers.on("AppRemoved")(first)

    assert (True, False) == (before, handlers.is_empty)


def test_the_decorator_returns_the_function() -> None:
    """It is registered a second time, and called by its own name, as before."""
    handlers = Handlers()

    assert first is handlers.on("a")(handlers.on("b")(first))


def test_classes_of_events_stand_for_their_type() -> None:
    """The class of all events stands for all of them."""
    removed = type("AppRemoved", (WebhookEvent,), {"__module__": WebhookEvent.__module__})
    handlers = Handlers()
    handlers.on(removed)(first)
    handlers.on(WebhookEvent)(second)

    assert ["first", "second"] == names(handlers, "AppRemoved")
    assert ["second"] == names(handlers, "AppInstalled")


def test_names_are_numbered_where_one_event_calls_them_twice() -> None:
    """A registration for another type takes no name away, so a deploy changes none."""
    handlers = Handlers()
    for event_type in ["a", "b", "b", "*", "a"]:
        handlers.on(event_type)(first)

    assert ["first", "first#3", "first#2"] == names(handlers, "a")
    assert ["first", "first#2", "first#3"] == names(handlers, "b")


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Called(), "Called"),
        (Called().method, "Called.method"),
        (functools.partial(functools.partial(first), None), "first"),
        (lambda _: None, "<lambda>"),
    ],
    ids=["object", "method", "partial", "lambda"],
)
def test_a_name_has_no_address_of_an_object(function: Any, name: str) -> None:
    """It is the same in every process."""
    handlers = Handlers()
    handlers.on("a")(function)

    assert [name] == names(handlers, "a")


PROGRAM = """
from wix_asgi.webhooks.handlers import Handlers

def greet(event): ...

handlers = Handlers()
handlers.on("a")(greet)
name = handlers.of("a")[0].name
if __name__ == "__main__":
    print(name)
"""


@pytest.mark.parametrize(
    "how",
    [["shop.py"], ["-m", "shop"], ["-c", "import shop; print(shop.name)"]],
    ids=["file", "module", "imported"],
)
def test_a_program_knows_its_handlers_by_the_name_of_its_file(
    how: list[str], tmp_path: Path
) -> None:
    """Another process may import the file that this process was started with."""
    (tmp_path / "shop.py").write_text(PROGRAM)
    told = subprocess.run(
        [sys.executable, *how],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "shop.greet\n" == told.stdout


@pytest.mark.parametrize(
    ("spec", "module"),
    [(None, "__main__"), (ModuleSpec("shop.work", None), "shop.work")],
    ids=["typed", "module"],
)
def test_a_program_without_a_file(
    spec: ModuleSpec | None, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is typed into an interpreter has its own name for its module."""
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", spec)

    def typed(event: WebhookEvent) -> None: ...

    typed.__module__, typed.__qualname__ = "__main__", "typed"
    handlers = Handlers()
    handlers.on("a")(typed)

    assert [f"{module}.typed"] == names(handlers, "a")


class Foreign(WebhookEvent):
    """A class that is none of ours: no event is ever one."""


@pytest.mark.parametrize(
    ("event_type", "options", "error", "words"),
    [
        (first, {}, TypeError, 'as in @wix.on("AppRemoved")'),
        (Foreign, {}, TypeError, "a class of wix_asgi.events"),
        (None, {}, TypeError, "type of an event"),
        ("", {}, ValueError, "Wix's word"),
        (" a", {}, ValueError, "Wix's word"),
        ("a", {"max_attempts": 0}, ValueError, "max_attempts is 1 or more"),
        ("a", {"max_attempts": 1.5}, TypeError, "whole number"),
        ("a", {"max_attempts": True}, TypeError, "whole number"),
        ("a", {"handler_timeout": 0}, ValueError, "above 0"),
        ("a", {"handler_timeout": math.inf}, ValueError, "finite"),
        ("a", {"handler_timeout": math.nan}, ValueError, "finite"),
        ("a", {"handler_timeout": "5"}, TypeError, "seconds"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    event_type: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    """Not first when an event comes."""
    with pytest.raises(error, match=words.replace("(", "\\(").replace(")", "\\)")):
        Handlers().on(event_type, **options)


def test_what_cannot_be_called_is_refused_at_once() -> None:
    """Such as the result of a function."""
    with pytest.raises(TypeError, match="can be called"):
        Handlers().on("a")(None)  # type: ignore[type-var] # the mistake


@pytest.mark.parametrize(
    "function",
    [lambda one, two: None, lambda *, key: None, dict],
    ids=["two", "keyword", "unknown"],
)
def test_a_handler_that_cannot_take_one_event_is_refused_at_once(function: Any) -> None:
    """Its calls would all fail, for a day."""
    with pytest.raises(TypeError):
        Handlers().on("a")(function)


@pytest.mark.parametrize(
    "function", [lambda: None, lambda *args: None, print], ids=["none", "any", "print"]
)
def test_a_handler_may_take_no_argument_or_any_number(function: Any) -> None:
    """It gets as many as it takes, as a hook does."""
    handlers = Handlers()
    handlers.on("a")(function)

    assert 1 == len(handlers.of("a"))
