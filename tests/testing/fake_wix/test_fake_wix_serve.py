"""FakeWix over a port, from a thread of its own."""

from __future__ import annotations

import logging
import socket
import threading
from urllib.parse import parse_qs, urlencode, urlsplit

import anyio
import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix

_, YOGA, _ = DEMO_SITES


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    return FakeWix()


def test_it_is_served_for_as_long_as_the_block(fake: FakeWix) -> None:
    """The URL is yielded and set, the port is free again afterwards, and the thread is gone."""
    with fake.serve() as url:
        inside = (fake.url, httpx.get(f"{url}/echo").status_code)

    assert (url, 401) == inside
    assert url.startswith("http://127.0.0.1:")
    assert "https://wix.example" == fake.url
    assert "fake-wix" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_answers_are_sent_at_once(fake: FakeWix, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections have TCP_NODELAY: without it a body waits 40 ms for the headers' ACK."""
    accept, nodelay = socket.socket.accept, []

    def spy(self: socket.socket) -> tuple[socket.socket, object]:
        connection, peer = accept(self)
        nodelay.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        return connection, peer

    monkeypatch.setattr(socket.socket, "accept", spy)
    with fake.serve() as url:
        httpx.get(url)

    assert [True] == nodelay


def test_an_install_goes_through_over_a_port(fake: FakeWix) -> None:
    """Consent, exchange, an API call and the end of the install, over HTTP."""
    query = {
        "token": fake.install_token(YOGA),
        "appId": fake.app_id,
        "redirectUrl": "https://app.example.com/wix/callback",
        "state": "the-state",
    }
    with fake.serve() as url, httpx.Client(base_url=url) as http:
        installer = f"/installer/install?{urlencode(query)}"
        approved = http.post(installer, data={"decision": "approve"})
        code = parse_qs(urlsplit(approved.headers["location"]).query)["code"][0]
        body = {
            "grant_type": "authorization_code",
            "client_id": fake.app_id,
            "client_secret": fake.app_secret,
            "code": code,
        }
        token = http.post("/oauth/access", json=body).json()["access_token"]
        products = http.post("/stores/v1/products/query", headers={"authorization": token})
        closed = http.get("/installer/close-window", params={"access_token": token})

    assert ["Lighthouse Yoga Mug"] == [p["name"] for p in products.json()["products"][:1]]
    assert 200 == closed.status_code
    assert [303, 200, 200, 200] == [call.status for call in fake.calls]


def test_the_public_key_is_told_over_a_port(fake: FakeWix) -> None:
    """An app in another process gets it from here, without an access token."""
    with fake.serve() as url:
        answer = httpx.get(f"{url}/public-key")

    assert (200, fake.public_key) == (answer.status_code, answer.text)


def test_it_can_be_served_at_a_port_of_choice(fake: FakeWix) -> None:
    """The port may be given, and used for two servers in succession."""
    with fake.serve() as first:
        port = urlsplit(first).port or 0
    with fake.serve(port=port) as second:
        status = httpx.get(f"{second}/echo").status_code

    assert (first, 401) == (second, status)


@pytest.mark.parametrize(
    ("host", "reached"),
    [("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")],  # noqa: S104
)
def test_the_url_is_one_that_reaches_it(fake: FakeWix, host: str, reached: str) -> None:
    """A wildcard is no address to go to, and an IPv6 address has brackets."""
    with fake.serve(host=host) as url:
        status = httpx.get(f"{url}/echo").status_code

    assert f"http://{reached}" == url.rpartition(":")[0]
    assert 401 == status


async def test_answers_are_held_across_threads(fake: FakeWix) -> None:
    """A test on its own event loop holds back and awaits the answers of another thread's loop."""
    statuses: list[int] = []
    held: list[int] = []

    async def call(http: httpx.AsyncClient) -> None:
        statuses.append((await http.get("/echo")).status_code)

    with fake.serve() as url, fake.hold("/echo") as gate:
        async with httpx.AsyncClient(base_url=url) as http, anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(call, http)
            await gate.arrived(5)
            held += statuses
            gate.release()

    assert [] == held
    assert [401] * 5 == statuses


@pytest.mark.parametrize("kind", ["drop", "refuse"])
def test_a_lost_connection_is_lost_over_a_port(
    fake: FakeWix, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer breaks off; with "refuse" nothing was asked."""
    caplog.set_level(logging.CRITICAL)
    with fake.serve() as url:
        fake.fail("/echo", kind="drop" if kind == "drop" else "refuse")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{url}/echo")
        after = httpx.get(f"{url}/echo").status_code

    assert 401 == after
    assert ([0, 401] if kind == "drop" else [401]) == [call.status for call in fake.calls]


async def test_it_stops_although_a_call_hangs(fake: FakeWix) -> None:
    """Unanswered requests are cut off when the block ends."""
    failures: list[Exception | int] = []

    async def call(url: str) -> None:
        async with httpx.AsyncClient() as http:
            try:
                failures.append((await http.get(f"{url}/echo")).status_code)
            except httpx.HTTPError as exc:
                failures.append(exc)

    fake.fail("/echo", kind="hang")
    async with anyio.create_task_group() as tasks:
        with fake.serve() as url:
            tasks.start_soon(call, url)
            await fake.asked("/echo")

    assert 1 == len(failures)
    assert 200 != failures[0]


def test_many_threads_are_recorded(fake: FakeWix) -> None:
    """No call is lost when many come at once."""
    with fake.serve() as url:

        def call() -> None:
            with httpx.Client(base_url=url) as http:
                for _ in range(10):
                    http.get("/echo")

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [401] * 40 == [call.status for call in fake.calls]


def test_a_port_that_is_taken_is_an_error(fake: FakeWix) -> None:
    """The block is not entered, and the URL stays."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), fake.serve(port=port):
            pass

    assert "https://wix.example" == fake.url
