"""Copies the installations of an app from one storage to another while the app keeps running.

One rule keeps every token: a record of the target is overwritten only while it is exactly as an
earlier copy left it. The version of a copied record is a mark followed by the version from the
source; an app that writes the record gives it a new version without the mark. Therefore nothing has
to be remembered between two runs, and nothing is ever deleted.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from wix_asgi.installations.scan import DatedRecord, RecordScan
from wix_asgi.models import Record
from wix_asgi.storage import AddingStorage, RestoringStorage, Storage

__all__ = ["Copy", "copy_installations", "is_same_storage"]

_MARK: Final = "copied:"

# Passes. One pass copies everything and a second one proves it; each further pass is needed only
# because the app wrote during the pass before. An app that writes during ten passes in succession
# writes all the time, and an eleventh pass would find the same.
_MAX_PASSES: Final = 10

# Seconds. The two claims of the probe are released again within a few calls; this is only the time
# after which a storage forgets them if the process dies in between.
_PROBE_SECONDS: Final = 60.0


@dataclass(slots=True)
class Copy:
    """The progress of a copy: the counts of its latest pass, and the writes of all passes.

    Attributes:
        passes: The number of passes, including the latest.
        written: The number of writes of all passes; a record that changed meanwhile counts again.
        seen: The number of records in the source.
        same: The records of the source that the target has too, compared byte for byte except for
            the times.
        unsettled: The records that this pass had to write, and therefore has not compared.
        kept: The instance ids of records that an app has written in the target.
        damaged: The instance ids of records that have the same version on both sides, but
            different contents.
        in_target: The number of records that were read in the target.
        extra: The instance ids of records of the target that the source does not have.
    """

    passes: int = 0
    written: int = 0
    seen: int = 0
    same: int = 0
    unsettled: int = 0
    kept: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    in_target: int = 0
    extra: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether the target has every record of the source, and each of them was compared."""
        return self.same == self.seen

    def begin_pass(self) -> None:
        """Reset the counts of the latest pass."""
        self.passes += 1
        self.seen = self.same = self.unsettled = self.in_target = 0
        self.kept, self.damaged, self.extra = [], [], []


async def copy_installations(
    app_id: str,
    source: Storage,
    target: Storage,
    *,
    report: Callable[[Copy], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Copy:
    """Copy every record of the app, sealed as it is, until a whole pass has nothing to write.

    That last pass is the proof: it has read both sides from the first record to the last, and has
    compared them. After ten passes the copy gives up, because the app changed records during each
    of them. A copy may be stopped and run again at any time, and goes on from the records in the
    target. The app may run on the source meanwhile, but not on the target: each would refresh the
    same tokens on its own. A target that is no `AddingStorage` keeps no field after `installed_at`,
    so that these are not compared; there an install at the very moment its record is copied could
    be lost, too.

    A target that is a `RestoringStorage` keeps `installed_at`, and in another it becomes the moment
    of the copy by the target's clock. The lifetimes of access tokens go on running down. Claims are
    not copied. `report` is called after each record.

    Raises:
        StorageUnavailable: The source or the target cannot be reached. The records copied until
            then stay in the target.
    """
    copy = Copy()
    while copy.passes < _MAX_PASSES:
        copy.begin_pass()
        in_source, in_target = (RecordScan(side, app_id, clock=clock) for side in (source, target))
        await _Pass(in_source, in_target, target, copy, report).run()
        if not copy.unsettled:
            break
    return copy


async def is_same_storage(source: Storage, target: Storage) -> bool:
    """Return whether both storages keep their data in the same store, even under different URLs.

    They do if a name claimed in the source cannot be claimed in the target.

    Raises:
        StorageUnavailable: The source or the target cannot be reached.
    """
    name = f"copy:{secrets.token_hex(16)}"
    await source.claim(name, "source", _PROBE_SECONDS)
    same = not await target.claim(name, "target", _PROBE_SECONDS)
    await target.release(name, "target")
    await source.release(name, "source")
    return same


class _Pass:
    """One walk through both storages, side by side in the order of the instance ids."""

    def __init__(
        self,
        in_source: RecordScan,
        in_target: RecordScan,
        target: Storage,
        copy: Copy,
        report: Callable[[Copy], object],
    ) -> None:
        self._in_source = in_source
        self._in_target = in_target
        self._target = target
        self._copy = copy
        self._report = report

    async def run(self) -> None:
        """Write the records that are missing or have changed, and count all of them."""
        present = await self._next_in_target()
        async for dated in self._in_source:
            instance_id = dated.record.instance_id
            while present and present.instance_id < instance_id:
                self._copy.extra.append(present.instance_id)
                present = await self._next_in_target()
            if present and present.instance_id == instance_id:
                await self._settle(dated, present)
                present = await self._next_in_target()
            else:
                await self._add(dated)
            self._copy.seen += 1
            self._report(self._copy)
        while present:
            self._copy.extra.append(present.instance_id)
            present = await self._next_in_target()

    async def _next_in_target(self) -> Record | None:
        dated = await anext(self._in_target, None)
        if dated is None:
            return None
        self._copy.in_target += 1
        return dated.record

    async def _settle(self, dated: DatedRecord, present: Record) -> None:
        """Compare a record of the source with the target's, and update the target if it may."""
        wanted = dated.record
        if _origin(present) == _origin(wanted):
            if self._contents(present) == self._contents(wanted):
                self._copy.same += 1
            else:
                self._copy.damaged.append(wanted.instance_id)
        elif present.version.startswith(_MARK):
            self._copy.unsettled += 1
            self._copy.written += await self._write_over(dated, expected=present.version)
        else:
            self._copy.kept.append(wanted.instance_id)

    async def _add(self, dated: DatedRecord) -> None:
        """Write a record that the target did not have when its page was read."""
        self._copy.unsettled += 1
        if isinstance(self._target, RestoringStorage):
            self._copy.written += await self._target.restore(_marked(dated))
        elif isinstance(self._target, AddingStorage):
            self._copy.written += await self._target.add(_marked(dated))
        elif await self._in_target.get(dated.record.instance_id) is None:
            await self._target.put(_marked(dated))
            self._copy.written += 1

    async def _write_over(self, dated: DatedRecord, *, expected: str) -> bool:
        # With the date, too: a late removal of an earlier install, by the former date, would take
        # away the install that replaced it.
        if isinstance(self._target, RestoringStorage):
            return await self._target.restore(_marked(dated), expected=expected)
        return await self._target.replace(_marked(dated), expected=expected)

    def _contents(self, record: Record) -> tuple[object, ...]:
        """Return the fields that both sides keep, and that stay the same with time."""
        contents = record.refresh_token, record.access_token, record.failure
        later = record.grant_type, record.origin_instance_id, record.owes_on_install
        return contents + later if isinstance(self._target, AddingStorage) else contents


def _origin(record: Record) -> str:
    """Return the version that an app gave to this record, before any copy."""
    return record.version.removeprefix(_MARK)


def _marked(dated: DatedRecord) -> Record:
    return dated.as_of_now(version=_MARK + _origin(dated.record))
