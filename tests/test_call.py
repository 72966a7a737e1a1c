"""A call on its way to Wix: where the token goes, what a refusal costs, and for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from clients import API, REFRESH, Internet, install, installed
from support import SITE, make_wix

from wix_asgi import AuthorizationConflict, NotInstalled, Unauthenticated, call
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix
from wix_asgi.transport import PoolTransport

EVIL = "https://evil.example"
FOREIGN = [
    "https://evil.example/",
    "https://www.wixapis.com@evil.example/",
    "https://www.wixapis.com%40evil.example/",
    "https://evil.example/https://www.wixapis.com/",
    "https://evil.example?www.wixapis.com",
    "https://evil.example#www.wixapis.com",
    "https://www.wixapis.com.evil.example/",
    "https://www.wixapis.com./stores",
    "https://wixapis.com/",
    "https://wix.com/",
    "https://www.wix.com/",
    "https://api.www.wixapis.com/",
    "https://wwwXwixapis.com/",
    "https://www-wixapis.com/",
    "https://www.wixapis.co/",
    "https://www.wixapis.comx/",
    "https://www.wixapıs.com/",
    "https://ｗｗｗ.wixapis.com.evil.example/",
    "https://xn--www-wixapis-9db.com/",
    "https://www.wixapis.com:444/",
    "https://www.wixapis.com:80/",
    "https://www.wixapis.com:8443/x",
    "http://www.wixapis.com/",
    "http://www.wixapis.com:443/",
    "https://127.0.0.1/",
    "https://[::1]/",
    "ws://www.wixapis.com/",
]
# httpx reads these as paths of the API where it is given them, and as URLs in a redirect.
PROTOCOL_RELATIVE = ["//evil.example/x", "//user:pass@evil.example/", "//www.wixapis.com:444/"]
OURS = [
    "/stores/v1/products",
    "stores/v1/products",
    "https://www.wixapis.com/x",
    "https://www.wixapis.com:443/x",
    "HTTPS://WWW.WIXAPIS.COM/x",
    "//www.wixapis.com/x",
    "https://user:pass@www.wixapis.com/x",
    "https://evil.example@www.wixapis.com/x",
    "https://evil.example\\@www.wixapis.com/x",
    *PROTOCOL_RELATIVE,
    "/x?url=https://evil.example",
    "/../../x",
]


@pytest.fixture
def internet() -> Internet:
    """Return a network of the real Wix's names, with a fake Wix in it."""
    return Internet(FakeWix(url=API))


@pytest.mark.parametrize("url", FOREIGN)
async def test_token_goes_to_no_foreign_url(internet: Internet, url: str) -> None:
    """An absolute URL of any other scheme, host or port gets no token (R38)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        try:
            await client.get(url)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            hops = []
        else:
            hops = [authorization for _, authorization in internet.hops]

    assert [] == [value for hop in hops for value in hop]
    assert internet.foreign == internet.hops


@pytest.mark.parametrize("url", OURS)
async def test_token_goes_to_the_api(internet: Internet, url: str) -> None:
    """Relative paths and the API's own origin get the bare token, in one header (R38)."""
    async with installed(internet.fake, transport=internet) as (wix, client):
        token = await wix._tokens.get(SITE)
        answer = await client.get(url)

    assert 200 == answer.status_code
    assert [token.value] == internet.hops[0][1]


@pytest.mark.parametrize("url", FOREIGN + PROTOCOL_RELATIVE)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_token_goes_to_no_redirect(internet: Internet, status: int, url: str) -> None:
    """A redirect to any other origin that is followed gets no token (R38)."""
    internet.redirect(status, url)
    async with installed(internet.fake, transport=internet) as (_, client):
        try:
            await client.post("/x", json={}, follow_redirects=True)
        except (httpx.RemoteProtocolError, httpx.InvalidURL, httpx.UnsupportedProtocol):
            pass

    assert [[]] * len(internet.foreign) == [authorization for _, authorization in internet.foreign]
    assert 1 == len(internet.hops) - len(internet.foreign)


async def test_redirects_are_not_followed_by_default(internet: Internet) -> None:
    """A redirect is an answer like any other unless it was asked to follow it (R39)."""
    internet.redirect(302, f"{EVIL}/")
    async with installed(internet.fake, transport=internet) as (_, client):
        answer = await client.get("/x")

    assert 302 == answer.status_code
    assert 1 == len(internet.hops)


async def test_redirect_within_wix_keeps_the_token(internet: Internet) -> None:
    """A redirect to another path of the API gets the token again."""
    internet.redirect(302, "/y")
    async with installed(internet.fake, transport=internet) as (_, client):
        answer = await client.get("/x", follow_redirects=True)

    assert (SITE, "/y") == (answer.json()["instanceId"], answer.json()["path"])


async def test_redirect_from_elsewhere_gets_no_token(internet: Internet) -> None:
    """A foreign server cannot make the client call Wix with a token."""
    internet.elsewhere = lambda _: httpx.Response(302, headers={"Location": f"{API}/x"})
    async with installed(internet.fake, transport=internet) as (_, client):
        answer = await client.get(EVIL, follow_redirects=True)

    assert 401 == answer.status_code
    assert [(EVIL, []), (f"{API}/x", [])] == internet.hops


async def rewrite(request: httpx.Request) -> None:
    """Be an event hook that sends everything elsewhere."""
    request.url = httpx.URL(f"{EVIL}/rewritten")


async def test_event_hook_cannot_take_the_token_along(internet: Internet) -> None:
    """Where an event hook rewrites the URL, the token is not sent (R38)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        client.event_hooks = {"request": [rewrite]}
        await client.get("/x")

    assert [(f"{EVIL}/rewritten", [])] == internet.hops


async def test_event_hook_cannot_take_the_token_of_the_try_before(internet: Internet) -> None:
    """Nor is the refused token sent, where a hook rewrites the second try only (R38)."""
    tries: list[str] = []

    async def rewrite_second(request: httpx.Request) -> None:
        tries.append(str(request.url))
        if len(tries) == 2:
            await rewrite(request)

    async with installed(internet.fake, transport=internet) as (_, client):
        client.event_hooks = {"request": [rewrite_second]}
        internet.fake.fail("/x", status=401)
        await client.get("/x")

    assert [(f"{EVIL}/rewritten", [])] == internet.foreign
    assert 2 == len(tries)


async def test_event_hook_cannot_take_the_token_over_a_redirect(internet: Internet) -> None:
    """Nor does a hook that rewrites the hop behind a redirect get it (R38)."""
    hops: list[str] = []

    async def rewrite_second(request: httpx.Request) -> None:
        hops.append(str(request.url))
        if len(hops) == 2:
            await rewrite(request)

    internet.redirect(307, "/y")
    async with installed(internet.fake, transport=internet) as (_, client):
        client.event_hooks = {"request": [rewrite_second]}
        await client.get("/x", follow_redirects=True)

    assert [(f"{EVIL}/rewritten", [])] == internet.foreign


async def test_request_that_is_sent_again_elsewhere_loses_the_token(internet: Internet) -> None:
    """A request that was sent to Wix once can be sent elsewhere, without the token (R38)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        request = client.build_request("GET", "/x")
        await client.send(request)
        await rewrite(request)
        await client.send(request)

    assert [(f"{EVIL}/rewritten", [])] == internet.foreign


async def test_own_authorization_reaches_its_own_servers(internet: Internet) -> None:
    """An Authorization header of the app's own passes on any other origin."""
    async with installed(internet.fake, transport=internet) as (_, client):
        await client.get(EVIL, headers={"Authorization": "Bearer theirs"})
        await client.get(EVIL, auth=("user", "pass"))

    assert [["Bearer theirs"], ["Basic dXNlcjpwYXNz"]] == [values for _, values in internet.foreign]


async def test_own_authorization_that_a_hook_sets_passes_elsewhere(internet: Internet) -> None:
    """Also where an event hook leads a call elsewhere and sets it there."""

    async def mine(request: httpx.Request) -> None:
        await rewrite(request)
        request.headers["Authorization"] = "Bearer theirs"

    async with installed(internet.fake, transport=internet) as (_, client):
        client.event_hooks = {"request": [mine]}
        await client.get("/x")

    assert [["Bearer theirs"]] == [values for _, values in internet.foreign]


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
async def test_own_authorization_for_wix_is_an_error(internet: Internet, name: str) -> None:
    """A call to Wix with an Authorization header of its own is not sent (R40)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        with pytest.raises(AuthorizationConflict, match="auth=None"):
            await client.get("/x", headers={name: "mine"})
        client.headers[name] = "mine"
        with pytest.raises(AuthorizationConflict):
            await client.get("/x")

    assert [] == internet.hops


async def test_own_authorization_for_wix_can_be_meant(internet: Internet) -> None:
    """With `auth=None` the call goes to Wix as it is written (R40)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        await client.get("/x", headers={"Authorization": "mine"}, auth=None)
        await client.get("/x", auth=None)

    assert [["mine"], []] == [values for _, values in internet.hops]


async def test_each_call_carries_the_token_of_its_own_site() -> None:
    """10,000 interleaved calls of 100 sites each carry their own site's token (R40)."""
    fake = FakeWix(sites={f"site-{number}": f"Site {number}" for number in range(100)})
    seen: list[bool] = []
    owner: dict[str, str] = {}

    async def answer(request: httpx.Request) -> httpx.Response:
        for _ in range(len(seen) % 3):
            await checkpoint()
        seen.append(owner[request.headers["Authorization"]] == request.url.params["site"])
        return httpx.Response(200)

    async with make_wix(fake, transport=httpx.MockTransport(answer)) as wix:
        for site in fake.sites:
            owner[await install(wix, fake, site)] = site
        clients = {site: wix.client(site) for site in fake.sites}

        async def ask(number: int) -> None:
            for step in range(100):
                site = f"site-{(number + 7 * step) % 100}"
                await clients[site].get("/x", params={"site": site})

        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(ask, number)

    assert [True] * 10_000 == seen


async def test_request_of_one_site_sent_by_the_client_of_another() -> None:
    """A request that one site's client has sent goes with the other's token in its client (R40)."""
    fake = FakeWix()
    other = list(fake.sites)[1]
    async with installed(fake) as (wix, client):
        await install(wix, fake, other)
        request = client.build_request("GET", "/x")
        first = await client.send(request)
        second = await wix.client(other).send(request)

    assert [SITE, other] == [first.json()["instanceId"], second.json()["instanceId"]]


async def test_refused_token_is_renewed_once() -> None:
    """A 401 costs one refresh and one more try, which the caller does not see."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.expire_access_tokens()
        answers = [await client.get("/x"), await client.get("/x")]

    assert [200, 200] == [answer.status_code for answer in answers]
    assert 1 == fake.count(REFRESH)
    assert 3 == fake.count("/x")


async def test_second_401_is_the_answer() -> None:
    """A call that is refused with the new token, too, is answered with that 401: no loop."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.fail("/x", status=401, times=None, body={"no": "way"})
        answer = await client.get("/x")

    assert (401, {"no": "way"}) == (answer.status_code, answer.json())
    assert 1 == fake.count(REFRESH)
    assert 2 == fake.count("/x")


async def test_replayable_body_is_sent_again() -> None:
    """A POST with JSON is repeated after a 401, which did nothing."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.expire_access_tokens()
        answer = await client.post("/x", json={"a": 1})

    assert {"a": 1} == answer.json()["body"]


async def once() -> AsyncIterator[bytes]:
    """Be a body that can be sent once."""
    yield b"on"
    yield b"ce"


async def test_one_shot_body_is_not_sent_again() -> None:
    """A streamed body gets its 401, and the next call has a new token."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.expire_access_tokens()
        answers = [await client.post("/x", content=once()) for _ in range(2)]

    assert [401, 200] == [answer.status_code for answer in answers]
    assert 1 == fake.count(REFRESH)
    assert 2 == fake.count("/x")


async def test_file_is_not_sent_again() -> None:
    """An upload of a file is not repeated either: its stream may be at its end."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.fail("/x", status=401)
        answer = await client.post("/x", files={"file": b"content"})

    assert 401 == answer.status_code
    assert 1 == fake.count("/x")


async def test_401_of_others_renews_nothing(internet: Internet) -> None:
    """A 401 from another origin, also behind a redirect, leaves the token as it is."""
    internet.elsewhere = lambda _: httpx.Response(401)
    async with installed(internet.fake, transport=internet) as (_, client):
        direct = await client.get(EVIL)
        internet.redirect(302, EVIL)
        redirected = await client.get("/x", follow_redirects=True)

    assert [401, 401] == [direct.status_code, redirected.status_code]
    assert 0 == internet.fake.count(REFRESH)
    assert 3 == len(internet.hops)


async def test_401_of_a_removed_app_is_not_installed() -> None:
    """Where the token was refused and cannot be renewed, the app is not installed."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.uninstall(SITE)
        with pytest.raises(NotInstalled):
            await client.get("/x")


async def test_unknown_site_is_not_installed() -> None:
    """A client for a site without the app raises, and asks Wix nothing."""
    fake = FakeWix()
    async with installed(fake) as (wix, _):
        with pytest.raises(NotInstalled):
            await wix.client("site-unknown").get("/x")

    assert [] == fake.calls


async def test_nobody_opens_nothing() -> None:
    """Who is not known makes no use of the storage."""
    fake = FakeWix()
    wix = make_wix(fake)
    client = wix.clients.for_request({"type": "http", "query_string": b"", "headers": []})
    with pytest.raises(Unauthenticated):
        await client.get("/x")

    assert not wix.is_open


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have calls wait for no time, and return for how long they would have waited."""
    naps: list[float] = []

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        await checkpoint()

    monkeypatch.setattr(call, "anyio", SimpleNamespace(sleep=sleep))
    return naps


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_wait_that_wix_asks_for(status: int, method: str, naps: list[float]) -> None:
    """An idempotent call waits as `Retry-After` says, and is sent again."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.fail("/x", status=status, headers={"Retry-After": "3"})
        answer = await client.request(method, "/x")

    assert 200 == answer.status_code
    assert [3.0] == naps


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("POST", {"Retry-After": "1"}, []),
        ("PATCH", {"Retry-After": "1"}, []),
        ("GET", {}, []),
        ("GET", {"Retry-After": "soon"}, []),
        ("GET", {"Retry-After": "-1"}, []),
        ("GET", {"Retry-After": "11"}, []),
        ("GET", {"Retry-After": "99999999999"}, []),
        ("GET", {"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"}, []),
        ("GET", {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, [0.0, 0.0]),
        ("GET", {"Retry-After": "1"}, [1.0, 1.0]),
        ("GET", {"Retry-After": "5"}, [5.0, 5.0]),
        ("GET", {"Retry-After": "6"}, [6.0]),
        ("GET", {"Retry-After": "10"}, [10.0]),
    ],
)
async def test_waiting_has_bounds(
    method: str, headers: dict[str, str], expected: list[float], naps: list[float]
) -> None:
    """A call is repeated twice at most and waits ten seconds in all; then it is answered."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.fail("/x", status=429, times=None, headers=headers, body="slow down")
        answer = await client.request(method, "/x")

    assert (429, "slow down") == (answer.status_code, answer.text)
    assert expected == naps
    assert 1 + len(expected) == fake.count("/x")


async def test_one_shot_body_does_not_wait(naps: list[float]) -> None:
    """A streamed body is not repeated for a 503 either."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        fake.fail("/x", headers={"Retry-After": "1"})
        answer = await client.put("/x", content=once())

    assert 503 == answer.status_code
    assert [] == naps


async def test_waiting_and_renewing_go_together(naps: list[float]) -> None:
    """A call may be told to wait, lose its token, and wait again."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        for status in (503, 401, 429):
            fake.fail("/x", status=status, headers={"Retry-After": "1"})
        answer = await client.get("/x")

    assert 200 == answer.status_code
    assert [1.0, 1.0] == naps
    assert 4 == fake.count("/x")


async def test_other_failures_are_answers(naps: list[float]) -> None:
    """A 500 or a 502 is not repeated, whatever it says."""
    fake = FakeWix()
    async with installed(fake) as (_, client):
        for status in (500, 502):
            fake.fail("/x", status=status, headers={"Retry-After": "1"})
        answers = [await client.get("/x") for _ in range(2)]

    assert [500, 502] == [answer.status_code for answer in answers]
    assert [] == naps


async def test_no_deadlock_with_one_connection() -> None:
    """A 401 gives its connection back before the refresh, which may need the same one."""
    fake = FakeWix()
    pool = PoolTransport(max_connections=1, connect=lambda: fake.transport)
    async with installed(fake, transport=pool) as (_, client):
        fake.expire_access_tokens()
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(client.get, "/x")

        assert 0 == pool.in_flight
    assert 1 == fake.count(REFRESH)
    assert 5 == len([one for one in fake.calls if one.path == "/x" and one.status == 200])


async def test_connection_is_free_while_a_call_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one call waits as Wix asked, another one has the only connection."""
    fake = FakeWix()
    pool = PoolTransport(max_connections=1, connect=lambda: fake.transport)
    async with installed(fake, transport=pool) as (_, client):
        waiting, go_on = anyio.Event(), anyio.Event()

        async def sleep(seconds: float) -> None:
            waiting.set()
            await go_on.wait()

        fake.fail("/x", headers={"Retry-After": "1"})
        with monkeypatch.context() as patch, anyio.fail_after(10):
            patch.setattr(call, "anyio", SimpleNamespace(sleep=sleep))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, "/x")
                await waiting.wait()
                other = await client.get("/y")
                go_on.set()

    assert 200 == other.status_code
    assert 2 == fake.count("/x")


def answering(status: int, body: Any, **headers: str) -> httpx.AsyncBaseTransport:
    """Return a transport that always answers so, with a body that is made anew each time."""
    return httpx.MockTransport(
        lambda _: httpx.Response(status, headers=headers, content=body() if body else None)
    )


async def big() -> AsyncIterator[bytes]:
    """Be a body of 100 MB, made as it is read."""
    for _ in range(1600):
        yield b"x" * 65536


async def test_stream_of_a_refusal_can_be_read_raw() -> None:
    """A streamed answer that is not repeated has not been read by anybody before."""
    fake = FakeWix()
    body = partial(aiter_of, b"no", b"pe")
    async with installed(fake, transport=answering(429, body)) as (_, client):
        async with client.stream("GET", "/x") as answer:
            chunks = [chunk async for chunk in answer.aiter_raw()]

    assert [b"no", b"pe"] == chunks


async def aiter_of(*chunks: bytes) -> AsyncIterator[bytes]:
    """Yield these chunks."""
    for chunk in chunks:
        yield chunk
