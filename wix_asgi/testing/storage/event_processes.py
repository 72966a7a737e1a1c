"""Several processes over one inbox: each event is kept once, and taken by one process.

The function that `make_storage` returns must be picklable.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Final

from wix_asgi.testing.storage._loops import Loop, run
from wix_asgi.testing.storage.processes import CONTEXT, PROCESS_SECONDS, in_processes, joined
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
    SHORT,
    InboxStorage,
    event,
    ids,
    keep_all,
    take,
)
from wix_asgi.testing.storage_check.records import APP
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_event_of_a_killed_process",
    "test_one_copy_over_processes_is_kept",
    "test_one_copy_over_processes_is_kept_under_an_alias",
    "test_one_process_takes_an_event",
]

MakeStorage = Callable[[], InboxStorage]

_COPIES: Final = 50
_NAMES: Final = [f"{number:03}" for number in range(200)]


def test_one_copy_over_processes_is_kept(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """Of fifty copies of each of ten events that four processes add, exactly one is kept."""
    added = in_processes(_add_copies, make_storage, anyio_backend, 4)

    assert _NAMES[:10] == sorted(joined(added))


def test_one_copy_over_processes_is_kept_under_an_alias(
    make_storage: MakeStorage, anyio_backend: Loop
) -> None:
    """Of fifty events with one alias that four processes add, exactly one is kept."""
    added = joined(in_processes(_add_under_an_alias, make_storage, anyio_backend, 4))

    assert 1 == len(added)
    assert added == run(partial(_listed, make_storage), anyio_backend)


def test_one_process_takes_an_event(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """If four processes take two hundred events, each event goes to exactly one process."""
    run(partial(_fill, make_storage, *_NAMES), anyio_backend)
    taken = in_processes(_take_all, make_storage, anyio_backend, 4)

    assert _NAMES == sorted(joined(taken))


def test_event_of_a_killed_process(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """An event that a killed process had is due again when its lease is over, with its outcomes."""
    run(partial(_fill, make_storage, EVENT, due_in=-2.0), anyio_backend)
    run(partial(_fill, make_storage, "another", due_in=-1.0), anyio_backend)
    process = CONTEXT.Process(
        target=_take_and_end, args=(make_storage, anyio_backend, "killed", os._exit)
    )
    process.start()
    process.join(PROCESS_SECONDS)
    _take_and_end(make_storage, anyio_backend, "closed", end=abs)

    async def take_over() -> list[tuple[str, int, str]]:
        async with make_storage() as storage:

            async def are_due() -> bool:
                return len(await take(storage, "next")) == 2  # both events

            await until(are_due)
            found = await storage.events(APP)
            return [(one.event_id, one.attempts, one.outcomes) for one in found]

    assert 9 == process.exitcode
    assert [(EVENT, 2, "killed"), ("another", 2, "closed")] == run(take_over, anyio_backend)


async def _fill(make: MakeStorage, *names: str, due_in: float = 0.0) -> None:
    async with make() as storage:
        await together(*[partial(keep_all, storage, name, due_in=due_in) for name in names])


async def _listed(make: MakeStorage) -> list[str]:
    async with make() as storage:
        return ids(await storage.events(APP))


async def _add_copies(storage: InboxStorage, number: int) -> list[str]:
    """Add the share of this process of fifty copies of ten events; return the kept ones."""
    copies = [name for _ in range(number, _COPIES, 4) for name in _NAMES[:10]]
    added = await together(*[partial(storage.add_event, event(name)) for name in copies])
    return [name for name, won in zip(copies, added, strict=True) if won]


async def _add_under_an_alias(storage: InboxStorage, number: int) -> list[str]:
    names = _NAMES[number:_COPIES:4]
    added = await together(
        *[partial(storage.add_event, event(name, alias="alias")) for name in names]
    )
    return [name for name, won in zip(names, added, strict=True) if won]


async def _take_all(storage: InboxStorage, number: int) -> list[str]:
    names: list[str] = []
    while found := await take(storage, f"process-{number}-{len(names)}", limit=5):
        names += found
    return names


def _take_and_end(make: MakeStorage, loop: Loop, owner: str, end: Callable[[int], object]) -> None:
    """Take the event that is due for longest, renew its lease for a moment, and end."""

    async def main() -> None:
        async with make() as storage:
            (name,) = await take(storage, owner, limit=1)
            await storage.renew_event(APP, name, owner, lease=SHORT, outcomes=owner)
            end(9)

    run(main, loop)
