"""Wix's answer about an access token or a signed instance (`POST /oauth2/token-info`)."""

from __future__ import annotations

from dataclasses import dataclass

from wix_asgi._http import httpx
from wix_asgi.errors import GrantRefused, WixMisconfigured
from wix_asgi.protocol.answers import read_object, text_of

__all__ = ["TokenInfo", "parse_token_info"]


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """Wix's answer about an access token: its app, its installation, and whether it is valid."""

    active: bool
    client_id: str | None
    instance_id: str | None


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
    )
