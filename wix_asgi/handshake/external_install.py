"""The external install flow: Wix's signed word for an install, proved by a first token.

Wix, "Set Up the External Install Flow". Nothing in it is good only once but the state: each
question may be repeated, and a token can be had again. So where Wix fails, the state is given back,
and the browser may load the same address again; nothing is kept in memory meanwhile.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

from wix_asgi.errors import (
    GrantRefused,
    HandshakeRefused,
    Reason,
    Unauthenticated,
    WixMisconfigured,
    WixUnavailable,
)
from wix_asgi.handshake._flows import FlowRun
from wix_asgi.handshake._install_proof import ProvenInstall, other_site
from wix_asgi.handshake._query import EXTERNAL, Query
from wix_asgi.models import AccessToken
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.answers import text_of
from wix_asgi.protocol.moments import read_moment
from wix_asgi.protocol.signed_instance import SignedInstances
from wix_asgi.reporting.line_limit import LineLimit
from wix_asgi.settings import WixSettings

__all__ = ["ExternalInstall"]

logger = logging.getLogger("wix_asgi")

_VISITORS: Final = frozenset({"MEMBER", "VISITOR"})
"""Kinds of subjects that every page of a site hands out proofs of; they have installed nothing."""

_PARTS: Final = 2
"""Parts of a signed instance, with a dot between them. Wix documents no form for the one of an
install; a value of another form, such as a JWT, is Wix's own to judge (token-info)."""


@dataclass(frozen=True, slots=True)
class _Site:
    """The installation that a signed instance states, and that of which it is a copy."""

    instance_id: str
    origin_instance_id: str | None = None
    claims: Mapping[str, Any] | None = field(default=None, repr=False)


class ExternalInstall:
    """Proves installs by a signed instance, for one app; shared by all callbacks.

    Whose instance it is decides nothing, since Wix does not say which permissions it has here; but
    an anonymous visitor's (`aid`) is refused: every page of a site hands those out.
    """

    parameters = EXTERNAL

    def __init__(
        self,
        settings: WixSettings,
        oauth: OAuthClient,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Ask through `oauth`; `now` gives seconds since the epoch."""
        self._app_id = settings.app_id
        self._max_age = settings.state_ttl
        self._signed = SignedInstances(settings)
        self._oauth = oauth
        self._now = now
        self._lines = LineLimit(math.inf)

    def refusal(self, query: Query) -> HandshakeRefused | None:
        """Return the refusal of a cancelled install, or of a proof that is not of this install.

        A callback without a signed instance is a cancelled install, since Wix documents no other.
        """
        if "error" in query or not query.get("signedInstance"):
            return HandshakeRefused(Reason.DENIED)
        if query.get("appId") != self._app_id:
            return _mismatch("the address names another app")
        if not query.get("instanceId") or not query.get("tenantId"):
            return _mismatch("the address names no site")
        if not _is_signed_instance(query):
            return None
        site = self._verified(query)
        return site if isinstance(site, HandshakeRefused) else _unless_named(query, site)

    async def prove(
        self, query: Query, run: FlowRun, turn: AbstractAsyncContextManager[None]
    ) -> ProvenInstall:
        """Get a first token for the site of the signed instance, and ask Wix which site it is."""
        async with turn:
            try:
                proven = await self._ask_wix(query)
            except WixUnavailable as exc:
                await run.use.give_back()
                # Whatever was sent, it may be repeated.
                raise WixUnavailable(exc.message, asked=exc.asked, unsent=True) from exc.__cause__
            run.note_grant()
        return proven

    async def _ask_wix(self, query: Query) -> ProvenInstall:
        site = self._verified(query) if _is_signed_instance(query) else await self._ask_whose(query)
        if isinstance(site, HandshakeRefused):
            raise site
        grant = await self._oauth.client_credentials(site.instance_id)
        origin = await self._check_site(grant.access_token, site, query["tenantId"])
        return ProvenInstall(
            site.instance_id, grant, origin or site.origin_instance_id, site.claims
        )

    def _verified(self, query: Query) -> _Site | HandshakeRefused:
        """Return the site that a genuine signed instance states, or why it is no proof."""
        try:
            identity = self._signed.verify(query["signedInstance"], self._now())
        except Unauthenticated as exc:
            return _mismatch(exc.message)
        broken = self._broken_rule(identity.claims)
        if broken is not None:
            return _mismatch(f"the signed instance {broken}")
        origin = text_of(identity.claims.get("originInstanceId"))
        if not self._signed.is_current(query["signedInstance"]):
            # A previous secret may have leaked: it installs, and begins no session (R57).
            return _Site(identity.instance_id, origin)
        # The secret is this app's, so it is of this app where it does not say so.
        return _Site(identity.instance_id, origin, {"appDefId": self._app_id, **identity.claims})

    def _broken_rule(self, claims: Any) -> str | None:
        """Return the first rule that the claims break; a date ahead of this host's counts as now.

        Neither `allowed_permissions` nor `instance_max_age` holds: these are for dashboard pages.
        """
        if claims.get("appDefId", self._app_id) != self._app_id:
            return "is of another app"
        if claims.get("aid") is not None or claims.get("siteMemberId") is not None:
            return "is a visitor's or a member's"
        if "signDate" in claims:
            signed_at = read_moment(claims["signDate"])
            if signed_at is None or self._now() - signed_at > self._max_age:
                return f"was not signed within {self._max_age} s"
        return None

    async def _ask_whose(self, query: Query) -> _Site | HandshakeRefused:
        """Ask Wix about a value that is no signed instance as it is known here."""
        info = await self._oauth.token_info(query["signedInstance"])
        if not info.active or info.client_id != self._app_id or info.instance_id is None:
            return _mismatch("Wix does not know the signed instance for this app's")
        if info.subject_type in _VISITORS:
            return _mismatch(f"the proof is a site's {info.subject_type}'s")
        site = _Site(info.instance_id)
        return _unless_named(query, site) or site

    async def _check_site(self, token: AccessToken, site: _Site, tenant_id: str) -> str | None:
        """Compare the site of a token with that of the address; return the origin of a copy."""
        try:
            found = await self._oauth.app_instance(token)
        except (GrantRefused, WixMisconfigured) as exc:
            raise _mismatch(f"Get App Instance was refused: {exc}") from exc
        if found is None:
            self._note_permission()
            return None
        if found.instance_id != site.instance_id or found.site_id != tenant_id:
            raise _mismatch("Get App Instance tells another installation or site")
        return found.origin_instance_id

    def _note_permission(self) -> None:
        if self._lines.admit("permission") is not None:
            logger.warning(
                "Wix refuses Get App Instance to this app (403), so the site in the address of an "
                "install is not compared: to have it compared, give the app the permission "
                '"Manage Your App" in its dashboard'
            )


def _is_signed_instance(query: Query) -> bool:
    return query["signedInstance"].count(".") == _PARTS - 1


def _unless_named(query: Query, site: _Site) -> HandshakeRefused | None:
    """Return the refusal of an address that names another installation than its proof."""
    if query["instanceId"] == site.instance_id:
        return None
    return other_site("signed instance", site.instance_id, query["instanceId"])


def _mismatch(message: str) -> HandshakeRefused:
    return HandshakeRefused(Reason.INSTANCE_MISMATCH, message)
