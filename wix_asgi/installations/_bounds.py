"""Bounds within which the columns that are not sealed are believed."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Final

from wix_asgi.models import Record

__all__ = ["EPOCH", "believed", "is_origin"]

EPOCH: Final = datetime.fromtimestamp(0, UTC)
"""Stands for the time of an installation that its row does not tell."""

_LONGEST_LIFETIME: Final = 86_400.0
"""Seconds: `wix_asgi.protocol.endpoints` believes no longer lifetime of a token, either."""

_LONGEST_PAUSE: Final = 60.0
"""Seconds: the longest pause after a failed refresh that is ever written
(`RefreshPolicy.max_failure_pause`; a refusal is written with up to 45)."""

_LONGEST_ID: Final = 200
"""Characters of an installation's id; Wix's have 36."""

_LONG_AGO: Final = -1e9
"""Seconds, which are 31 years: a moment that is further back has passed as well."""


def believed(record: Record) -> Record:
    """Return the record of a storage with the fields that are not sealed within bounds.

    Anybody with access to the database can change these columns, and a step of its clock moves
    the moments in them:

    - A token lives for a day at most, and no longer than it was granted for. If it does not, Wix
      says so, and it is refreshed.
    - A refresh that is put off for longer than any refresh ever is, is not put off: else nobody
      would refresh that installation again.
    - An installation from before 1970 has no time.
    - A site is a copy only of a site whose id could be one, and that is another.
    - `on_install` is owed only where the record says so.
    """
    lifetime = _within(record.lifetime, 0.0, _LONGEST_LIFETIME)
    pause = record.retry_in if record.retry_in <= _LONGEST_PAUSE else 0.0
    installed_at = record.installed_at
    return dataclasses.replace(
        record,
        lifetime=lifetime,
        expires_in=_within(record.expires_in, _LONG_AGO, lifetime),
        retry_in=max(_LONG_AGO, pause),
        installed_at=installed_at if installed_at and installed_at >= EPOCH else None,
        origin_instance_id=(
            record.origin_instance_id
            if is_origin(record.origin_instance_id, of=record.instance_id)
            else None
        ),
        owes_on_install=record.owes_on_install is True,
    )


def is_origin(origin: object, *, of: str) -> bool:
    """Whether the installation `of` this id may be a copy of that with the id `origin`."""
    if not isinstance(origin, str) or not 0 < len(origin) <= _LONGEST_ID:
        return False
    return origin.isprintable() and origin != of


def _within(value: float, least: float, most: float) -> float:
    # Not a number compares false with everything, and becomes the least.
    return min(value, most) if value > least else least
