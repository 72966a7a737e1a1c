"""What an error that goes out tells of the frames it came through."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from wix_asgi._frames import without_frames, without_locals, without_our_frames

Raise = Callable[[], NoReturn]


def of(module: str, inner: Raise) -> Raise:
    """Return a function of this module that calls `inner`, with a secret among its locals."""
    space: dict[str, Any] = {"__name__": module, "inner": inner}
    code = "def call():\n    secret = 'test-secret-0123456789'\n    inner()\n"
    exec(code, space)  # noqa: S102 - ours
    call: Raise = space["call"]
    return call


def fail() -> NoReturn:
    """Raise an error."""
    raise LookupError("of a test")


def caught(call: Raise) -> LookupError:
    """Return the error that a call raises."""
    with pytest.raises(LookupError) as info:
        call()
    return info.value


def modules(error: BaseException) -> list[str]:
    """Return the modules of an error's frames, from the outermost on."""
    return [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]


def shown(error: BaseException) -> str:
    """Return an error as a tracker shows it, with its history and all locals."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(told.format())


def journey() -> Raise:
    """Return a call through the app, us, a driver, a backend of ours and another library."""
    call = of("library", fail)
    for module in ("wix_asgi_backends.x", "driver", "wix_asgi.x.y", "wix_asgi", "app"):
        call = of(module, call)
    return call


HERE = __name__


def test_frames_of_ours_go() -> None:
    """The frames of the app and of libraries stay, in their order (R52)."""
    error = caught(journey())
    returned = without_our_frames(error)

    assert returned is error
    assert [HERE, "app", "driver", "library", HERE] == modules(error)
    assert "test-secret-0123456789" in shown(error)


def test_an_error_of_ours_alone_has_no_frames() -> None:
    """Where no frame stays, there is no traceback."""
    error = caught(of("wix_asgi", of("wix_asgi.x", fail)))
    entry = error.__traceback__
    assert entry is not None
    assert entry.tb_next is not None
    error = error.with_traceback(entry.tb_next)
    ours = error.__traceback__
    assert ours is not None
    assert ours.tb_next is not None
    ours.tb_next.tb_next = None
    without_our_frames(error)

    assert error.__traceback__ is None


def test_names_that_begin_as_ours_stay() -> None:
    """A package of somebody else's is none of ours."""
    error = without_our_frames(caught(of("wix_asgi_of_others", fail)))

    assert [HERE, "wix_asgi_of_others", HERE] == modules(error)


def test_locals_of_libraries_go() -> None:
    """Their lines stay without locals, and a note tells where the error went through us (R52)."""
    error = without_locals(caught(journey()))
    places = "wix_asgi:3, wix_asgi.x.y:3, wix_asgi_backends.x:3"

    assert [HERE, "app", "driver", "library", HERE] == modules(error)
    assert "test-secret-0123456789" not in shown(error)
    assert [f"Raised through wix_asgi: {places}"] == error.__notes__


def test_places_are_noted_once() -> None:
    """An error that is raised again and again has one note."""
    error = LookupError("of a test")

    def again() -> NoReturn:
        raise error.with_traceback(None)

    for _ in range(2):
        without_locals(caught(of("wix_asgi", again)))

    assert ["Raised through wix_asgi: wix_asgi:3"] == error.__notes__


def test_an_error_past_us_has_no_note() -> None:
    """Where the error was not raised through us, there is nothing to tell."""
    assert not hasattr(without_locals(caught(fail)), "__notes__")


def test_locals_of_a_hook_stay() -> None:
    """The frames below a hook are the app's, and so are those of errors that it handled (R52)."""

    def hook() -> NoReturn:
        try:
            of("app", fail)()
        except LookupError as exc:
            raise LookupError("again") from exc

    error = without_locals(caught(of("wix_asgi.x", of("wix_asgi.concurrency.app_calls", hook))))

    assert 1 == shown(error).count("secret = 'test-secret")
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("clean", [without_frames, without_our_frames, without_locals])
def test_whole_history_is_cleaned(clean: Callable[[BaseException], BaseException]) -> None:
    """Causes, contexts behind causes, and the members of groups lose theirs, too (R52)."""
    cause, context, member = (caught(of("wix_asgi", fail)) for _ in range(3))
    error = ExceptionGroup("of a test", [caught(fail), member])
    error.__cause__, error.__context__ = cause, context
    clean(error)

    assert "test-secret-0123456789" not in shown(cause) + shown(context) + shown(member)
    assert [] == [
        name for each in (cause, context, member) for name in modules(each) if "w" in name
    ]


@pytest.mark.parametrize("clean", [without_frames, without_our_frames])
def test_errors_of_the_app_before_stay(clean: Callable[..., BaseException]) -> None:
    """An error that the app was handling when it called us keeps its frames."""
    before = caught(of("app", of("wix_asgi", fail)))
    error = caught(of("wix_asgi", fail))
    error.__context__ = before
    clean(error, until=before)

    assert [HERE, "app", "wix_asgi", HERE] == modules(before)
    assert "wix_asgi" not in modules(error)
