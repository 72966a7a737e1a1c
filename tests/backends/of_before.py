"""A storage as it was written against the contract before `wix_asgi.storage.AddingStorage`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.support import StepByStep
from wix_asgi.models import Record

__all__ = ["OfBefore"]


class OfBefore(StepByStep):
    """Keeps the fields of a record up to `installed_at`; cannot add, and has no inbox."""

    # Protocols take a method that is None for one that is missing.
    add: Any = None
    add_event: Any = None

    def _write(self, record: Record, installed_at: datetime | None) -> Record:
        known = replace(record, grant_type=None, origin_instance_id=None, owes_on_install=False)
        return super()._write(known, installed_at)
