"""The facts of a record that need no key, for the app and for rows read."""

from __future__ import annotations

from datetime import datetime

from wix_asgi.installations._bounds import EPOCH
from wix_asgi.models import GrantType, Installation, Record

__all__ = ["grant_type_of", "installation_of", "installed_at_of"]


def installation_of(record: Record) -> Installation:
    """Return the facts of a record for the app; no token is unsealed."""
    return Installation(
        record.app_id,
        record.instance_id,
        installed_at_of(record),
        record.origin_instance_id,
        grant_type_of(record),
    )


def installed_at_of(record: Record) -> datetime:
    """Return the moment of an installation, or 1970 where its record does not tell it."""
    return record.installed_at or EPOCH


def grant_type_of(record: Record) -> GrantType:
    """Return the grant type of a record; that of all old records where it is unknown or missing."""
    try:
        return GrantType(record.grant_type or GrantType.REFRESH_TOKEN)
    except ValueError:
        return GrantType.REFRESH_TOKEN
