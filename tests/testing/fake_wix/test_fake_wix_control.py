"""FakeWix under a test's control: the clock, the record, held answers, the ways in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, Call, Clock, FakeWix
from wix_asgi.testing.fake_wix._signal import Signal

_, YOGA, _ = DEMO_SITES
ECHO = "/echo"


def test_a_clock_follows_real_time_until_it_is_set() -> None:
    """The clock moves by itself, also after an advance; once set it stands still."""
    clock = Clock()
    before = time.time()
    following = clock.now()
    clock.advance(1000)
    advanced = clock.now()
    clock.set(50.0)

    assert before <= following <= time.time()
    assert before + 1000 <= advanced <= time.time() + 1000
    assert [50.0, 50.0] == [clock.now(), clock.now()]


def test_a_clock_that_is_set_moves_by_what_it_is_told() -> None:
    """The clock takes a datetime, and goes forward and back."""
    at = datetime(2025, 1, 1, tzinfo=UTC)
    clock = Clock(at)
    clock.advance(10)
    clock.advance(-4)

    assert (at + timedelta(seconds=6)).timestamp() == clock.now()


async def test_calls_are_recorded(fake: FakeWix, http: httpx.AsyncClient) -> None:
    """A call is kept as it came, with the status of its answer."""
    await http.post("/echo?a=1&a=2", json={"k": "v"}, headers=[("X-Test", "1"), ("X-Test", "2")])
    await http.get("/other", headers={"authorization": "dead"})
    first, second = fake.calls

    assert ("POST", "/echo", 200) == (first.method, first.path, first.status)
    assert ({"a": "2"}, {"k": "v"}) == (first.query, first.json)
    assert "1, 2" == first.headers["x-test"]
    assert ("GET", "/other", None, 401) == (second.method, second.path, second.json, second.status)


def test_the_repr_of_a_call_keeps_secrets() -> None:
    """Query, headers and body may hold tokens, so they are not shown."""
    secret = "obvious-test-secret-123"
    call = Call("GET", "/x", {"access_token": secret}, {"authorization": secret}, {"k": secret})

    assert "Call(method='GET', path='/x', status=0)" == repr(call)


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        (ECHO, {}, 3),
        ("/echo/", {}, 3),
        (ECHO, {"k": "v"}, 1),
        (ECHO, {"k": "w"}, 0),
        (ECHO, {"absent": None}, 0),
        ("/other", {}, 0),
    ],
)
async def test_calls_are_counted_by_path_and_fields(
    fake: FakeWix, http: httpx.AsyncClient, path: str, fields: dict[str, Any], expected: int
) -> None:
    """A slash at the end makes no difference; a field must be there with that value."""
    await http.post(ECHO, json={"k": "v", "other": 1})
    await http.post("/echo/", json=["k"])
    await http.get(ECHO)

    assert expected == fake.count(path, **fields)


async def test_the_record_may_be_cleared_at_any_time(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """A call that is forgotten before it is answered does not come back."""
    held: list[Call] = []
    with fake.hold(ECHO) as gate:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(http.get, ECHO)
            await gate.arrived()
            held += fake.calls
            fake.calls.clear()
            gate.release()

    assert [0] == [call.status for call in held]
    assert [] == fake.calls


async def test_a_gate_holds_answers_until_it_is_released(
    fake: FakeWix, http: httpx.AsyncClient
) -> None:
    """Matching calls take effect and wait; different calls pass; the release lets all go."""
    statuses: list[int] = []
    held: list[int] = []
    passing: list[int] = []

    async def call() -> None:
        statuses.append((await http.post(ECHO, json={"k": "v"})).status_code)

    with fake.hold(ECHO, k="v") as gate:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call)
            await gate.arrived(3)
            passing.append((await http.post(ECHO, json={})).status_code)
            held += statuses
            gate.release()

    assert ([200], []) == (passing, held)
    assert [200] * 3 == statuses
    assert 200 == (await http.post(ECHO, json={"k": "v"})).status_code


async def test_waiting_for_a_call_has_a_bound(fake: FakeWix) -> None:
    """A call that does not come is a TimeoutError, not a test that hangs."""
    gate = fake.hold(ECHO)

    with pytest.raises(TimeoutError):
        await gate.arrived(timeout=0.01)
    with pytest.raises(TimeoutError):
        await fake.asked(ECHO, timeout=0.01)


async def test_a_signal_between_looking_and_waiting_is_not_missed() -> None:
    """A condition that comes true before the waiting task is registered is checked once more."""
    answers = [False, True, True]
    await Signal().wait_until(lambda: answers.pop(0))

    assert [] == answers


async def test_any_host_leads_to_it(fake: FakeWix) -> None:
    """In process, the addresses of the real Wix are answered as well."""
    headers = {"authorization": fake.issue_access_token()}
    async with httpx.AsyncClient(transport=fake.transport, headers=headers) as http:
        answer = await http.get("https://www.wixapis.com/apps/v1/instance")

    assert 200 == answer.status_code


async def test_the_transport_outlives_its_clients(fake: FakeWix) -> None:
    """Closing a client does not close the transport that others share."""
    for _ in range(2):
        async with httpx.AsyncClient(transport=fake.transport, base_url=fake.url) as http:
            assert 401 == (await http.get(ECHO)).status_code


async def test_a_caller_that_leaves_in_mid_request_asked_nothing(fake: FakeWix) -> None:
    """A body that breaks off has no effect, and is not recorded."""
    incoming = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await fake({"type": "http"}, receive, send)

    assert ([], []) == (sent, fake.calls)


async def test_a_websocket_is_closed(fake: FakeWix) -> None:
    """There are no websockets at Wix."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    await fake(scope, receive, send)

    assert ["websocket.close"] == [message["type"] for message in sent]


def test_without_sites_there_is_no_first_one() -> None:
    """Asking for a site where there is none is a mistake of the test, and said to be."""
    with pytest.raises(LookupError, match="add_site"):
        FakeWix(sites={}).install_token()


def test_a_site_can_be_added_and_renamed() -> None:
    """An added site has a new ID, or the given ID."""
    fake = FakeWix(sites={})
    site = fake.add_site("Garage")
    fake.add_site("Kiosk", "kiosk-id")
    fake.add_site("Workshop", site)

    assert {site: "Workshop", "kiosk-id": "Kiosk"} == fake.sites
    assert fake.install_token("kiosk-id")
