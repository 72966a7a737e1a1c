"""Decisions about an installation whose grant is to change: its new row, or a reason to keep it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from wix_asgi.errors import UnsealError
from wix_asgi.installations.scan import DatedRecord
from wix_asgi.installations.versions import next_version
from wix_asgi.models import Grant, GrantType, Record
from wix_asgi.sealing.vault import Vault

__all__ = ["Decision", "Decisions", "Outcome", "is_moved"]


class Outcome(StrEnum):
    """How the turn of one installation ended; in a dry run, how it would have ended."""

    MOVED = "moved"
    ADDED = "added"
    MOVED_BACK = "moved_back"
    FORGOTTEN = "forgotten"
    KEPT = "kept"
    REFUSED = "refused"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """The outcome for an installation, and the row that makes it true.

    Attributes:
        reason: Why it is kept, refused, or has failed.
        record: The row to write; None to write nothing.
    """

    outcome: Outcome
    reason: str = ""
    record: Record | None = None


class Decisions:
    """Decides by the row as it is at this moment; reads and writes nothing."""

    def __init__(self, vault: Vault, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Seal and unseal with `vault`; `clock` gives monotonic seconds."""
        self._vault = vault
        self._clock = clock

    def moved(self, grant: Grant, dated: DatedRecord) -> Decision:
        """Move to client credentials, by which Wix has given `grant`; the refresh token stays."""
        record, token = dated.record, grant.access_token
        if is_moved(record):
            return Decision(Outcome.KEPT, "moved meanwhile")
        changed = dataclasses.replace(
            record,
            version=next_version(record.version),
            access_token=self._seal(token.value, record, "access_token"),
            lifetime=token.lifetime,
            expires_in=token.expires_at - self._clock(),
            failure=None,
            retry_in=0.0,
            grant_type=GrantType.CLIENT_CREDENTIALS,
        )
        return Decision(Outcome.MOVED, record=changed)

    def moved_back(self, dated: DatedRecord) -> Decision:
        """Have a moved installation use its refresh token again."""
        if not is_moved(dated.record):
            return Decision(Outcome.KEPT, "not moved")
        try:
            if not self._has_refresh_token(dated.record):
                return Decision(Outcome.KEPT, "no refresh token")
        except UnsealError as exc:
            return Decision(Outcome.FAILED, exc.message)
        return _rewritten(dated, Outcome.MOVED_BACK, grant_type=GrantType.REFRESH_TOKEN)

    def forgotten(self, dated: DatedRecord) -> Decision:
        """Empty the refresh token of a moved installation, readable or not."""
        record = dated.record
        if not is_moved(record):
            return Decision(Outcome.KEPT, "not moved")
        with contextlib.suppress(UnsealError):
            if not self._has_refresh_token(record):
                return Decision(Outcome.KEPT, "no refresh token")
        empty = self._seal("", record, "refresh_token")
        return _rewritten(dated, Outcome.FORGOTTEN, refresh_token=empty)

    def _has_refresh_token(self, record: Record) -> bool:
        # No local variable holds the token: a traceback with locals shows no secret.
        name = {"app_id": record.app_id, "instance_id": record.instance_id}
        return bool(self._vault.unseal(record.refresh_token, **name, field="refresh_token"))

    def _seal(self, plain: str, record: Record, name: str) -> bytes:
        return self._vault.seal(
            plain, app_id=record.app_id, instance_id=record.instance_id, field=name
        )


def is_moved(record: Record) -> bool:
    """Whether the installation gets its access tokens by client credentials."""
    return record.grant_type == GrantType.CLIENT_CREDENTIALS


def _rewritten(dated: DatedRecord, outcome: Outcome, **changes: Any) -> Decision:
    changed = dated.as_of_now(version=next_version(dated.record.version), **changes)
    return Decision(outcome, record=changed)
