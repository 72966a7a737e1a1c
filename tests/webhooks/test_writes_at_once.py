"""Writes of the webhook path to a storage that never waits, which need no task of their own."""

from __future__ import annotations

import logging

import anyio
import pytest

from tests.webhooks.posting import FlakyStorage, Stage, token
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import EventRecord
from wix_asgi.webhooks.policy import WebhookPolicy
from wix_asgi_backends.memory import MemoryStorage


class AtOnce(FlakyStorage):
    """A storage that never waits, and notes by which tasks it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[int] = []

    @property
    def never_waits(self) -> bool:
        return True

    async def add_event(self, record: EventRecord) -> bool:
        self.tasks.append(anyio.get_current_task().id)
        return await super().add_event(record)

    async def _reach(self, step: str) -> None:
        if step in self.errors:
            raise self.errors[step]


@pytest.fixture
def storage() -> AtOnce:
    """Return a storage that never waits."""
    return AtOnce()


@pytest.fixture
def stage(storage: AtOnce) -> Stage:
    """Return an endpoint over it, in a process that has opened it."""
    return Stage(storage=storage, is_open=True)


def test_the_storage_in_memory_never_waits() -> None:
    """It says so of its own class alone: the methods of a derived one may wait."""
    assert MemoryStorage().never_waits
    assert not FlakyStorage().never_waits


async def test_an_event_is_written_by_the_task_of_its_request(
    stage: Stage, storage: AtOnce, caplog: pytest.LogCaptureFixture
) -> None:
    """A write that never waits cannot be cancelled half-way, and a copy is known after it."""
    caplog.set_level(logging.DEBUG)
    answers = [await stage.post(token()), await stage.post(token())]

    assert [200, 200] == [answer.status for answer in answers]
    assert [anyio.get_current_task().id] * 2 == storage.tasks
    assert ["AppInstalled"] == await stage.kept()
    assert (0, 1) == (stage.opened, stage.woken)
    assert ["kept", "known already"] == [line.rpartition(": ")[2] for line in caplog.messages]


async def test_a_storage_that_is_not_open_is_opened_by_a_task_of_its_own(
    stage: Stage, storage: AtOnce
) -> None:
    """An opening may wait, and goes on where the client hangs up."""
    stage.is_open = False
    answer = await stage.post(token())

    assert 200 == answer.status
    assert anyio.get_current_task().id not in storage.tasks
    assert 1 == stage.opened


async def test_a_storage_that_fails_is_told_to_wix(stage: Stage, storage: AtOnce) -> None:
    """An event that was not kept comes again."""
    storage.errors["add"] = StorageUnavailable("no memory")

    assert 503 == (await stage.post(token())).status


async def test_a_full_inbox_is_told_to_wix(storage: AtOnce) -> None:
    """An event for which there is no room is not kept, and comes again."""
    stage = Stage(storage=storage, is_open=True, policy=WebhookPolicy(max_waiting=0))

    assert 503 == (await stage.post(token())).status
    assert [] == storage.tasks


async def test_a_bug_is_answered_500(
    stage: Stage, storage: AtOnce, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer has the incident of the log line, and nothing of the event (R52)."""
    storage.errors["add"] = ValueError("a bug")
    answer = await stage.post(token())
    (told,) = [record for record in caplog.records if record.exc_info]

    assert 500 == answer.status
    assert f"incident {vars(told)['incident']}" == answer.body.decode()
