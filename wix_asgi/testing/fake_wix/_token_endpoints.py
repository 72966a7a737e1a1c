"""`/oauth/access`, `/oauth2/token` and `/oauth2/token-info`.

Refusals have the shape of RFC 6749, 5.2: 401 `invalid_client` for a wrong app ID or secret, 400
`invalid_grant` for an invalid code or refresh token, 400 `unsupported_grant_type`, and
`invalid_request` for everything else (415 if the content type is not JSON). Client credentials are
refused with 404 for a site without the app, as was seen of Wix, and with 400 `unauthorized_client`
for an app that was not moved to them. Wix does not document its refusals.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wix_asgi.testing.fake_wix._grants import (
    ACCESS_TOKEN_SECONDS,
    AccessGrant,
    Grants,
)
from wix_asgi.testing.fake_wix._proofs import read_instance
from wix_asgi.testing.fake_wix._wire import Refusal, oauth_refusal, read_object
from wix_asgi.testing.fake_wix.world import World, site_id

__all__ = ["TokenEndpoints"]

_NO_STORE: Final = {"cache-control": "no-store"}
_CREDENTIAL_FIELDS: Final = {"authorization_code": "code", "refresh_token": "refresh_token"}


class TokenEndpoints:
    """The two endpoints that need no access token, and refuse a request that carries it."""

    def __init__(self, world: World, grants: Grants) -> None:
        self._world = world
        self._grants = grants

    async def access(self, request: Request) -> Response:
        """Exchange a code, or refresh an access token."""
        body = await _read(request)
        grant_type = body.get("grant_type")
        field = _CREDENTIAL_FIELDS.get(grant_type) if isinstance(grant_type, str) else None
        if field is None:
            raise oauth_refusal(400, "unsupported_grant_type", f"unknown: {grant_type!r}")
        _check_fields(body, {"grant_type", "client_id", "client_secret", field})
        self._check_client(body["client_id"], body["client_secret"])
        if field == "code":
            access_token, refresh_token = self._grants.exchange(body["code"])
            return _granted(access_token, refresh_token)
        access_token, refresh_token = self._grants.refresh(body["refresh_token"])
        if self._world.answer_without_refresh_token:
            return _granted(access_token)
        return _granted(access_token, refresh_token)

    async def client_credentials(self, request: Request) -> Response:
        """Create an access token for a site by the app's own credentials."""
        try:
            answer = await self._client_credentials(request)
        except Refusal as exc:
            return self._wrapped(exc.status, exc.body)
        return self._wrapped(200, answer)

    async def _client_credentials(self, request: Request) -> dict[str, Any]:
        body = await _read(request)
        # Without an instance_id Wix grants a token, too.
        optional = body.keys() & {"instance_id"}
        _check_fields(body, {"grant_type", "client_id", "client_secret", *optional})
        if body["grant_type"] != "client_credentials":
            raise oauth_refusal(400, "unsupported_grant_type", f"unknown: {body['grant_type']!r}")
        self._check_client(body["client_id"], body["client_secret"])
        answer = {
            "access_token": self._grants.client_credentials(body.get("instance_id")),
            "token_type": "Bearer",
            "expires_in": self._world.expires_in,
        }
        return {name: value for name, value in answer.items() if value is not None}

    def _wrapped(self, status: int, answer: Mapping[str, Any]) -> JSONResponse:
        wrapping = self._world.client_credentials_wrapped
        body: Any = dict(answer)
        if wrapping is not None:
            body = {"statusCode": status, "body": json.dumps(body) if wrapping == "text" else body}
            status = 200
        return JSONResponse(body, status, _NO_STORE)

    async def token_info(self, request: Request) -> Response:
        """Return the app and the site of a token; `{"active": "false"}` for an unknown token."""
        body = await _read(request)
        _check_fields(body, {"token"})
        info = self._describe(body["token"])
        if self._world.token_info_in_strings:
            info = {name: _as_text(value) for name, value in info.items()}
        if self._world.token_info_override is not None:
            info = dict(self._world.token_info_override(info))
        return JSONResponse(info)

    def _check_client(self, client_id: str, client_secret: str) -> None:
        world = self._world
        same = _same(client_id, world.app_id) & _same(client_secret, world.app_secret)
        if not same:
            status, error = world.client_refusal
            raise oauth_refusal(status, error, "unknown client_id or wrong client_secret")

    def _describe(self, token: str) -> dict[str, Any]:
        grant = self._grants.live(token) or self._instance(token)
        if grant is None:
            return {"active": False}
        info = {
            "active": True,
            "subjectType": grant.subject_type,
            "subjectId": grant.subject_id,
            "exp": int(grant.expires_at),
            "iat": int(grant.issued_at),
            "clientId": grant.client_id,
        }
        if grant.instance_id is not None:
            info |= {"siteId": site_id(grant.instance_id), "instanceId": grant.instance_id}
        return info

    def _instance(self, token: str) -> AccessGrant | None:
        # Wix accepts the signed instance here, too, for a time that it does not document.
        instance_id = read_instance(self._world, token).get("instanceId")
        if instance_id is None:
            return None
        app_id, now = self._world.app_id, self._world.clock.now()
        return AccessGrant(instance_id, "APP", app_id, app_id, now, now + ACCESS_TOKEN_SECONDS)


async def _read(request: Request) -> dict[str, Any]:
    body = await read_object(request, oauth_refusal, "invalid_request")
    if "authorization" in request.headers:
        raise oauth_refusal(400, "invalid_request", "this endpoint takes no Authorization header")
    return body


def _check_fields(body: dict[str, Any], fields: set[str]) -> None:
    if body.keys() != fields or not all(isinstance(v, str) and v for v in body.values()):
        expected = ", ".join(sorted(fields))
        raise oauth_refusal(400, "invalid_request", f"exactly these texts are expected: {expected}")


def _granted(access_token: str, refresh_token: str | None = None) -> JSONResponse:
    answer = {"access_token": access_token}
    if refresh_token is not None:
        answer["refresh_token"] = refresh_token
    return JSONResponse(answer, headers=_NO_STORE)


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
