"""Errors of a call that are httpx's errors too, so that libraries catch them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from tests.client.clients import API, EVIL, MEGABYTE, REFRESH, Drip, Internet, install, installed
from tests.support import SITE, make_app, make_wix
from wix_asgi import (
    AuthorizationConflict,
    NotInstalled,
    ResponseTooLarge,
    StorageUnavailable,
    Unauthenticated,
    Wix,
    WixClient,
    WixError,
    WixMiddleware,
    WixMisconfigured,
    WixUnavailable,
)
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix


def eleven_megabytes() -> httpx.Response:
    """Return an answer that is larger than may be read whole."""
    return httpx.Response(200, stream=Drip(b"x" * MEGABYTE, 11))


@pytest.fixture
def internet() -> Internet:
    """Return a network of the real Wix's names, with a fake Wix in it."""
    return Internet(FakeWix(url=API), lambda _: eleven_megabytes())


DRIVER_ERROR = OSError("The test database is down.")


async def lose_storage(*_: Any) -> None:
    """Be a storage that fails, as a backend tells it."""
    raise StorageUnavailable("Host db-7 refused.", retry_after=3.5) from DRIVER_ERROR


Break = Callable[[Wix, Internet, pytest.MonkeyPatch], None]


def break_wix(wix: Wix, internet: Internet, _: pytest.MonkeyPatch) -> None:
    """Have Wix fail every refresh, and ask for 17 seconds."""
    internet.fake.expire_access_tokens()
    internet.fake.fail(REFRESH, status=503, times=None, headers={"Retry-After": "17"})


def break_storage(wix: Wix, internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the storage fail, with no token in the cache."""
    monkeypatch.setattr(wix.storage, "get", lose_storage)


@asynccontextmanager
async def broken(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, break_it: Break
) -> AsyncIterator[WixClient]:
    """Run a Wix that is installed on a site, and then break it; with a client for that site."""
    async with make_wix(internet.fake, transport=internet) as wix:
        await install(wix, internet.fake)
        break_it(wix, internet, monkeypatch)
        yield wix.client(SITE)


BREAKS: dict[str, tuple[Break, type[WixError]]] = {
    "Wix": (break_wix, WixUnavailable),
    "storage": (break_storage, StorageUnavailable),
}
each_break = pytest.mark.parametrize(("break_it", "kind"), BREAKS.values(), ids=BREAKS)


@each_break
@pytest.mark.parametrize("stream", [False, True])
async def test_call_without_a_token_could_not_connect(
    internet: Internet,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Break,
    kind: type[WixError],
    stream: bool,
) -> None:
    """Without a token a call fails as though it found no server, with the request as made."""
    async with broken(internet, monkeypatch, break_it) as client:
        request = client.build_request("POST", "/x", json={})
        with pytest.raises(httpx.ConnectError) as caught:
            await client.send(request, stream=stream)

    assert isinstance(caught.value, kind)
    assert isinstance(caught.value, HTTPException)
    assert request is caught.value.request
    assert "wix_asgi.token" not in caught.value.request.extensions


async def test_data_of_wix_unavailable_is_kept(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the status, the message and the wait of the refresh that failed."""
    async with broken(internet, monkeypatch, break_wix) as client:
        with pytest.raises(WixUnavailable) as caught:
            await client.get("/x")

    error = caught.value
    assert (503, {"Retry-After": "17"}) == (error.status_code, error.headers)
    assert (17.0, 17.0, False) == (error.retry_after, error.asked, error.unsent)
    assert (str(error),) == error.args
    assert "503" in str(error)
    assert "503" not in error.detail


async def test_data_of_storage_unavailable_is_kept(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the message and the wait of the backend, and the driver's error as its cause."""
    async with broken(internet, monkeypatch, break_storage) as client:
        with pytest.raises(StorageUnavailable) as caught:
            await client.get("/x")

    error = caught.value
    assert (503, {"Retry-After": "4"}) == (error.status_code, error.headers)
    assert ("Host db-7 refused.", 3.5) == (str(error), error.retry_after)
    assert DRIVER_ERROR is error.__cause__
    names = [frame.name for frame in caught.traceback]
    assert "_send_handling_auth" in names
    assert "async_auth_flow" not in names


def pickled(error: Exception) -> Any:
    """Return the error as another process gets it."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own


@each_break
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
async def test_error_can_be_copied(
    internet: Internet,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Break,
    kind: type[WixError],
    copied: Callable[[Any], Any],
) -> None:
    """It can be sent to another process, as other errors of ours can."""
    async with broken(internet, monkeypatch, break_it) as client:
        with pytest.raises(kind) as caught:
            await client.get("/x")
    error: Any = caught.value
    again = copied(error)

    assert (type(error), str(error), error.retry_after, f"{API}/x") == (
        type(again),
        str(again),
        again.retry_after,
        str(again.request.url),
    )


async def test_no_token_travels_with_an_error(internet: Internet) -> None:
    """The error of a call that Wix got with a token is pickled without the token (R35)."""
    async with make_wix(internet.fake, transport=internet) as wix:
        token = await install(wix, internet.fake)
        internet.redirects.append(eleven_megabytes())
        with pytest.raises(ResponseTooLarge) as caught:
            await wix.client(SITE).get("/x")
    (_, sent) = internet.hops[0]

    assert [token] == sent
    assert token.encode() not in pickle.dumps(caught.value)


async def test_calls_that_share_a_refresh_have_errors_of_their_own(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of one refresh that two calls wait for has the request of either."""
    shared = StorageUnavailable()

    async def fail(*_: Any) -> None:
        raise shared

    errors: list[httpx.ConnectError] = []
    async with broken(internet, monkeypatch, lambda *_: None) as client:
        monkeypatch.setattr(client._made_of[0].tokens, "get", fail)
        for path in ("/x", "/y"):
            with pytest.raises(httpx.ConnectError) as caught:
                await client.get(path)
            errors.append(caught.value)

    assert ["/x", "/y"] == [error.request.url.path for error in errors]
    assert not hasattr(shared, "request")


async def test_error_of_another_package_keeps_its_class(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An `except` for the error of a backend of the app's own goes on working."""

    class QuotaUsedUp(StorageUnavailable):
        """The error of a backend of the app's own."""

    async def fail(*_: Any) -> None:
        raise QuotaUsedUp

    def lose(wix: Wix, _: Internet, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(wix.storage, "get", fail)

    async with broken(internet, monkeypatch, lose) as client:
        with pytest.raises(QuotaUsedUp) as caught:
            await client.get("/x")

    assert QuotaUsedUp is type(caught.value)


async def test_answer_that_is_too_large_is_no_error_of_the_transport(internet: Internet) -> None:
    """It is caught as httpx.RequestError, and is nothing that a repetition would help."""
    async with installed(internet.fake, transport=internet) as (_, client):
        with pytest.raises(httpx.RequestError, match="stream") as caught:
            await client.get(EVIL)

    assert isinstance(caught.value, ResponseTooLarge)
    assert not isinstance(caught.value, httpx.TransportError)
    assert EVIL == str(caught.value.request.url)


async def not_installed(wix: Wix) -> None:
    """Call for a site without the app."""
    await wix.client("site-unknown").get("/x")


async def unauthenticated(wix: Wix) -> None:
    """Call for a request without a signed instance."""
    scope = {"type": "http", "query_string": b"", "headers": []}
    await wix.clients.for_request(scope).get("/x")


async def conflict(wix: Wix) -> None:
    """Call with an Authorization header of the app's own."""
    await wix.client(SITE).get("/x", headers={"Authorization": "mine"})


async def installed_call(wix: Wix) -> None:
    """Call for the site that has the app."""
    await wix.client(SITE).get("/x")


OTHERS = {
    NotInstalled: not_installed,
    Unauthenticated: unauthenticated,
    AuthorizationConflict: conflict,
    WixMisconfigured: installed_call,
}


@pytest.mark.parametrize("kind", OTHERS)
async def test_other_errors_are_not_taken_for_a_failure_of_the_call(
    internet: Internet, kind: type[WixError]
) -> None:
    """Errors about the caller, or of the app's own making, pass an `except httpx.HTTPError`."""
    async with installed(internet.fake, transport=internet) as (wix, _):
        if kind is WixMisconfigured:
            internet.fake.expire_access_tokens()
            internet.fake.fail(REFRESH, status=401, times=None, body={"error": "invalid_client"})
        with pytest.raises(kind) as caught:
            await OTHERS[kind](wix)

    assert kind is type(caught.value)
    assert not isinstance(caught.value, httpx.HTTPError)


def test_framework_answers_them_as_before(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler of the app's own for httpx.HTTPError does not come before our 503."""
    wix = make_wix(internet.fake, transport=internet)
    monkeypatch.setattr(wix.storage, "get", lose_storage)
    app = make_app()

    async def never(request: Any, exc: Exception) -> Any:
        raise AssertionError("the status of the error comes first")

    app.add_exception_handler(httpx.HTTPError, never)
    with TestClient(WixMiddleware(app, wix)) as browser:
        answer = browser.get("/echo", params={"instance": internet.fake.signed_instance(SITE)})

    assert (503, "4") == (answer.status_code, answer.headers["Retry-After"])
