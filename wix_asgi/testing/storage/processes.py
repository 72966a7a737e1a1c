"""Several processes over one store: the function that `make_storage` returns must be picklable."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Awaitable, Callable
from functools import partial
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any, Final, TypeVar

from wix_asgi.storage import Storage
from wix_asgi.testing.storage._loops import Loop, run
from wix_asgi.testing.storage_check.records import APP, put_all, read, record
from wix_asgi.testing.storage_check.tasks import until
from wix_asgi.testing.storage_check.versions import count

__all__ = [
    "test_all_processes_open_an_empty_store",
    "test_no_update_of_a_process_is_lost",
    "test_one_process_gets_a_name",
    "test_one_process_replaces",
    "test_one_process_takes_what_ran_out",
    "test_what_was_written_outlives_its_process",
]

S = TypeVar("S", bound=Storage)
MakeStorage = Callable[[], Storage]

_NAMES: Final = [f"name-{number}" for number in range(25)]

# Seconds: enough to start four interpreters on a busy machine; it only ends a test that hangs.
PROCESS_SECONDS: Final = 60.0

# Never a fork: threads and connections of this process would be copied.
CONTEXT: Final[Any] = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")


def test_all_processes_open_an_empty_store(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """Eight processes that open one empty store at the same moment all succeed."""
    told = in_processes(_install, make_storage, anyio_backend, 8)

    assert ["installed"] * 8 == told
    assert 8 == run(partial(_count_records, make_storage), anyio_backend)


def test_one_process_gets_a_name(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """If four processes claim the same names, each name goes to exactly one process."""
    won = in_processes(_claim, make_storage, anyio_backend, 4)

    assert sorted(_NAMES) == sorted(joined(won))


def test_one_process_takes_what_ran_out(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """If four processes claim the same expired names, each name goes to exactly one process."""

    async def prepare() -> None:
        async with make_storage() as storage:
            for name in _NAMES:
                await storage.claim(name, "before", 0)

    run(prepare, anyio_backend)
    won = in_processes(_claim, make_storage, anyio_backend, 4)

    assert sorted(_NAMES) == sorted(joined(won))


def test_one_process_replaces(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """If four processes replace the same version of a record, exactly one succeeds."""

    async def prepare() -> None:
        async with make_storage() as storage:
            await put_all(storage, *_NAMES)

    run(prepare, anyio_backend)
    won = in_processes(_replace, make_storage, anyio_backend, 4)

    assert sorted(_NAMES) == sorted(joined(won))


def test_no_update_of_a_process_is_lost(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """Four processes that read, change and replace one record lose none of their changes."""

    async def prepare() -> None:
        async with make_storage() as storage:
            await storage.put(record(refresh_token=b"0"))

    async def result() -> bytes:
        async with make_storage() as storage:
            return (await read(storage)).refresh_token

    run(prepare, anyio_backend)

    assert ["counted"] * 4 == in_processes(_count, make_storage, anyio_backend, 4)
    assert b"%d" % (4 * len(_NAMES)) == run(result, anyio_backend)


def test_what_was_written_outlives_its_process(
    make_storage: MakeStorage, anyio_backend: Loop
) -> None:
    """A process that crashes loses no finished write, and its names become free.

    The names are free when their seconds are over, by the store's clock.
    """
    processes = [
        CONTEXT.Process(target=_write, args=(make_storage, anyio_backend, number, os._exit))
        for number in range(3)
    ]
    for process in processes:
        process.start()
    _write(make_storage, anyio_backend, len(processes), end=abs)
    for process in processes:
        process.join(PROCESS_SECONDS)

    async def take_over() -> list[str]:
        async with make_storage() as storage:
            for number in range(4):
                await until(partial(storage.claim, f"name-{number}", "another", 60))
            return [found.instance_id for found in await storage.scan(APP)]

    assert [9, 9, 9] == [process.exitcode for process in processes]
    assert ["site-0", "site-1", "site-2", "site-3"] == run(take_over, anyio_backend)


def in_processes(
    work: Callable[[S, int], Awaitable[object]], make: Callable[[], S], loop: Loop, number: int
) -> list[object]:
    """Do `work` in `number` processes at once, including this process; return the outcomes."""
    start = CONTEXT.Barrier(number)
    outcomes = CONTEXT.Queue()
    processes = [
        CONTEXT.Process(
            target=take_part, args=(work, make, loop, index, start, outcomes), daemon=True
        )
        for index in range(1, number)
    ]
    for process in processes:
        process.start()
    try:
        take_part(work, make, loop, 0, start, outcomes)
        return [outcomes.get(timeout=PROCESS_SECONDS) for _ in range(number)]
    finally:
        for process in processes:
            process.join(PROCESS_SECONDS)
            process.close()
        outcomes.close()
        outcomes.join_thread()


def take_part(  # noqa: PLR0917 # a process takes positional arguments
    work: Callable[[S, int], Awaitable[object]],
    make: Callable[[], S],
    loop: Loop,
    number: int,
    start: Barrier,
    outcomes: Queue[object],
) -> None:
    """Do `work` when all processes are ready, and send its outcome or the kind of its error."""

    async def main() -> object:
        async with make() as storage:
            return await work(storage, number)

    start.wait(PROCESS_SECONDS)
    try:
        outcomes.put(run(main, loop))
    except Exception as exc:
        outcomes.put(type(exc).__name__)


async def _install(storage: Storage, number: int) -> str:
    await storage.put(record(f"site-{number}"))
    return "installed"


async def _claim(storage: Storage, number: int) -> list[str]:
    return [name for name in _NAMES if await storage.claim(name, f"process-{number}", 600)]


async def _replace(storage: Storage, number: int) -> list[str]:
    versions = {name: record(name, f"of-process-{number}") for name in _NAMES}
    return [n for n, new in versions.items() if await storage.replace(new, expected="version-1")]


async def _count(storage: Storage, number: int) -> str:
    await count(storage, f"process-{number}", len(_NAMES))
    return "counted"


async def _count_records(make: MakeStorage) -> int:
    async with make() as storage:
        return len(await storage.scan(APP))


def _write(make: MakeStorage, loop: Loop, number: int, end: Callable[[int], object]) -> None:
    async def main() -> None:
        async with make() as storage:
            await storage.put(record(f"site-{number}"))
            await storage.claim(f"name-{number}", f"process-{number}", 0.05)
            end(9)

    run(main, loop)


def joined(told: list[object]) -> list[str]:
    """Return the names of all lists, and any other outcome, which is an error, as text."""
    return [name for names in told for name in (names if isinstance(names, list) else [str(names)])]
