"""FakeWix's repetitions: Wix's schedule after a failure, on the fake's clock."""

from __future__ import annotations

import pytest
from starlette.types import Receive, Scope, Send

from tests.testing.fake_wix.signed_events import Endpoint, claims_of, layers_of
from wix_asgi.testing import DEMO_SITES, FakeWix
from wix_asgi.testing.fake_wix._serve import serve

_, YOGA, _ = DEMO_SITES

MINUTE, HOUR = 60, 3600
SCHEDULE = [
    MINUTE,
    10 * MINUTE,
    HOUR,
    *[2 * HOUR] * 3,
    *[4 * HOUR] * 3,
    *[8 * HOUR] * 2,
    12 * HOUR,
]


@pytest.fixture(name="fake")
def _fake() -> FakeWix:
    fake = FakeWix()
    fake.clock.set(0.0)
    return fake


async def repeat(fake: FakeWix) -> list[int]:
    """Go to the next repetition; return the statuses of its deliveries."""
    assert fake.next_repeat is not None
    fake.clock.set(fake.next_repeat)
    return [delivery.status for delivery in await fake.redeliver_due()]


async def test_a_failure_is_repeated_twelve_times(fake: FakeWix) -> None:
    """Each pause begins with the failure before; the last comes after 47 h 11 min."""
    endpoint = Endpoint(*[500] * 20)
    await fake.send_event(endpoint, "x", YOGA)
    pauses = []
    while (due := fake.next_repeat) is not None:
        pauses.append(due - fake.clock.now())
        await repeat(fake)

    assert SCHEDULE == pauses
    assert 47 * HOUR + 11 * MINUTE == fake.clock.now()
    assert list(range(1, 14)) == [delivery.attempt for delivery in fake.deliveries]
    assert [500] * 13 == [delivery.status for delivery in fake.deliveries]


async def test_it_ends_with_the_first_200(fake: FakeWix) -> None:
    """Nothing is repeated after it, and no other status ends it."""
    endpoint = Endpoint(204, 401)
    await fake.send_event(endpoint, "x", YOGA)
    statuses = [await repeat(fake), await repeat(fake)]

    assert [[401], [200]] == statuses
    assert fake.next_repeat is None
    assert [] == await fake.redeliver_due()


async def test_nothing_is_repeated_before_its_moment(fake: FakeWix) -> None:
    """An early look sends nothing, and a late one counts the next pause from then on."""
    endpoint = Endpoint(500, 500)
    await fake.send_event(endpoint, "x", YOGA)
    fake.clock.set(59.9)
    early = await fake.redeliver_due()
    fake.clock.set(5000.0)
    late = await fake.redeliver_due()

    assert ([], 1) == (early, len(late))
    assert 5000.0 + 10 * MINUTE == fake.next_repeat


async def test_several_are_repeated_in_the_order_of_their_moments(fake: FakeWix) -> None:
    """A later event may so pass an earlier one."""
    endpoint = Endpoint(500, 500, 500)
    await fake.send_event(endpoint, "first", YOGA)
    await repeat(fake)
    await fake.send_event(endpoint, "second", YOGA)
    fake.clock.advance(HOUR)
    await fake.redeliver_due()

    assert ["first", "first", "second", "second", "first"] == endpoint.events


@pytest.mark.parametrize(("seconds", "is_failure"), [(1.25, False), (1.26, True)])
async def test_a_late_answer_is_a_failure(fake: FakeWix, seconds: float, is_failure: bool) -> None:
    """200 within 1250 ms of the fake's clock; a test on a busy machine fails none."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        fake.clock.advance(seconds)
        await Endpoint()(scope, receive, send)

    answer = await fake.send_event(slow, "x", YOGA)

    assert 200 == answer.status_code
    assert (seconds, is_failure) == (fake.deliveries[0].seconds, fake.deliveries[0].is_failure)
    assert is_failure is (fake.next_repeat is not None)


async def test_an_endpoint_that_was_down_gets_the_event_later(fake: FakeWix) -> None:
    """No answer is a failure like any other, and raises nothing in a repetition."""
    fake.queue_event("x", YOGA)
    with serve(Endpoint(), "127.0.0.1", 0) as url:
        pass
    sent = await fake.send_queued(url)
    statuses = await repeat(fake)

    assert ([0], [0]) == ([delivery.status for delivery in sent], statuses)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("anew", [True, False])
async def test_what_a_repetition_keeps_may_be_chosen(
    fake: FakeWix, keeps: bool, anew: bool
) -> None:
    """`webhookId` and `iat` are the same or new; the data, with their `id`, are the same."""
    fake.host_clock = fake.clock.now
    fake.repeats_keep_webhook_id = keeps
    fake.repeats_are_signed_anew = anew
    endpoint = Endpoint(500)
    event_type = "wix.contacts.v4.contact_created"
    await fake.send_event(endpoint, event_type, YOGA, fake.domain_data(event_type, {}))
    await repeat(fake)
    (first, data), (second, again) = [layers_of(body) for body in endpoint.bodies]
    issued = [claims_of(body)["iat"] for body in endpoint.bodies]

    assert keeps is (first["webhookId"] == second["webhookId"])
    assert [0, MINUTE if anew else 0] == issued
    assert data == again
    assert (keeps and not anew) is (endpoint.bodies[0] == endpoint.bodies[1])


async def test_an_event_without_a_webhook_id_is_repeated_without(fake: FakeWix) -> None:
    """A repetition adds nothing."""
    fake.repeats_keep_webhook_id = False
    endpoint = Endpoint(500)
    await fake.send_event(endpoint, "x", YOGA, webhook_id=False)
    await repeat(fake)

    assert endpoint.bodies[0] == endpoint.bodies[1]


async def test_a_repetition_survives_a_change_of_the_key(fake: FakeWix) -> None:
    """An event that is not signed anew keeps the signature of the old key."""
    endpoint = Endpoint(500)
    await fake.send_event(endpoint, "x", YOGA)
    fake.change_webhook_key()
    await repeat(fake)

    assert endpoint.bodies[0] == endpoint.bodies[1]
