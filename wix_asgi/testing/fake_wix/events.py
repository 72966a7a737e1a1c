"""The events of a fake Wix: the layers of a webhook's token, from the inside out.

The third layer is the data of the event, a JSON text in the second layer, which has the type and
the installation; the second layer is a JSON text in the claims of the token (Wix, "Handle Events
with Webhooks").
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol, TypedDict

from wix_asgi.testing.fake_wix._webhook_key import WebhookKey, compact

__all__ = [
    "TOKEN_SECONDS",
    "DomainEventKind",
    "EventOptions",
    "FakeEvent",
    "Installed",
    "as_date",
    "make_domain_data",
    "make_webhook_id",
]

# Seconds: exp - iat of real tokens of 2021, 2023 and 2025.
TOKEN_SECONDS: Final = 3_600_000

_INT32: Final = 2**31
_LETTERS: Final = string.ascii_letters

DomainEventKind = Literal["created", "updated", "deleted", "action"]
"""The four kinds of a domain event, each with a field of its own for its content."""

_CONTENT: Final[Mapping[DomainEventKind, tuple[str, str]]] = {
    "created": ("createdEvent", "entity"),
    "updated": ("updatedEvent", "currentEntity"),
    "deleted": ("deletedEvent", "deletedEntity"),
    "action": ("actionEvent", "body"),
}


class Installed(Protocol):
    """Anything with an instance ID, such as a `wix_asgi.Installation`."""

    @property
    def instance_id(self) -> str:
        """The installation."""
        ...


class EventOptions(TypedDict, total=False):
    """The parts of an event that need not be given.

    Attributes:
        identity: The person or app that caused the event, such as `{"identityType": "WIX_USER",
            "wixUserId": "…"}`; left out by default.
        webhook_id: Wix's `webhookId`: True for a new one in the form that was seen, False to leave
            it out, as tokens of 2021 and the dashboard's tests do, or a text of choice.
        account_info: Wix's `accountInfo`; left out by default.
        issued_at: The moment of `iat`, as seconds since the epoch or an aware datetime; now by the
            `host_clock` by default.
        lifetime: The seconds from `iat` to `exp`; Wix's 3,600,000 by default.
    """

    identity: Mapping[str, Any] | None
    webhook_id: str | bool
    account_info: Mapping[str, Any] | None
    issued_at: float | datetime | None
    lifetime: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeEvent:
    """One event with its token; its data and its token are left out of its repr.

    Attributes:
        event_type: Wix's word for the kind of event, such as `AppInstalled`.
        instance_id: The installation that the event is about.
        data: The third layer: a text is written as it is, all else as JSON.
        identity: The person or app that caused the event; None leaves it out.
        webhook_id: Wix's `webhookId`; None leaves it out.
        account_info: Wix's `accountInfo`; None leaves it out.
        issued_at: `iat`, in seconds since the epoch.
        lifetime: The seconds from `iat` to `exp`.
        token: The signed JWT: the body of the request that delivers the event.
    """

    event_type: str
    instance_id: str
    data: Any = field(repr=False)
    identity: Mapping[str, Any] | None = field(default=None, repr=False)
    webhook_id: str | None = None
    account_info: Mapping[str, Any] | None = field(default=None, repr=False)
    issued_at: int
    lifetime: int = TOKEN_SECONDS
    token: str = field(default="", repr=False)

    @property
    def text(self) -> str:
        """The second layer, as it is inside the token."""
        return compact(
            {
                "data": self.data if isinstance(self.data, str) else compact(self.data),
                "instanceId": self.instance_id,
                "eventType": self.event_type,
                **({} if self.identity is None else {"identity": compact(dict(self.identity))}),
                **({} if self.webhook_id is None else {"webhookId": self.webhook_id}),
                **({} if self.account_info is None else {"accountInfo": dict(self.account_info)}),
            }
        )

    @property
    def claims(self) -> dict[str, Any]:
        """The claims of the token: these three, as Wix has them."""
        return {"data": self.text, "iat": self.issued_at, "exp": self.issued_at + self.lifetime}

    def signed(self, key: WebhookKey) -> FakeEvent:
        """Return the event with a token by this key."""
        return replace(self, token=key.sign(self.claims))


def make_webhook_id(moment: float) -> str:
    """Return a `webhookId` such as `wId_1754753183650_-1582422945__tyVHu`.

    Wix says nothing of it; its parts are milliseconds, a number of 32 bits, and five letters.
    """
    number = secrets.randbelow(2 * _INT32) - _INT32
    letters = "".join(secrets.choice(_LETTERS) for _ in range(5))
    return f"wId_{int(moment * 1000)}_{number}__{letters}"


def make_domain_data(
    event_type: str,
    entity: Mapping[str, Any] | None,
    *,
    moment: float,
    kind: DomainEventKind | None = None,
    as_json: bool = False,
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the third layer of a domain event (Wix, "Webhook Structure").

    Raises:
        ValueError: The kind is not given, and the type does not end with one.
    """
    fqdn, _, word = event_type.rpartition("_")
    kind = kind or _kind_of(word)
    content, name = _CONTENT[kind]
    inner: dict[str, Any] = {}
    if entity is not None:
        inner = {f"{name}AsJson": compact(dict(entity))} if as_json else {name: dict(entity)}
    return {
        "id": str(uuid.uuid4()),
        "entityFqdn": fqdn,
        "slug": word,
        "entityId": (entity or {}).get("id") or str(uuid.uuid4()),
        content: inner,
        "eventTime": as_date(moment),
        "triggeredByAnonymizeRequest": False,
        "originatedFrom": "",
        **(fields or {}),
    }


def as_date(moment: float) -> str:
    """Return a moment as Wix's APIs write it, in milliseconds and with a Z."""
    written = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return written.replace("+00:00", "Z")


def _kind_of(word: str) -> DomainEventKind:
    for kind in _CONTENT:
        if kind == word:
            return kind
    raise ValueError("give the kind of this event: its type ends with none")
