"""Wix's answer about an access token or a signed instance (`POST /oauth2/token-info`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wix_asgi._http import httpx
from wix_asgi.errors import GrantRefused, WixMisconfigured
from wix_asgi.protocol.answers import read_object, text_of
from wix_asgi.protocol.moments import read_moment

__all__ = ["TokenInfo", "parse_token_info"]

_CLAIMS: Final = (
    "subjectType",
    "subjectId",
    "clientId",
    "instanceId",
    "siteId",
    "accountId",
    "iat",
    "exp",
)
"""The documented fields about the bearer (Wix, "Token Info"; @wix/sdk, `get-token-info`). Nothing
else is taken over, so that no field to come is mistaken for a claim of a signed instance."""


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """Wix's answer about an access token: its app, its installation, and whether it is valid.

    Attributes:
        subject_type: The kind of its bearer: `USER`, `APP`, `MEMBER` or `VISITOR`.
        expires_at: Its end in seconds since the epoch; None where it is missing or unreadable.
        claims: The fields of the answer about the bearer, as Wix wrote them.
    """

    active: bool
    client_id: str | None
    instance_id: str | None
    subject_type: str | None = None
    expires_at: float | None = None
    claims: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def parse_token_info(response: httpx.Response) -> TokenInfo:
    """Read the answer of token-info, in which Wix writes booleans as strings or as booleans.

    A token that Wix refuses to answer about counts as inactive.

    Raises:
        WixUnavailable: Wix is failing.
    """
    try:
        body = read_object(response)
    except (GrantRefused, WixMisconfigured):
        return TokenInfo(active=False, client_id=None, instance_id=None)
    return TokenInfo(
        active=body.get("active") is True or body.get("active") == "true",
        client_id=text_of(body.get("clientId")),
        instance_id=text_of(body.get("instanceId")),
        subject_type=text_of(body.get("subjectType")),
        expires_at=read_moment(body.get("exp")),
        claims={name: body[name] for name in _CLAIMS if name in body},
    )
