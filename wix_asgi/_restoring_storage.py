"""The contract of storages that keep the date of a copied installation."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from wix_asgi.models import Record

__all__ = ["RestoringStorage"]


@runtime_checkable
class RestoringStorage(Protocol):
    """A storage that writes a record with its own date; the three backends that come along do.

    A capability beside `Storage`, for `wix-asgi storage copy`. With a storage that lacks it,
    `installed_at` of every copied installation is the moment of the copy.
    """

    async def restore(self, record: Record, *, expected: str | None = None) -> bool:
        """Write `record`, with its `installed_at`, where the stored version is `expected`.

        With None for `expected`, it is written where there is no record of this installation. A
        record without `installed_at` is written as installed at this moment. Every field is kept,
        and `installed_at` at least to the millisecond. When this returns, the record survives a
        crash.

        Returns:
            Whether it was written. False where the stored version differs; without `expected` also
            where an earlier attempt of this very call has written it.
        """
        ...
