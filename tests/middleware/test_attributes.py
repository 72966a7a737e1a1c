"""The attributes of a wrapped app: read, set and deleted through the middleware."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from tests.middleware.probes import Probe
from tests.support import PUBLIC_URL, SITE, make_app, make_wix
from wix_asgi import Wix, WixMiddleware, get_wix
from wix_asgi.testing import FakeWix


def wrapped(app: Any) -> WixMiddleware:
    """Return the app behind the middleware."""
    return WixMiddleware(app, make_wix(FakeWix()))


def twice(app: Any) -> WixMiddleware:
    """Return the app behind two middlewares."""
    return wrapped(wrapped(app))


WRAPPINGS = [wrapped, twice]


def test_attributes_are_the_apps() -> None:
    """`app = WixMiddleware(FastAPI())` goes on being a FastAPI app: `@app.get` and all."""
    fake = FakeWix()
    api = FastAPI(title="Mine")
    app = WixMiddleware(api, make_wix(fake))

    async def who(request: Request) -> str:
        return (await get_wix(request).identify()).instance_id

    app.get("/who")(who)
    app.state.mine = 1
    answer = TestClient(app).get("/who", params={"instance": fake.signed_instance(SITE)})

    assert SITE == answer.json()
    assert ("Mine", 1) == (app.title, api.state.mine)


def needed() -> str:
    """Be a dependency."""
    return "real"


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_what_is_set_takes_effect(wrap: Callable[[Any], WixMiddleware]) -> None:
    """Overrides of dependencies, a schema and the debug mode reach the app, and can be deleted."""
    api = FastAPI()

    @api.get("/needed")
    async def route(value: str = Depends(needed)) -> str:
        return value

    app = wrap(api)
    app.dependency_overrides = {needed: lambda: "overridden"}
    app.openapi = lambda: {"openapi": "mine"}
    app.debug = True
    browser = TestClient(app, base_url=PUBLIC_URL)

    assert "overridden" == browser.get("/needed").json()
    assert {"openapi": "mine"} == browser.get("/openapi.json").json()
    assert api.debug is app.debug is True
    app._of_the_app = 1
    assert 1 == vars(api)["_of_the_app"] == app._of_the_app
    del app.openapi, app._of_the_app
    assert "mine" != app.openapi()["openapi"]
    assert not hasattr(api, "_of_the_app")


@pytest.fixture(name="spans")
def _spans() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # The instrumentation replaces this method for the whole process.
    original = BackgroundTask.__call__
    yield provider, exporter
    BackgroundTask.__call__ = original  # type: ignore[method-assign] # as the instrumentation does
    if hasattr(BackgroundTask, "_otel_original_call"):
        del BackgroundTask._otel_original_call


@pytest.mark.parametrize("wrap", WRAPPINGS)
@pytest.mark.parametrize("first", ["wrap", "instrument"])
def test_opentelemetry_instruments_the_app(
    spans: tuple[TracerProvider, InMemorySpanExporter],
    wrap: Callable[[Any], WixMiddleware],
    first: str,
) -> None:
    """`FastAPIInstrumentor.instrument_app` works on the app and its wrapper, and is undone."""
    provider, exporter = spans
    api = FastAPI()

    @api.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    app: Any = wrap(api) if first == "wrap" else api
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    app = app if first == "wrap" else wrap(api)
    TestClient(app, base_url=PUBLIC_URL).get("/items/5")
    names = [span.name for span in exporter.get_finished_spans()]
    exporter.clear()
    FastAPIInstrumentor.uninstrument_app(app)
    TestClient(app, base_url=PUBLIC_URL).get("/items/5")

    assert "GET /items/{number}" == names[-1]
    assert () == exporter.get_finished_spans()


@pytest.mark.parametrize("name", ["app", "wix"])
def test_its_own_attributes_are_fixed(name: str) -> None:
    """Another app or Wix would not be used: setting one raises, and changes nothing."""
    api = FastAPI()
    app = wrapped(api)
    before = getattr(app, name)
    with pytest.raises(AttributeError, match=f"'{name}' of a WixMiddleware is fixed"):
        setattr(app, name, None)

    assert getattr(app, name) is before
    assert not hasattr(api, name)


@pytest.mark.parametrize("name", ["nonsense", "_private", "__wrapped__", "_WixMiddleware__no"])
def test_missing_attributes_are_missing(name: str) -> None:
    """An attribute that the app lacks too, or that is the wrapper's own, is an AttributeError."""
    app = wrapped(make_app())
    with pytest.raises(AttributeError, match=name):
        getattr(app, name)
    with pytest.raises(AttributeError, match=name):
        delattr(app, name)

    assert not hasattr(app, name)


def test_half_made_middleware_does_not_loop() -> None:
    """An instance without an app, as copy makes one, misses its attributes and no more."""
    for name in ("app", "wix", "anything"):
        with pytest.raises(AttributeError):
            getattr(WixMiddleware.__new__(WixMiddleware), name)


def test_a_copy_is_a_middleware_of_the_same_app() -> None:
    """Python's protocols are the wrapper's own: copying it copies no app, and changes none."""
    api = FastAPI()
    app = wrapped(api)
    attributes = set(vars(api))
    copied = copy.copy(app)

    assert isinstance(copied, WixMiddleware)
    assert not isinstance(app, FastAPI)
    assert copied.app is api
    assert copied.wix is app.wix
    assert attributes == set(vars(api))
    browser = TestClient(copied, base_url=PUBLIC_URL, follow_redirects=False)
    assert 303 == browser.get("/wix/install").status_code


def test_a_wrapper_is_pickled_by_its_own_attributes() -> None:
    """A wrapper belongs to its process: pickle fails at its Wix, as it does without a wrapper."""
    app = wrapped(Probe())
    errors = []
    for each in (app, app.wix):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(each)
        errors.append(str(caught.value))

    assert errors[0] == errors[1]


def test_an_app_that_takes_no_attributes_says_so() -> None:
    """A value that the app cannot keep is refused by the app, and never lost."""

    class Slotted:
        __slots__ = ()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            """Do nothing."""

    app = wrapped(Slotted())
    with pytest.raises(AttributeError, match="Slotted"):
        app.debug = True


class Counting(WixMiddleware):
    """A subclass with attributes of its own."""

    count = 0

    def __init__(self, app: Any, wix: Wix) -> None:
        self.set_early = 1
        super().__init__(app, wix)
        self.count = 2


def test_a_subclass_keeps_its_own_attributes() -> None:
    """Names that a subclass declares, or sets before there is an app, are not the app's."""
    api = FastAPI()
    app = Counting(api, make_wix(FakeWix()))

    assert (1, 2) == (app.set_early, app.count)
    del app.count
    assert 0 == app.count
    assert not {"count", "set_early"} & set(vars(api))
