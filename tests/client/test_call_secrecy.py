"""The token of a call is seen by Wix, and by no code that looks at the call before or after."""

from __future__ import annotations

import pickle
from typing import Any

import anyio
import pytest

from tests.client.clients import API, EVIL, REFRESH, Internet, install, installed
from tests.limits import PATIENCE
from tests.support import SITE
from wix_asgi import WixClient
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

_, OTHER, _ = DEMO_SITES


@pytest.fixture
def internet() -> Internet:
    """Return a network of the real Wix's names, with a fake Wix in it."""
    return Internet(FakeWix(url=API))


@pytest.mark.parametrize("status", [307, 308])
async def test_token_is_not_given_back_behind_a_foreign_redirect(
    internet: Internet, status: int
) -> None:
    """A foreign server cannot lead the call back to Wix with the token, for it is gone (R38)."""
    internet.redirect(status, f"{EVIL}/")
    internet.elsewhere = lambda _: httpx.Response(status, headers={"Location": f"{API}/danger"})
    internet.fake.echo("/danger")
    async with installed(internet.fake, transport=internet) as (wix, client):
        token = await wix._tokens.get(SITE)
        answer = await client.post("/a", json={"a": 1}, follow_redirects=True)

    expected = [(f"{API}/a", [token.value]), (f"{EVIL}/", []), (f"{API}/danger", [])]
    assert expected == internet.hops
    assert 401 == answer.status_code
    assert 0 == internet.fake.count(REFRESH)


async def test_token_is_not_given_back_behind_a_hook(internet: Internet) -> None:
    """Nor where an event hook led the call there (R38)."""

    async def rewrite(request: httpx.Request) -> None:
        if request.url.path == "/a":
            request.url = httpx.URL(f"{EVIL}/")

    internet.elsewhere = lambda _: httpx.Response(307, headers={"Location": f"{API}/danger"})
    async with installed(internet.fake, transport=internet) as (_, client):
        client.event_hooks = {"request": [rewrite]}
        await client.get("/a", follow_redirects=True)

    assert [(f"{EVIL}/", []), (f"{API}/danger", [])] == internet.hops


async def test_answer_does_not_tell_the_token(internet: Internet) -> None:
    """An answer can be kept and shown: no request that it leads to has the token (R35)."""
    internet.redirect(401, "")
    internet.redirect(302, "/y")
    internet.fake.echo("/y")
    async with installed(internet.fake, transport=internet) as (_, client):
        answer = await client.get("/x", follow_redirects=True)

    sent = [value.encode() for _, values in internet.hops for value in values]
    told = pickle.dumps([answer, answer.history])
    assert 200 == answer.status_code
    assert 3 == len(sent)
    assert [] == [value for value in sent if value in told]
    assert "Authorization" not in answer.request.headers


async def test_event_hooks_do_not_see_the_token(internet: Internet) -> None:
    """A hook that logs or copies the headers of each request has no token in them (R35)."""
    seen: list[str] = []

    async def note(request: httpx.Request) -> None:
        seen.extend(request.headers)

    async def note_answer(response: httpx.Response) -> None:
        seen.extend(response.request.headers)

    internet.redirect(401, "")
    internet.redirect(302, "/y")
    internet.fake.echo("/y")
    async with installed(internet.fake, transport=internet) as (_, client):
        client.event_hooks = {"request": [note], "response": [note_answer]}
        await client.get("/x", follow_redirects=True)

    assert 6 == seen.count("host")
    assert 0 == seen.count("authorization")


async def test_headers_of_a_request_can_be_sent_elsewhere(internet: Internet) -> None:
    """An app that sends a request to Wix on to another server sends no token along (R38)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        request = (await client.get("/x")).request
        await client.get(EVIL, headers=request.headers, extensions=request.extensions)
        async with httpx.AsyncClient(transport=internet) as plain:
            await plain.get(EVIL, headers=request.headers, extensions=request.extensions)

    assert [(EVIL, []), (EVIL, [])] == internet.foreign


async def test_request_sent_again_without_auth(internet: Internet) -> None:
    """With `auth=None` a request has no token either that it was sent with before (R40)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        request = client.build_request("GET", "/x")
        answers = [await client.send(request), await client.send(request, auth=None)]

    assert [200, 401] == [answer.status_code for answer in answers]
    assert [1, 0] == [len(values) for _, values in internet.hops]


async def test_error_of_the_transport_does_not_tell_the_token() -> None:
    """The request of a failure is as the app made it (R35)."""
    fake = FakeWix(url=API)
    sent: list[httpx.Request] = []

    def fail(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raise httpx.PoolTimeout("x", request=request)

    async with installed(fake, transport=httpx.MockTransport(fail)) as (_, client):
        request = client.build_request("GET", "/x")
        with pytest.raises(httpx.PoolTimeout) as caught:
            await client.send(request)

    assert "Authorization" in sent[0].headers
    assert request.url == caught.value.request.url
    assert "Authorization" not in {*request.headers, *caught.value.request.headers}


async def test_a_request_that_two_clients_send_is_each_client_s_own(internet: Internet) -> None:
    """Sent by two at the same moment, it goes out once with the token of each (R40)."""
    both = anyio.Event()
    hooked: list[httpx.Request] = []
    answers: dict[str, Any] = {}

    async def meet(request: httpx.Request) -> None:
        hooked.append(request)
        if len(hooked) == 2:
            both.set()
        await both.wait()

    async def send(client: WixClient, site: str) -> None:
        client.event_hooks = {"request": [meet]}
        answers[site] = (await client.send(request)).json()

    async with installed(internet.fake, transport=internet) as (wix, client):
        await install(wix, internet.fake, OTHER)
        request = client.build_request("POST", "/x", json={"a": 1})
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send, client, SITE)
                tasks.start_soon(send, wix.client(OTHER), OTHER)

    assert {SITE: SITE, OTHER: OTHER} == {s: body["instanceId"] for s, body in answers.items()}
    assert [{"a": 1}] * 2 == [body["body"] for body in answers.values()]
