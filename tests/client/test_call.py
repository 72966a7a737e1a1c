"""A call on its way to Wix: the token goes to the API of Wix, and nowhere else."""

from __future__ import annotations

import contextlib

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.client.clients import API, EVIL, Internet, install, installed
from tests.support import SITE, make_wix
from wix_asgi import AuthorizationConflict, NotInstalled, Unauthenticated
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix

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
    "https://www.wixap\u0131s.com/",
    "https://\uff57\uff57\uff57.wixapis.com.evil.example/",
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
    internet.fake.echo("/*")
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
        with contextlib.suppress(
            httpx.RemoteProtocolError, httpx.InvalidURL, httpx.UnsupportedProtocol
        ):
            await client.post("/x", json={}, follow_redirects=True)

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
    internet.fake.echo("/y")
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


async def test_own_authorization_on_a_request_sent_before(internet: Internet) -> None:
    """Also a request that Wix has had already does not go with a header of the app's own (R40)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        request = client.build_request("GET", "/x")
        await client.send(request)
        request.headers["Authorization"] = "mine"
        with pytest.raises(AuthorizationConflict):
            await client.send(request)

    assert 1 == len(internet.hops)


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
            # No token is due for a refresh, however long the calls take on a busy machine.
            token = await install(wix, fake, site, lifetime=86_400.0)
            owner[token] = site
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
    """A request that two sites' clients send has the token of its client each time (R40)."""
    fake = FakeWix()
    other = list(fake.sites)[1]
    async with installed(fake) as (wix, client):
        await install(wix, fake, other)
        request = client.build_request("GET", "/x")
        first = await client.send(request)
        second = await wix.client(other).send(request)

    assert [SITE, other] == [first.json()["instanceId"], second.json()["instanceId"]]


async def test_unknown_site_is_not_installed() -> None:
    """A client for a site without the app raises, and asks Wix only for client credentials."""
    fake = FakeWix()
    async with installed(fake) as (wix, _):
        with pytest.raises(NotInstalled):
            await wix.client("site-unknown").get("/x")

    assert ["/oauth2/token"] == [call.path for call in fake.calls]


async def test_nobody_opens_nothing() -> None:
    """A call of an unknown caller makes no use of the storage."""
    fake = FakeWix()
    wix = make_wix(fake)
    client = wix.clients.for_request({"type": "http", "query_string": b"", "headers": []})
    with pytest.raises(Unauthenticated):
        await client.get("/x")

    assert not wix.is_open
