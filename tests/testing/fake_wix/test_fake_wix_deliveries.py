"""FakeWix's deliveries: over a port and in process, one by one, several at once, in any order."""

from __future__ import annotations

import anyio
import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from tests.support import PUBLIC_URL
from tests.testing.fake_wix.signed_events import Endpoint, is_signed_by, layers_of
from wix_asgi import WixMiddleware
from wix_asgi._http import httpx
from wix_asgi.testing import DEMO_SITES, FakeWix
from wix_asgi.testing.fake_wix._serve import serve

BAKERY, YOGA, _ = DEMO_SITES


async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Raise, as an app with a bug does."""
    raise RuntimeError("a bug")


async def test_an_event_is_sent_to_an_app_in_process(fake: FakeWix) -> None:
    """The body is the token and nothing else, as text/plain, and the answer is returned."""
    endpoint = Endpoint(202)
    answer = await fake.send_event(endpoint, "AppRemoved", YOGA)

    assert 202 == answer.status_code
    assert is_signed_by(fake.public_key, endpoint.bodies[0])
    assert (["/wix/webhook"], ["text/plain"]) == (endpoint.paths, endpoint.types)


async def test_an_event_is_sent_over_a_port(fake: FakeWix) -> None:
    """The URL of an endpoint is taken as it is; that of an app gets the usual path."""
    endpoint = Endpoint()
    with serve(endpoint, "127.0.0.1", 0) as url:
        answers = [
            await fake.send_event(url, "a", YOGA),
            await fake.send_event(f"{url}/", "b", YOGA),
            await fake.send_event(f"{url}/hooks/wix", "c", YOGA),
            await fake.send_event(url, "d", YOGA, path="/elsewhere"),
        ]

    assert [200] * 4 == [answer.status_code for answer in answers]
    assert ["/wix/webhook", "/wix/webhook", "/hooks/wix", "/elsewhere"] == endpoint.paths
    assert ["a", "b", "c", "d"] == endpoint.events


async def test_the_path_in_process_may_be_given(fake: FakeWix) -> None:
    """An app whose endpoint is elsewhere is reached, too."""
    endpoint = Endpoint()
    await fake.send_event(endpoint, "x", YOGA, path="/shop/wix/webhook")

    assert ["/shop/wix/webhook"] == endpoint.paths


async def test_a_middleware_tells_its_path(fake: FakeWix) -> None:
    """A `WixMiddleware` without webhooks passes the request on to its app, at the usual path."""
    endpoint = Endpoint()
    app = WixMiddleware(
        endpoint,
        app_id="an-app",
        app_secret="an-app-secret-0123456789",
        public_url=PUBLIC_URL,
        storage="memory://",
    )
    await fake.send_event(app, "x", YOGA)

    assert ["/wix/webhook"] == endpoint.paths


async def test_an_app_that_raises_answers_500(fake: FakeWix) -> None:
    """Wix sees no exception, but a failure to be repeated."""
    bare = await fake.send_event(broken, "x", YOGA)
    whole = await fake.send_event(Starlette(), "x", YOGA)

    assert (500, 404) == (bare.status_code, whole.status_code)
    assert [True, True] == [delivery.is_failure for delivery in fake.deliveries]


async def test_an_endpoint_that_is_not_there_is_an_error_and_a_failure(fake: FakeWix) -> None:
    """The test learns of it, and Wix repeats."""
    with serve(Endpoint(), "127.0.0.1", 0) as url:
        pass
    with pytest.raises(httpx.ConnectError):
        await fake.send_event(url, "x", YOGA)

    assert [0] == [delivery.status for delivery in fake.deliveries]
    assert fake.next_repeat is not None


async def test_an_endpoint_without_an_answer_is_given_up(fake: FakeWix) -> None:
    """A delivery waits for `delivery_timeout` seconds of real time."""
    fake.delivery_timeout = 0.05

    async def silent(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await anyio.sleep_forever()

    with pytest.raises(httpx.ReadTimeout):
        await fake.send_event(silent, "x", YOGA)

    assert [0] == [delivery.status for delivery in fake.deliveries]


async def test_a_cancelled_delivery_is_a_failure(fake: FakeWix) -> None:
    """A test that ends a delivery leaves it to the repetition."""

    async def cancelling(_scope: Scope, _receive: Receive, _send: Send) -> None:
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        await fake.send_event(cancelling, "x", YOGA)

    assert [0] == [delivery.status for delivery in fake.deliveries]
    assert fake.next_repeat is not None


async def test_deliveries_are_noted(fake: FakeWix) -> None:
    """Each attempt has its event, its moment and its status; its repr shows no token."""
    fake.clock.set(1000.0)
    await fake.send_event(Endpoint(), "x", YOGA)
    (delivery,) = fake.deliveries

    assert ("x", YOGA, 1, 1000.0, 0.0, 200) == (
        delivery.event_type,
        delivery.instance_id,
        delivery.attempt,
        delivery.sent_at,
        delivery.seconds,
        delivery.status,
    )
    assert delivery.event.token not in repr(delivery)
    assert not delivery.is_failure


async def test_copies_are_the_same_event(fake: FakeWix) -> None:
    """Several copies at once have one token."""
    endpoint, event = Endpoint(), fake.make_event("x", YOGA)
    answers = await fake.deliver_copies(endpoint, event, 5)

    assert [200] * 5 == [answer.status_code for answer in answers]
    assert [event.token] * 5 == endpoint.bodies


async def test_queued_events_are_sent_in_their_order(fake: FakeWix) -> None:
    """Nothing is sent before the test wants it, and nothing twice."""
    endpoint = Endpoint()
    for name in "abc":
        fake.queue_event(name, YOGA)
    before = (len(fake.queued), list(endpoint.bodies))
    sent = await fake.send_queued(endpoint)
    again = await fake.send_queued(endpoint)

    assert (3, []) == before
    assert ["a", "b", "c"] == endpoint.events
    assert (["a", "b", "c"], []) == ([it.event_type for it in sent], again)


async def test_queued_events_are_sent_in_a_given_order(fake: FakeWix) -> None:
    """A place may come twice, or not at all."""
    endpoint = Endpoint()
    for name in "abc":
        fake.queue_event(name, YOGA)
    await fake.send_queued(endpoint, order=[2, 0, 2])

    assert ["c", "a", "c"] == endpoint.events


async def test_an_order_with_a_place_too_many_is_a_mistake(fake: FakeWix) -> None:
    """Nothing is sent then, and all can be sent after it."""
    endpoint = Endpoint()
    fake.queue_event("x", YOGA)
    with pytest.raises(IndexError):
        await fake.send_queued(endpoint, order=[1])
    sent = await fake.send_queued(endpoint)

    assert ["x"] == [delivery.event_type for delivery in sent]


async def test_queued_events_are_sent_in_the_order_of_a_seed(fake: FakeWix) -> None:
    """The same seed gives the same order, which is another order."""
    orders = []
    for _ in range(2):
        endpoint = Endpoint()
        for name in "abcdefgh":
            fake.queue_event(name, YOGA)
        await fake.send_queued(endpoint, seed=7)
        orders.append(endpoint.events)

    assert orders[0] == orders[1]
    assert list("abcdefgh") == sorted(orders[0])
    assert list("abcdefgh") != orders[0]


async def test_queued_events_need_a_target(fake: FakeWix) -> None:
    """It is given, or is the `webhook_url` of the fake."""
    endpoint = Endpoint()
    fake.queue_event("x", YOGA)
    with pytest.raises(ValueError, match="webhook_url"):
        await fake.send_queued()
    fake.webhook_url = endpoint
    await fake.send_queued()

    assert ["x"] == endpoint.events


async def test_the_data_are_on_the_wire(fake: FakeWix) -> None:
    """The app gets the data of the test, umlauts and all."""
    endpoint = Endpoint()
    await fake.send_event(endpoint, "x", YOGA, {"name": "Bäckerei"})

    assert {"name": "Bäckerei"} == layers_of(endpoint.bodies[0])[1]
