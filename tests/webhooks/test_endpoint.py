"""The answers of the webhook path, and the events in the inbox after them."""

from __future__ import annotations

import logging

import anyio
import pytest

from tests.limits import PATIENCE
from tests.protocol.webhook_signing import LIFETIME, NOW, private_key, sign
from tests.webhooks.posting import Stage, numbered, token
from wix_asgi.errors import StorageUnavailable
from wix_asgi.webhooks.policy import WebhookPolicy

HOUR = 3600


async def test_a_good_event_is_kept_and_wakes_the_worker() -> None:
    """An event of Wix is answered 200 with nothing in it, once it is in the inbox (R55)."""
    stage = Stage()
    answer = await stage.post(token())

    assert (200, b"") == (answer.status, answer.body)
    assert ["AppInstalled"] == await stage.kept()
    assert 1 == stage.woken
    assert 1 == stage.opened


async def test_all_answers_are_private() -> None:
    """No answer is kept by a cache or shown in a frame, at any status (R16)."""
    stage = Stage()
    answers = [
        await stage.post(token()),
        await stage.post(b"rubbish"),
        await stage.post(method="GET"),
    ]

    assert [200, 401, 405] == [answer.status for answer in answers]
    for answer in answers:
        assert "no-store" == answer.headers["cache-control"]
        assert "no-referrer" == answer.headers["referrer-policy"]
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "x-frame-options" not in answer.headers
        assert b"" == answer.body


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"])
async def test_other_methods_are_refused_unread(method: str) -> None:
    """Every method but POST is answered 405, with the allowed one, and no body is read."""
    stage, taken = Stage(), list[bytes]()
    answer = await stage.post(token(), method=method, taken=taken)

    assert (405, "POST") == (answer.status, answer.headers["allow"])
    assert [] == taken
    assert [] == await stage.kept()


async def test_a_known_event_is_answered_200_and_kept_once() -> None:
    """Of 50 copies at once one is kept, one wakes the worker, and all are answered 200 (R43)."""
    stage = Stage(policy=WebhookPolicy(keep_wait=PATIENCE))
    statuses = await stage.statuses(*[token()] * 50)

    assert [200] * 50 == statuses
    assert ["AppInstalled"] == await stage.kept()
    assert 1 == stage.woken


async def test_copies_at_once_are_one_write() -> None:
    """Copies of one moment share a write, so that they keep no other event waiting (R49)."""
    stage = Stage(policy=WebhookPolicy(max_keeping=2, keep_wait=PATIENCE))
    statuses = await stage.statuses(*[token()] * 20, numbered(1))

    assert [200] * 21 == statuses
    assert 2 == stage.storage.added


async def test_white_space_around_the_body_makes_no_other_event() -> None:
    """An event without an id is known by its token, with white space around it or without (R43)."""
    stage = Stage()

    assert 200 == (await stage.post(token())).status
    assert 200 == (await stage.post(b"\r\n ", token(), b" \n")).status
    assert 1 == len(await stage.kept())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"." * 1000,
        sign({"data": "x"}),
        sign({"iat": NOW, "exp": NOW + LIFETIME}, key=private_key("stranger")),
        token()[:-4] + b"AAAA",
    ],
    ids=["empty", "json", "dots", "no event", "another key", "changed signature"],
)
async def test_rubbish_and_forgeries_cost_no_write(body: bytes) -> None:
    """A body that Wix has not signed is answered 401, and the storage is not asked (R42, R55)."""
    stage = Stage()
    answer = await stage.post(body)

    assert 401 == answer.status
    assert (0, 0, 0) == (stage.storage.added, stage.storage.counted, stage.opened)


async def test_forgeries_are_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """The log says once a minute why webhooks are refused, without a byte of them (R36, R49)."""
    stage = Stage()
    forged = [sign({"data": f"secret-{number}"}, key=private_key("stranger")) for number in "123"]
    await stage.statuses(*forged)
    (line,) = caplog.messages

    assert "a webhook was answered 401: The token is not signed with the app's webhook key" in line
    assert "WIX_PUBLIC_KEY" in line
    assert not [body for body in forged if body.decode()[-20:] in caplog.text]


async def test_an_old_event_is_not_run(caplog: pytest.LogCaptureFixture) -> None:
    """Past the time for which events are known a token is answered 200, and not kept (R43)."""
    stage = Stage()
    old = token(iat=NOW - 72 * HOUR - 1, webhookId="wId_old")
    statuses = [(await stage.post(old)).status for _ in range(3)]
    (line,) = caplog.messages

    assert [200] * 3 == statuses
    assert [] == await stage.kept()
    assert 0 == stage.storage.added
    assert "event AppInstalled of site" in line
    assert "is 72 hours old" in line


async def test_an_event_of_the_days_before_is_run() -> None:
    """Wix's last repetition comes after 47 hours, and is kept as any other event (R43)."""
    stage = Stage()

    assert 200 == (await stage.post(token(iat=NOW - 48 * HOUR))).status
    assert 1 == stage.woken


async def test_an_unwanted_type_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A type without a handler is answered 200, kept nowhere, and logged once a type."""
    stage = Stage(wanted=[])
    for number in range(3):
        await stage.post(token(eventType="wix.contacts.v4.contact_created", webhookId=str(number)))
        await stage.post(token(eventType="wix.stores.v1.product_changed", webhookId=str(number)))

    assert [] == await stage.kept()
    assert 2 == len(caplog.messages)
    assert '@wix.on("wix.contacts.v4.contact_created")' in caplog.messages[0]
    assert "webhooks=store" in caplog.messages[0]


SAMPLE = "5bc2062d-010b-448c-a62a-d6bb269c5a4c"
INSTALLATION = "wix.app.installations.v1.app_installation"


@pytest.mark.parametrize(
    ("event_type", "data", "instance_id"),
    [
        ("AppInstalled", {"appId": SAMPLE, "originInstanceId": ""}, "a-site"),
        ("AppRemoved", {"appId": SAMPLE.upper()}, "a-site"),
        ("AppRemoved", {"appId": "another-app"}, "a-site"),
        ("PaidPlanChanged", {"cycle": "MONTHLY"}, "3bbcabc7-ebb7-4fc8-8829-13ea0e142123"),
        (
            f"{INSTALLATION}_created",
            {"createdEvent": {"entity": {"appId": "another-app"}}},
            "a-site",
        ),
    ],
    ids=["sample", "upper case", "another app", "sample site", "installation"],
)
async def test_the_test_event_of_the_dashboard_is_told(
    event_type: str, data: object, instance_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A test of Wix's dashboard is answered 200, shown in the log in one line, and not kept."""
    stage = Stage(wanted=[event_type])
    body = token(data=data, eventType=event_type, instanceId=instance_id)
    answer = await stage.post(body)
    (line,) = caplog.messages

    assert 200 == answer.status
    assert f"a test event of Wix's dashboard came: {event_type}" in line
    assert "The webhook works" in line
    assert [] == await stage.kept()


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("AppInstalled", {"appId": "TEST-APP-ONE"}),
        ("AppInstalled", {}),
        ("AppInstalled", "no object"),
        ("AppInstalled", {"appId": ["no", "text"]}),
        ("wix.contacts.v4.contact_created", {"appId": "another-app"}),
        (f"{INSTALLATION}_updated", {"updatedEvent": {"currentEntity": {"appId": "test-app-one"}}}),
        (f"{INSTALLATION}_deleted", {"deletedEvent": "an-id"}),
        (f"{INSTALLATION}_deleted", {"deletedEvent": {"deletedEntity": "an-id"}}),
    ],
    ids=["ours", "no app", "no object", "no text", "of a site", "updated", "deleted", "an id"],
)
async def test_events_of_the_app_are_no_tests(event_type: str, data: object) -> None:
    """An event that names this app, or no app, is kept; a site's own data may name any app."""
    stage = Stage(wanted=[event_type])
    await stage.post(token(data=data, eventType=event_type))

    assert [event_type] == await stage.kept()


async def test_no_text_of_an_event_begins_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """The log shows the type and the site of an event, and nothing of its data (R36)."""
    stage = Stage()
    caplog.set_level(logging.DEBUG, logger="wix_asgi")
    await stage.post(token(data={"appId": "test-app-one", "name": "personal-data"}))
    await stage.post(token(data={"appId": "test-app-one", "name": "personal-data"}))
    await stage.post(token(data={"name": "personal-data"}, eventType="Unknown"))

    assert ["kept", "known already"] == [line.rpartition(": ")[2] for line in caplog.messages[:2]]
    assert "personal-data" not in caplog.text
    assert all("AppInstalled" == vars(record)["event_type"] for record in caplog.records[:2])


async def test_a_failing_storage_is_told_to_wix(caplog: pytest.LogCaptureFixture) -> None:
    """Where an event cannot be kept, Wix is told to come again, and an operator why (R55)."""
    stage = Stage()
    stage.storage.errors["add"] = StorageUnavailable("the disk is full")
    answer = await stage.post(token())
    (record,) = caplog.records

    assert (503, "60") == (answer.status, answer.headers["retry-after"])
    assert 0 == stage.woken
    assert logging.ERROR == record.levelno
    assert "answered 503: the storage failed: the disk is full (Wix sends it" in record.message


async def test_few_events_are_written_at_one_time() -> None:
    """A rush of events leaves connections for refreshes, and each of them is kept (R49)."""
    stage = Stage(policy=WebhookPolicy(max_keeping=2, keep_wait=PATIENCE))
    statuses = await stage.statuses(*map(numbered, range(20)))

    assert [200] * 20 == statuses
    assert 20 == len(await stage.kept())
    assert 2 == stage.storage.most


async def test_a_second_test_of_the_dashboard_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Tests of one second are one line: a token can be sent again by its owner alone (R49)."""
    stage = Stage()
    sample = token(data={"appId": SAMPLE})

    assert [200] * 5 == await stage.statuses(*[sample] * 5)
    assert 1 == len(caplog.messages)


async def test_an_event_that_waited_too_long_for_its_turn_is_not_written() -> None:
    """An event is given up with its answer, and a storage that hangs collects no queue (R49)."""
    stage = Stage(policy=WebhookPolicy(max_keeping=1, keep_wait=0.01))
    gate = stage.storage.gates["add"] = anyio.Event()
    answers = [await stage.post(numbered(number)) for number in range(4)]
    gate.set()
    await stage.detached.aclose(PATIENCE)

    assert [503] * 4 == [answer.status for answer in answers]
    # The first had its turn, and the last may still be waiting for it.
    assert stage.storage.added in {1, 2}


async def test_a_bug_is_answered_500(caplog: pytest.LogCaptureFixture) -> None:
    """An unforeseen error is answered with an incident alone, which the log has too (R47, R52)."""
    stage = Stage()
    stage.storage.errors["add"] = ValueError("a bug")
    answers = [await stage.post(token()) for _ in range(2)]
    (record,) = caplog.records
    incident = vars(record)["incident"]

    assert [500, 500] == [answer.status for answer in answers]
    assert f"incident {incident}".encode() == answers[0].body
    assert "no-store" == answers[0].headers["cache-control"]
    assert "a bug" in caplog.text
