"""A traceback with locals of a Wix, or a middleware, that could not be made shows no secret."""

from __future__ import annotations

from collections.abc import Callable
from traceback import TracebackException
from typing import Any

import pytest

from tests.support import PUBLIC_URL, make_app, make_wix
from wix_asgi import BackendNotFound, SettingsError, Wix, WixMiddleware
from wix_asgi.testing import FakeWix
from wix_asgi.wix import WixOptions

SECRET = "test-app-secret-in-no-frame"
PASSWORD = "test-password-in-no-frame"
FILES = ("/wix_asgi/wix.py", "/wix_asgi/middleware.py")
RIGHT: WixOptions = {"app_id": "app-1", "app_secret": SECRET, "public_url": PUBLIC_URL}

WRONG = {
    "settings": {"public_url": "nonsense", "storage": f"postgresql://user:{PASSWORD}@host/db"},
    "scheme": {"storage": f"nonsense://user:{PASSWORD}@host/db"},
    "query": {"storage": f"postgresql://user:{PASSWORD}@host/db?nonsense=1"},
    "port": {"storage": f"postgresql://user:{PASSWORD}@host:none/db"},
}


def shown_locals(error: BaseException) -> list[str]:
    """Return the locals of the frames of these two modules, as a traceback shows them."""
    shown: list[str] = []
    chained: list[TracebackException | None]
    chained = [TracebackException.from_exception(error, capture_locals=True)]
    while chained:
        this = chained.pop()
        if this is not None:
            frames = [f for f in this.stack if f.filename.endswith(FILES)]
            shown += [f"{name}={text}" for f in frames for name, text in (f.locals or {}).items()]
            chained += [this.__cause__, this.__context__]
    return shown


def make_middleware(**options: Any) -> WixMiddleware:
    """Wrap an app."""
    return WixMiddleware(make_app(), **options)


@pytest.mark.parametrize("make", [Wix, make_middleware])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_failed_start_shows_no_secret(make: Callable[..., object], wrong: dict[str, str]) -> None:
    """No frame of ours holds the app secret, or the password in the storage's URL (R35)."""
    with pytest.raises((SettingsError, BackendNotFound)) as caught:
        make(**{**RIGHT, **wrong})

    shown = shown_locals(caught.value)
    assert any(text.startswith("self=<Wix") for text in shown)
    assert [] == [text for text in shown if SECRET in text or PASSWORD in text]


def test_middleware_with_too_much_shows_no_secret() -> None:
    """Options beside a Wix are refused, and are in no frame of ours (R35)."""
    wix = make_wix(FakeWix())
    with pytest.raises(TypeError, match="not both") as caught:
        WixMiddleware(make_app(), wix, app_secret=SECRET)

    shown = shown_locals(caught.value)
    assert shown
    assert [] == [text for text in shown if SECRET in text]


def test_repr_needs_no_settings() -> None:
    """A traceback with locals can show a Wix that is half made."""
    assert "<Wix app app-1>" == repr(make_wix(FakeWix(), app_id="app-1"))
    assert "<Wix, unfinished>" == repr(Wix.__new__(Wix))
