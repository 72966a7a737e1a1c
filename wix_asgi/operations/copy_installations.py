"""Copying the installations of an app from one storage to another, while the app goes on.

One rule keeps every token: a record in the target is written over only while it is as a copy left
it. What a copy writes carries a mark in its version, in front of the version it had in the source;
an app that writes a record gives it a new version, which has no mark. So nothing has to be
remembered between two runs, and nothing is ever deleted.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from wix_asgi.installations.scan import DatedRecord, RecordScan
from wix_asgi.models import Record
from wix_asgi.storage import Storage

__all__ = ["Copy", "copy_installations", "is_same_storage"]

_MARK: Final = "copied:"
_MOST_PASSES: Final = 10
_PROBE_SECONDS: Final = 60.0


@dataclass(slots=True)
class Copy:
    """How far a copy is: what its latest pass found on both sides, and what all passes wrote.

    Attributes:
        passes: How many passes there were, the latest included.
        written: How many records all passes wrote; one that changed meanwhile counts again.
        seen: How many there are in the source.
        same: How many of them the target has too, compared byte for byte but for the times.
        unsettled: How many had to be written, and so have not been compared.
        kept: The ids of those that the target has otherwise, from an app that wrote them there.
        damaged: The ids of those whose version the target has, but not their contents.
        in_target: How many were read in the target.
        extra: How many of those the source does not have.
    """

    passes: int = 0
    written: int = 0
    seen: int = 0
    same: int = 0
    unsettled: int = 0
    kept: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    in_target: int = 0
    extra: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether the target has every record of the source, and each was compared."""
        return self.same == self.seen

    def begin_pass(self) -> None:
        """Count anew what a pass finds."""
        self.passes += 1
        self.seen = self.same = self.unsettled = self.in_target = self.extra = 0
        self.kept, self.damaged = [], []


async def copy_installations(
    app_id: str,
    source: Storage,
    target: Storage,
    *,
    report: Callable[[Copy], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Copy:
    """Copy every record of the app as it is, sealed, until a whole pass has nothing to write.

    That last pass is the proof: it has read both sides from the first record to the last, and
    compared them. After ten passes it is left at that: the app has changed records in each of
    them. It may be stopped and run again at any time, and goes on from what is there. The app may
    run on the source meanwhile, but not on the target: a storage cannot write a record only where
    there is none, so that an install at the very moment its record is copied could be lost.

    `installed_at` is the moment of the copy, by the target's clock: storages set it themselves.
    The lives of access tokens go on running down. Claims are not copied. `report` is called after
    each record.

    Raises:
        StorageUnavailable: One of the storages cannot be reached. What was copied stays.
    """
    copy = Copy()
    while copy.passes < _MOST_PASSES:
        copy.begin_pass()
        wanted, found = (RecordScan(side, app_id, clock=clock) for side in (source, target))
        await _Pass(wanted, found, target, copy, report).run()
        if not copy.unsettled:
            break
    return copy


async def is_same_storage(source: Storage, target: Storage) -> bool:
    """Return whether both are one place, whatever their URLs: whether one's claim binds the other.

    Raises:
        StorageUnavailable: One of them cannot be reached.
    """
    name = f"copy:{secrets.token_hex(16)}"
    await source.claim(name, "source", _PROBE_SECONDS)
    same = not await target.claim(name, "target", _PROBE_SECONDS)
    await target.release(name, "target")
    await source.release(name, "source")
    return same


class _Pass:
    """One walk through both storages, side by side in the order of the ids."""

    def __init__(
        self,
        source: RecordScan,
        found: RecordScan,
        target: Storage,
        copy: Copy,
        report: Callable[[Copy], object],
    ) -> None:
        self._source = source
        self._found = found
        self._target = target
        self._copy = copy
        self._report = report

    async def run(self) -> None:
        """Write what is missing or has changed, and count everything."""
        there = await self._next_there()
        while read := await self._source.next():
            wanted = read.record.instance_id
            while there and there.instance_id < wanted:
                self._copy.extra += 1
                there = await self._next_there()
            if there and there.instance_id == wanted:
                await self._settle(read, there)
                there = await self._next_there()
            else:
                await self._add(read)
            self._copy.seen += 1
            self._report(self._copy)
        while there:
            self._copy.extra += 1
            there = await self._next_there()

    async def _next_there(self) -> Record | None:
        read = await self._found.next()
        if read is None:
            return None
        self._copy.in_target += 1
        return read.record

    async def _settle(self, read: DatedRecord, there: Record) -> None:
        """Deal with a record that both sides have."""
        wanted = read.record
        if _origin(there) == _origin(wanted):
            if _contents(there) == _contents(wanted):
                self._copy.same += 1
            else:
                self._copy.damaged.append(wanted.instance_id)
        elif there.version.startswith(_MARK):
            self._copy.unsettled += 1
            if await self._target.replace(_marked(read), expected=there.version):
                self._copy.written += 1
        else:
            self._copy.kept.append(wanted.instance_id)

    async def _add(self, read: DatedRecord) -> None:
        """Deal with a record that the target did not have when its page was read."""
        self._copy.unsettled += 1
        if await self._found.get(read.record.instance_id) is None:
            await self._target.put(_marked(read))
            self._copy.written += 1


def _origin(record: Record) -> str:
    """Return the version that an app gave to this state, wherever it was copied since."""
    return record.version.removeprefix(_MARK)


def _marked(read: DatedRecord) -> Record:
    return read.as_of_now(version=_MARK + _origin(read.record))


def _contents(record: Record) -> tuple[bytes, bytes | None, str | None]:
    return record.refresh_token, record.access_token, record.failure
