"""Codes, refresh tokens and access tokens: granted, spent, refreshed, revoked.

A grant is the result of one consent: a code, the refresh token it is exchanged for, and every
access token obtained with it. Revoking a grant ends all of them.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from dataclasses import dataclass
from typing import Final, Literal

from itsdangerous import BadSignature, URLSafeSerializer

from wix_asgi.sealing.keys import derive_key
from wix_asgi.testing.fake_wix._installations import Installations
from wix_asgi.testing.fake_wix._wire import Refusal, oauth_refusal
from wix_asgi.testing.fake_wix.world import CLIENT_CREDENTIALS_SECONDS, World, owner_id

__all__ = [
    "ACCESS_TOKEN_SECONDS",
    "CODE_SECONDS",
    "AccessGrant",
    "Grants",
    "SubjectType",
]

SubjectType = Literal["APP", "USER", "MEMBER", "VISITOR"]
"""Whose rights an access token has, in the words of token-info."""

# Seconds: the ten minutes that Wix documents for a code, the longest that RFC 6749, 4.1.2, allows.
CODE_SECONDS: Final = 600.0

# Seconds: the shorter of the two lifetimes that Wix's pages state (five and ten minutes).
ACCESS_TOKEN_SECONDS: Final = 300.0

_PREFIX: Final = "OAUTH2."

# Random bytes; in base64url with the prefix they are 4718 characters, the length seen of Wix.
_CODE_BYTES: Final = 3533


@dataclass(slots=True)
class _Code:
    instance_id: str
    grant_id: str
    expires_at: float
    spent: bool = False


@dataclass(slots=True)
class _Grant:
    instance_id: str
    serial: int


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """The rights of an access token, and its lifetime in seconds since the epoch.

    Attributes:
        instance_id: The installation; None for a token of an account, without a site.
        subject_type: Whose rights it has: the app's, a Wix user's, a site member's or a visitor's.
        subject_id: The ID of the app, user, member or visitor.
        client_id: The ID of the app that it was issued to.
        issued_at: The moment from which it is live.
        expires_at: The moment from which it is not.
        grant_id: The consent that it comes from; empty for a token without a refresh token.
    """

    instance_id: str | None
    subject_type: SubjectType
    subject_id: str
    client_id: str
    issued_at: float
    expires_at: float
    grant_id: str = ""


class Grants:
    """The grants of a fake Wix, and its installations; safe to be used from several threads.

    A refresh token is signed content, so that it outlives the object that issued it: another fake
    Wix with the same app ID and secret accepts it, unless the app was uninstalled there.
    """

    def __init__(self, world: World) -> None:
        self.installations = Installations(world)
        self._world = world
        self._lock = threading.RLock()
        key = derive_key(world.app_secret, f"fake refresh tokens of {world.app_id}")
        self._serializer = URLSafeSerializer(key)
        self._codes: dict[str, _Code] = {}
        self._grants: dict[str, _Grant] = {}
        self._access: dict[str, AccessGrant] = {}
        self._kept = 0  # tokens that were live when the expired ones were last forgotten
        self._revoked: set[str] = set()

    def client_credentials(self, instance_id: str | None) -> str:
        """Return an access token by the app's own credentials.

        It lives for the time that the answer tells, or four hours. The token of no installation
        opens nothing, as seen of Wix.

        Raises:
            Refusal: The app is not on this site, or was not moved to client credentials.
        """
        world = self._world
        if not world.admits_client_credentials:
            why = "the app uses custom authentication, and was not moved to client credentials"
            raise oauth_refusal(400, "unauthorized_client", why)
        if instance_id is not None:
            self._check_installed(instance_id)
        told = world.expires_in
        is_sane = type(told) in {int, float} and 0 < told <= CLIENT_CREDENTIALS_SECONDS
        return self.issue_access_token(
            instance_id, seconds=told if is_sane else CLIENT_CREDENTIALS_SECONDS
        )

    def issue_code(self, instance_id: str) -> str:
        """Return a code for one exchange within ten minutes."""
        code = f"{_PREFIX}{secrets.token_urlsafe(_CODE_BYTES)}"
        expires_at = self._world.clock.now() + CODE_SECONDS
        with self._lock:
            self._codes[code] = _Code(instance_id, secrets.token_hex(8), expires_at)
        return code

    def issue_refresh_token(self, instance_id: str) -> str:
        """Return a refresh token of a new grant."""
        with self._lock:
            return self._begin(instance_id, secrets.token_hex(8))

    def issue_access_token(
        self,
        instance_id: str | None,
        *,
        grant_id: str = "",
        subject_type: SubjectType = "APP",
        subject_id: str | None = None,
        client_id: str | None = None,
        seconds: float = ACCESS_TOKEN_SECONDS,
    ) -> str:
        """Return an access token that lives for this time; None for an ID means the usual one."""
        client_id = client_id or self._world.app_id
        now = self._world.clock.now()
        grant = AccessGrant(
            instance_id,
            subject_type,
            subject_id or _subject_id(subject_type, client_id, instance_id),
            client_id,
            now,
            now + seconds,
            grant_id,
        )
        token = f"OauthNG.JWS.{secrets.token_urlsafe(300)}"
        with self._lock:
            self._forget_expired(now)
            self._access[token] = grant
        return token

    def exchange(self, code: str) -> tuple[str, str]:
        """Spend a code for an access token and a refresh token.

        Raises:
            Refusal: The code is unknown, expired, or spent; a spent code revokes its grant.
        """
        with self._lock:
            entry = self._codes.get(code)
            if entry is None or entry.grant_id in self._revoked:
                raise _invalid_grant("unknown code")
            if entry.spent:
                self._revoke(entry.grant_id)
                raise _invalid_grant("the code was used before: what it gave is revoked")
            if self._world.clock.now() >= entry.expires_at:
                raise _invalid_grant("the code has expired")
            entry.spent = True
            refresh_token = self._begin(entry.instance_id, entry.grant_id)
            return self.issue_access_token(
                entry.instance_id, grant_id=entry.grant_id
            ), refresh_token

    def refresh(self, refresh_token: str) -> tuple[str, str]:
        """Return a new access token, and the refresh token to be used from now on.

        Raises:
            Refusal: The refresh token is unknown, revoked, or was rotated before, which revokes
                its grant.
        """
        with self._lock:
            instance_id, grant_id, serial = self._read(refresh_token)
            grant = self._known(instance_id, grant_id, serial)
            if serial != grant.serial:
                self._revoke(grant_id)
                raise _invalid_grant("the refresh token was used before: its grant is revoked")
            if self._world.rotate_refresh_tokens:
                grant.serial += 1
                refresh_token = self._signed(instance_id, grant_id, grant.serial)
            return self.issue_access_token(instance_id, grant_id=grant_id), refresh_token

    def live(self, access_token: str) -> AccessGrant | None:
        """Return the rights of a live access token, or None."""
        with self._lock:
            grant = self._access.get(access_token)
        return grant if grant and self._world.clock.now() < grant.expires_at else None

    def of_app(self, access_token: str) -> AccessGrant | None:
        """Return the rights of a live access token of the app itself, or None."""
        grant = self.live(access_token)
        is_ours = grant and (grant.subject_type, grant.client_id) == ("APP", self._world.app_id)
        return grant if is_ours else None

    def uninstall(self, instance_id: str) -> None:
        """End this installation, and every code and token of it."""
        self._end_tokens(instance_id)
        self.installations.remove(instance_id)

    def delete(self, instance_id: str) -> None:
        """End this installation with its site, and every code and token of it."""
        self._end_tokens(instance_id)
        self.installations.forget(instance_id)

    def expire_access_tokens(self, instance_id: str | None = None) -> None:
        """End the access tokens of this installation, or of all installations."""
        with self._lock:
            for token, grant in list(self._access.items()):
                if instance_id in {None, grant.instance_id}:
                    del self._access[token]

    def _end_tokens(self, instance_id: str) -> None:
        with self._lock:
            entries: list[_Code | AccessGrant] = [*self._codes.values(), *self._access.values()]
            ended = {entry.grant_id for entry in entries if entry.instance_id == instance_id}
            grants = self._grants.items()
            ended |= {grant_id for grant_id, grant in grants if grant.instance_id == instance_id}
            for grant_id in ended - {""}:
                self._revoke(grant_id)
            self.expire_access_tokens(instance_id)

    def _begin(self, instance_id: str, grant_id: str) -> str:
        self.installations.add(instance_id)
        self._grants[grant_id] = _Grant(instance_id, serial=0)
        return self._signed(instance_id, grant_id, 0)

    def _check_installed(self, instance_id: str) -> None:
        installation = self.installations.get(instance_id)
        if installation is None:
            raise oauth_refusal(404, "not_found", "app not found in any meta-site")
        if not installation.is_installed:
            status, error = self._world.uninstalled_refusal
            raise oauth_refusal(status, error, "app not found in any meta-site")

    def _known(self, instance_id: str, grant_id: str, serial: int) -> _Grant:
        if grant_id in self._revoked:
            raise _invalid_grant("the refresh token is revoked")
        if grant_id not in self._grants:
            before = self.installations.get(instance_id)
            if before is not None and before.was_uninstalled:
                raise _invalid_grant("the app was uninstalled")
            self.installations.add(instance_id, is_told=False)
            self._world.sites.setdefault(instance_id, f"Site {instance_id[:8]}")
            self._grants[grant_id] = _Grant(instance_id, serial)
        return self._grants[grant_id]

    def _revoke(self, grant_id: str) -> None:
        self._revoked.add(grant_id)
        self._grants.pop(grant_id, None)
        for token, grant in list(self._access.items()):
            if grant.grant_id == grant_id:
                del self._access[token]

    def _forget_expired(self, now: float) -> None:
        # Only where the tokens have doubled, so that each is looked at a few times in all.
        if len(self._access) < 2 * self._kept:
            return
        for token, grant in list(self._access.items()):
            if now >= grant.expires_at:
                del self._access[token]
        self._kept = len(self._access)

    def _signed(self, instance_id: str, grant_id: str, serial: int) -> str:
        signed = self._serializer.dumps([instance_id, grant_id, serial, secrets.token_hex(16)])
        return f"{_PREFIX}{signed!s}"

    def _read(self, refresh_token: str) -> tuple[str, str, int]:
        prefix, _, signed = refresh_token.partition(_PREFIX)
        try:
            payload = self._serializer.loads("" if prefix else signed)
        except (BadSignature, UnicodeError) as exc:
            raise _invalid_grant("unknown refresh token") from exc
        instance_id, grant_id, serial, _ = payload
        return instance_id, grant_id, serial


def _subject_id(subject_type: SubjectType, client_id: str, instance_id: str | None) -> str:
    if subject_type == "APP":
        return client_id
    if subject_type == "USER":
        return owner_id(instance_id or "")
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"fake-wix:{subject_type}:{instance_id}"))


def _invalid_grant(description: str) -> Refusal:
    return oauth_refusal(400, "invalid_grant", description)
