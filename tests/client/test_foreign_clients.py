"""The auth of a client in the hands of another one, which would send calls without a token."""

from __future__ import annotations

import pytest

from tests.client.clients import API, EVIL, Internet, installed
from wix_asgi import WixClient
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix


@pytest.fixture
def internet() -> Internet:
    """Return a network of the real Wix's names, with a fake Wix in it."""
    return Internet(FakeWix(url=API))


@pytest.mark.parametrize("url", [f"{API}/x", EVIL])
async def test_a_synchronous_client_is_told(internet: Internet, url: str) -> None:
    """An `httpx.Client` with our auth sends nothing, and the error says what to do (R40)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        sent: list[httpx.Request] = []
        network = httpx.MockTransport(lambda request: sent.append(request) or httpx.Response(200))  # type: ignore[func-returns-value] # it is None
        with (
            httpx.Client(auth=client.auth, transport=network) as foreign,
            pytest.raises(RuntimeError, match="await the methods of the WixClient itself"),
        ):
            foreign.get(url)

    assert [] == sent


@pytest.mark.parametrize("url", [f"{API}/x", EVIL])
async def test_another_asynchronous_client_is_told(internet: Internet, url: str) -> None:
    """An `httpx.AsyncClient` with our auth sends nothing, and gets no token to see (R40)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        request = httpx.Request("GET", url)
        async with httpx.AsyncClient(auth=client.auth, transport=internet) as foreign:
            with pytest.raises(RuntimeError, match="use the WixClient itself"):
                await foreign.send(request)

    assert [] == internet.hops
    assert {"timeout"} == set(request.extensions)


async def test_a_request_of_ours_is_no_pass(internet: Internet) -> None:
    """A request that a WixClient has sent is not sent by another client without its token (R40)."""
    async with installed(internet.fake, transport=internet) as (_, client):
        answer = await client.get("/x")
        async with httpx.AsyncClient(auth=client.auth, transport=internet) as foreign:
            with pytest.raises(RuntimeError, match="use the WixClient itself"):
                await foreign.send(answer.request)
        again = await client.send(answer.request)

    assert [200, 200] == [answer.status_code, again.status_code]
    assert 2 == len(internet.hops)


async def test_one_client_may_use_the_auth_of_another(internet: Internet) -> None:
    """In a WixClient the auth of another one works, for it attaches the token as well."""
    async with installed(internet.fake, transport=internet) as (wix, client):
        nobody = wix.client("2f0c7a52-3b7e-4c0e-9a51-0b6f6a1e5d02")
        answer = await nobody.get("/x", auth=client.auth)

    assert isinstance(nobody, WixClient)
    assert 200 == answer.status_code
