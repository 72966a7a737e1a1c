"""Writes of the webhook path that end after the answer, and after the request is gone."""

from __future__ import annotations

import anyio
import pytest

from tests.limits import PATIENCE
from tests.webhooks.posting import Stage, post, token
from wix_asgi.webhooks.policy import WebhookPolicy


async def test_a_slow_storage_is_answered_in_time_and_keeps_the_event() -> None:
    """After the time that Wix allows it gets 503, and the event is kept nevertheless (R44)."""
    stage = Stage(policy=WebhookPolicy(keep_wait=0.01))
    gate = stage.storage.gates["add"] = anyio.Event()
    answer = await stage.post(token())
    kept_at_503 = await stage.kept()
    gate.set()
    await stage.detached.aclose(PATIENCE)

    assert (503, "60") == (answer.status, answer.headers["retry-after"])
    assert [] == kept_at_503
    assert ["AppInstalled"] == await stage.kept()
    assert 1 == stage.woken


async def test_a_bug_after_the_answer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The storage was slow and the request answered 503 when the error came (R52)."""
    stage = Stage(policy=WebhookPolicy(keep_wait=0.01))
    gate = stage.storage.gates["add"] = anyio.Event()
    stage.storage.errors["add"] = ValueError("a bug")
    body = token()
    answer = await stage.post(body)
    gate.set()
    await stage.detached.aclose(PATIENCE)
    (told,) = [record for record in caplog.records if record.exc_info]

    assert 503 == answer.status
    assert "a bug" in caplog.text
    assert f"a webhook failed, incident {vars(told)['incident']}" == told.message
    assert body.decode() not in caplog.text


async def test_a_client_that_is_gone_loses_no_event() -> None:
    """An event is kept though its request is cancelled while the storage is at work (R55)."""
    stage = Stage()
    gate = stage.storage.gates["add"] = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(post, stage.endpoint, token())
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    gate.set()
    await stage.detached.aclose(PATIENCE)

    assert ["AppInstalled"] == await stage.kept()


async def test_a_slow_opening_goes_on_after_the_answer() -> None:
    """A database that needs longer to wake up than Wix waits is open for the next event."""
    stage = Stage(policy=WebhookPolicy(keep_wait=0.01), opening=anyio.Event())
    first = await stage.post(token())
    assert stage.opening is not None
    stage.opening.set()
    await anyio.wait_all_tasks_blocked()

    assert 503 == first.status
    assert ["AppInstalled"] == await stage.kept()


async def test_a_shutdown_waits_for_no_opening(caplog: pytest.LogCaptureFixture) -> None:
    """A process that stops answers 503 where the storage is not open, and Wix sends it again."""
    stage = Stage(policy=WebhookPolicy(keep_wait=PATIENCE), opening=anyio.Event())
    statuses = []

    async def send() -> None:
        statuses.append((await stage.post(token())).status)

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        await stage.detached.aclose(PATIENCE)

    assert [503] == statuses
    assert "the process is shutting down" in caplog.text
