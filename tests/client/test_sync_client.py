"""The sync client: an httpx.Client in all it does, with the guarantees of its async twin."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from tests.client.clients import API, EVIL, REFRESH, Internet
from tests.client.sync_clients import installed
from tests.limits import PATIENCE
from tests.support import SITE, make_wix
from wix_asgi import (
    AuthorizationConflict,
    NotInstalled,
    SyncWixClient,
    Unauthenticated,
    WixUnavailable,
)
from wix_asgi._http import httpx
from wix_asgi.client.sync_client import sync_client_of
from wix_asgi.concurrency.portal import portal
from wix_asgi.testing import FakeWix


@pytest.fixture
def fake() -> FakeWix:
    """Return a Wix at the real one's address."""
    return FakeWix(url=API)


@pytest.mark.parametrize("method", ["get", "options", "head", "delete", "post", "put", "patch"])
def test_every_verb(fake: FakeWix, method: str) -> None:
    """All methods of httpx work, as the site of the client."""
    with installed(fake) as (_, client):
        answer = getattr(client, method)("/x", params={"a": "1"})

    assert isinstance(client, httpx.Client)
    assert (200, method.upper()) == (answer.status_code, answer.request.method)
    assert "Authorization" not in answer.request.headers


def test_call_opens_the_storage_by_itself(fake: FakeWix) -> None:
    """A Wix that nobody opened opens on the portal, where the site turns out to be unknown."""
    wix = make_wix(fake)
    with pytest.raises(NotInstalled):
        wix.sync.client(SITE).get("/x")
    was_open = wix.is_open
    portal().call(wix.aclose)

    assert was_open


def test_client_is_built_on_first_use(fake: FakeWix) -> None:
    """It shows no secret, is never pickled, and keeps the settings that were made before."""
    client = make_wix(fake).sync.client(SITE)
    before = vars(client).keys() - {"_made_of"}
    client.headers = httpx.Headers({"x-mine": "1"})
    with pytest.raises(TypeError, match="pass the instance id"):
        pickle.dumps(client)
    for _ in range(2):
        with pytest.raises(AttributeError, match=r"'SyncWixClient' object has no .* 'nonsense'"):
            _ = client.nonsense

    assert set() == before
    assert "<SyncWixClient>" == repr(client)
    assert "1" == client.headers["x-mine"]
    assert f"{API}/" == str(client.base_url)


def test_refused_token_is_renewed_once(fake: FakeWix) -> None:
    """A 401 of Wix brings another token and the same call again, with its body."""
    with installed(fake) as (_, client):
        fake.expire_access_tokens()
        answer = client.post("/x", json={"a": 1})

    assert (200, {"a": 1}) == (answer.status_code, answer.json()["body"])
    assert 1 == fake.count(REFRESH, grant_type="refresh_token")


def test_two_refusals_are_an_answer(fake: FakeWix) -> None:
    """A second 401 is handed over as it is."""
    with installed(fake) as (_, client):
        fake.answer("GET", "/x", status=401)
        answer = client.get("/x")

    assert 401 == answer.status_code


def test_many_threads_share_one_portal(fake: FakeWix) -> None:
    """Calls of all threads run on one event loop, and share one refresh."""
    loops = set()

    class Noting(Internet):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            loops.add(threading.get_ident())
            return await super().handle_async_request(request)

    with installed(fake, transport=Noting(fake)) as (wix, _), ThreadPoolExecutor(8) as threads:
        fake.expire_access_tokens()
        calls = [threads.submit(wix.sync.client(SITE).get, "/x") for _ in range(40)]
        statuses = {call.result(PATIENCE).status_code for call in calls}

    assert {200} == statuses
    assert 1 == len(loops)
    assert 1 == fake.count(REFRESH, grant_type="refresh_token")


def test_redirect_leads_no_token_away(fake: FakeWix) -> None:
    """The token goes to Wix alone, also where another server leads the call back (R25)."""
    back = httpx.Response(307, headers={"Location": f"{API}/echo"})
    internet = Internet(fake, lambda _: back)
    with installed(fake, transport=internet) as (_, client):
        internet.redirect(307, f"{EVIL}/x")
        answer = client.get("/x", follow_redirects=True)

    assert [1, 0, 0] == [len(tokens) for _, tokens in internet.hops]
    assert 401 == answer.status_code


def test_foreign_address_gets_no_token(fake: FakeWix) -> None:
    """A call to another origin passes as it is, and asks for no token."""
    internet = Internet(fake)
    with installed(fake, transport=internet) as (_, client):
        client.get(f"{EVIL}/x")

    assert [(f"{EVIL}/x", [])] == internet.hops


def test_own_authorization_is_a_conflict(fake: FakeWix) -> None:
    """A call to Wix with an Authorization header of its own is not sent."""
    with installed(fake) as (_, client), pytest.raises(AuthorizationConflict):
        client.get("/x", headers={"Authorization": "mine"})


def test_auth_is_for_its_client_alone(fake: FakeWix) -> None:
    """In an AsyncClient the auth sends nothing, as the call would have no token."""
    client = make_wix(fake).sync.client(SITE)

    async def misuse() -> None:
        async with httpx.AsyncClient(auth=client.auth, transport=fake.transport) as other:
            await other.get(f"{API}/x")

    with pytest.raises(RuntimeError, match="for that client alone"):
        anyio.run(misuse)


def test_failing_wix_is_an_error_of_httpx(fake: FakeWix) -> None:
    """Without a token the call is a WixUnavailable, which is an httpx.ConnectError too."""
    with installed(fake) as (_, client):
        fake.expire_access_tokens()
        fake.fail(REFRESH, times=None)
        with pytest.raises(WixUnavailable) as caught:
            client.get("/x")

    assert isinstance(caught.value, httpx.ConnectError)
    assert "/x" == caught.value.request.url.path


def test_iterated_body_is_sent(fake: FakeWix) -> None:
    """A request body that an iterator makes is sent, as httpx does."""
    with installed(fake) as (_, client):
        answer = client.post(
            "/x",
            content=iter([b'{"a"', b": 1}"]),
            headers={"Content-Type": "application/json"},
        )

    assert {"a": 1} == answer.json()["body"]


def test_event_hooks_run_in_the_calling_thread(fake: FakeWix) -> None:
    """Hooks of httpx are the app's plain functions, and see no token."""
    threads, headers = [], []

    def note(request: httpx.Request) -> None:
        threads.append(threading.get_ident())
        headers.append(dict(request.headers))

    with installed(fake) as (_, client):
        client.event_hooks = {"request": [note]}
        client.get("/x")

    assert [threading.get_ident()] == threads
    assert "authorization" not in headers[0]


def test_twin_of_a_requests_client(fake: FakeWix) -> None:
    """The twin has the caller of its client, by which a refusal is the same."""
    wix = make_wix(fake)
    signed = fake.signed_instance(SITE)

    def twin(query: str) -> SyncWixClient:
        scope = {"type": "http", "query_string": query.encode(), "headers": []}
        return sync_client_of(wix.clients.for_request(scope))

    known, nobody = twin(f"instance={signed}"), twin("")
    with pytest.raises(Unauthenticated):
        nobody.identify()
    with pytest.raises(Unauthenticated):
        nobody.get("/x")

    assert SITE == known.identify().instance_id
    assert known.identity is not None
    assert SITE == known.identity.instance_id
    assert nobody.identity is None
