"""The contract of storages that take two steps at once: a capability beside `Storage`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from wix_asgi.models import Record

__all__ = ["CombiningStorage"]


@runtime_checkable
class CombiningStorage(Protocol):
    """A storage that takes two steps of `Storage` as one; the three backends that come along do.

    It spares round trips and commits alone: with a storage that lacks it, installs and refreshes
    take the steps one after the other. As in `Storage`, every method is one atomic step, safe
    beside any number of tasks, processes and hosts, and safe to be repeated when its outcome is
    not known.
    """

    async def put_and_get(self, record: Record) -> Record:
        """Do as `put` does, and return the record as it is stored then, as `get` would."""
        ...

    async def add_and_get(self, record: Record) -> Record | None:
        """Do as `add` of `AddingStorage` does, and return the record as it is stored then.

        Returns:
            None where nothing was written: `add` would have returned False.
        """
        ...

    async def claim_unchanged(
        self, name: str, owner: str, ttl: float, *, app_id: str, instance_id: str, version: str
    ) -> bool:
        """Do as `claim` does, where the stored version of this installation is `version`.

        No write of the installation comes between the look at its version and the claim.

        Returns:
            Whether `owner` has the name now, and the version was that one. Where it returns False,
            the name is as it was.
        """
        ...

    async def replace_and_release(
        self, record: Record, *, expected: str, name: str, owner: str
    ) -> bool:
        """Do as `replace` does and, where the record was written, free `name` if `owner` has it.

        A caller whose record was not written still has the name, under which it looks again.

        Returns:
            Whether the record was written, as `replace` does.
        """
        ...
