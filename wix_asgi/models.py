"""The values that flow through wix-asgi: frozen, and with their secrets left out of repr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = [
    "AccessToken",
    "EventCounts",
    "EventRecord",
    "EventState",
    "Finding",
    "FindingLevel",
    "Grant",
    "GrantType",
    "Identity",
    "InstallFlow",
    "Installation",
    "Record",
]


class InstallFlow(StrEnum):
    """The way in which sites install the app; Wix decides it for each app."""

    ADVANCED = "advanced"
    CLIENT_CREDENTIALS = "client_credentials"


class FindingLevel(StrEnum):
    """Whether a finding about the set-up of an app needs work."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of `Wix.check` about the set-up of an app.

    Attributes:
        level: Whether it needs work: installs, calls or webhooks fail by an error.
        subject: The setting or the part that it is about, such as "storage" or "clock".
        message: The finding in a sentence, with its remedy; no secret is in it.
    """

    level: FindingLevel
    subject: str
    message: str


class GrantType(StrEnum):
    """The grant by which an installation gets its access tokens (RFC 6749, 6 and 4.4)."""

    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a name of RFC 6749
    CLIENT_CREDENTIALS = "client_credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One installation as a storage backend holds it, with every token sealed.

    Durations cross between hosts instead of times, so that two clocks are never compared: a writer
    gives the seconds that are left, the store keeps the moment by its own clock, and a reader gets
    again the seconds that are left then.

    Attributes:
        app_id: The app's ID; half of the key.
        instance_id: The installation's ID, which completes the key. Exact bytes, never folded.
        version: A random name for this state of the record, chosen by its writer. It is never
            used twice, so one comparison tells whether the record was written in between.
        refresh_token: Sealed; the sealed empty text where there is none.
        access_token: Sealed, or None before the first grant of one.
        lifetime: Seconds for which the access token was granted.
        expires_in: Seconds that the access token has left, at the moment of the read or write.
        failure: The reason for which the last refresh failed, or None.
        retry_in: Seconds until a refresh may be tried again, at the moment of the read or write.
        installed_at: The time of the `put` that wrote it, in UTC by the store's clock; ignored
            on writing, except by `RestoringStorage.restore`. None if the store has no such time.
        grant_type: A `GrantType`, or another release's newer word for one. None in a record of a
            release that knew refresh tokens only.
        origin_instance_id: The installation on the site of which this site is a copy, or None.
        owes_on_install: Whether the app's `on_install` is still to be told of the installation.
    """

    app_id: str
    instance_id: str
    version: str
    refresh_token: bytes = field(repr=False)
    access_token: bytes | None = field(default=None, repr=False)
    lifetime: float = 0.0
    expires_in: float = 0.0
    failure: str | None = None
    retry_in: float = 0.0
    installed_at: datetime | None = None
    grant_type: str | None = None
    origin_instance_id: str | None = None
    owes_on_install: bool = False


class EventState(StrEnum):
    """The state of an event in the inbox of webhooks."""

    WAITING = "waiting"
    """Kept, and not ended: due now, later, or taken by a process until its lease ends."""

    DONE = "done"
    """All handlers have returned. Only the event's keys are kept, without its payload."""

    DEAD = "dead"
    """A handler has failed for the last time (a dead letter)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One event of a webhook as a storage holds it in its inbox, with the payload sealed.

    Durations cross between hosts instead of times, as in `Record`.

    Attributes:
        app_id: The app's ID.
        event_id: The event's key: 32 hexadecimal digits. With `app_id` it is unique.
        alias: A second key of the same event, or None. Of two events with one alias the storage
            keeps the first, as of two with one `event_id`.
        event_type: Wix's word for the kind of event (`eventType` of the second layer).
        instance_id: The installation that the event is about. Exact bytes, never folded.
        payload: Sealed. None once the event is done.
        issued_at: The moment at which Wix issued the event, in UTC by Wix's clock.
        received_at: The time of the `add_event` that wrote it, in UTC by the store's clock; ignored
            on writing.
        state: Ignored on writing: an event begins as waiting.
        attempts: How many times the event was taken since it came, or was last retried, less those
            that were not counted.
        due_in: Seconds until it may be taken, at the moment of the read or write; negative once it
            is due. Of a taken event, the seconds until its lease ends. 0 where it has ended.
        expires_in: Seconds until an ended event is forgotten, at the moment of the read; None while
            it waits. Ignored on writing.
        is_taken: Whether a process had it under a lease at the moment of the read. Ignored on
            writing.
        outcomes: What has become of each handler so far, in the words of the inbox.
        failure: The kind of the latest failure and the handler's name, for operators, or None.
    """

    app_id: str
    event_id: str
    alias: str | None = None
    event_type: str
    instance_id: str
    payload: bytes | None = field(repr=False)
    issued_at: datetime
    received_at: datetime | None = None
    state: EventState = EventState.WAITING
    attempts: int = 0
    due_in: float = 0.0
    expires_in: float | None = None
    is_taken: bool = False
    outcomes: str = ""
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCounts:
    """How many events of an app the inbox holds.

    Attributes:
        waiting: The events that have not ended, up to the limit of the question.
        dead: The dead letters, up to the limit of the question.
        oldest_age: Seconds since the oldest waiting event was received; 0 where none waits.
        next_dead_in: Seconds until the first dead letter is forgotten; None where there is none.
    """

    waiting: int = 0
    dead: int = 0
    oldest_age: float = 0.0
    next_dead_in: float | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A short-lived access token, as Wix granted it.

    Attributes:
        value: The token, as it goes into the `Authorization` header.
        lifetime: Seconds for which it was granted (300 where Wix does not say).
        expires_at: The moment of its end, in seconds of this process's monotonic clock.
    """

    value: str = field(repr=False)
    lifetime: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Grant:
    """The tokens of one answer of Wix's token endpoint (RFC 6749, 5.1).

    Attributes:
        access_token: The new access token.
        refresh_token: None where the answer had none: then the refresh token of the request
            stays good (RFC 6749, 6). Client credentials bring none (RFC 6749, 4.4.3).
    """

    access_token: AccessToken
    refresh_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Installation:
    """The app on one site.

    Attributes:
        app_id: The app's ID.
        instance_id: The installation's ID, which stays the same when a site reinstalls the app.
        installed_at: The time of the last install, in UTC by the store's clock.
        origin_instance_id: The installation on the site of which this site is a copy; None where it
            is no copy, or Wix did not say so. An app carries its data over from it.
        grant: The grant by which access tokens are got.
    """

    app_id: str
    instance_id: str
    installed_at: datetime
    origin_instance_id: str | None = None
    grant: GrantType = GrantType.REFRESH_TOKEN


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller: an installation, and the claims about the person on that site.

    Attributes:
        instance_id: The installation that the call comes from.
        claims: All claims of the signed instance (`uid`, `permissions`, `siteOwnerId`, …), or the
            fields of Wix's answer about an access token (`subjectType`, `subjectId`, `siteId`, …).
    """

    instance_id: str
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def user_id(self) -> str | None:
        """The ID of the logged-in Wix user, or None where the claims name no user."""
        # An access token names other subjects as well: members and visitors of a site, and apps.
        is_user = self.claims.get("subjectType") == "USER"
        uid = self.claims.get("subjectId" if is_user else "uid")
        return uid if isinstance(uid, str) else None

    @property
    def is_owner(self) -> bool:
        """Whether that user owns the site; an access token does not tell, so that it is False."""
        return self.claims.get("permissions") == "OWNER"
