"""The reasons for refusals, as `wix_asgi.errors` offers them; their codes are stable."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["CallerReason", "Reason"]


class CallerReason(StrEnum):
    """Why a caller may not use the client, as told to callers and written to the log."""

    NO_IDENTITY = "no_identity"
    FORGED = "forged"
    VISITOR = "visitor"
    OTHER_APP = "other_app"
    PERMISSIONS = "permissions"
    TOO_OLD = "too_old"
    ENDED = "ended"
    TWO_SITES = "two_sites"

    @property
    def text(self) -> str:
        """The sentence for callers."""
        return _CALLER_TEXTS[self]


_CALLER_TEXTS = {
    CallerReason.NO_IDENTITY: "Nobody is known to be calling: this request has no signed instance "
    "or access token.",
    CallerReason.FORGED: "The signed instance or access token is not genuine.",
    CallerReason.VISITOR: "The signed instance or access token is an anonymous visitor's.",
    CallerReason.OTHER_APP: "The signed instance or access token is of another app.",
    CallerReason.PERMISSIONS: "The caller lacks the permissions that this app asks for.",
    CallerReason.TOO_OLD: "This page was open for too long: reload it from Wix.",
    CallerReason.ENDED: "The caller's proof has ended: reload the page from Wix.",
    CallerReason.TWO_SITES: "This request names two sites.",
}


class Reason(StrEnum):
    """Why a handshake was refused, as shown to callers and written to the log."""

    BAD_REQUEST = "bad_request"
    STATE_MISSING = "state_missing"
    STATE_INVALID = "state_invalid"
    STATE_EXPIRED = "state_expired"
    STATE_REUSED = "state_reused"
    BROWSER_MISMATCH = "browser_mismatch"
    DENIED = "denied"
    EXCHANGE_REJECTED = "exchange_rejected"
    WIX_UNAVAILABLE = "wix_unavailable"
    INSTANCE_MISMATCH = "instance_mismatch"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    INTERNAL = "internal"

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return _STATUS[self]


_STATUS = {
    Reason.BAD_REQUEST: 400,
    Reason.STATE_MISSING: 400,
    Reason.STATE_INVALID: 400,
    Reason.STATE_EXPIRED: 400,
    Reason.STATE_REUSED: 409,
    Reason.BROWSER_MISMATCH: 403,
    Reason.DENIED: 403,
    Reason.EXCHANGE_REJECTED: 502,
    Reason.WIX_UNAVAILABLE: 503,
    Reason.INSTANCE_MISMATCH: 403,
    Reason.STORAGE_UNAVAILABLE: 503,
    Reason.INTERNAL: 500,
}
