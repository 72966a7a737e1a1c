"""Wix's answer to Get App Instance: the app on one site, and that site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wix_asgi._http import httpx
from wix_asgi.errors import GrantRefused
from wix_asgi.protocol.answers import read_object, text_of

__all__ = ["AppInstance", "parse_app_instance"]

_FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True)
class AppInstance:
    """The fields of Get App Instance that are used here; None where the answer has none.

    Attributes:
        instance_id: The installation.
        site_id: The site of the installation; the `tenantId` of an external install.
        origin_instance_id: The installation of which this one is a copy.
    """

    instance_id: str | None
    site_id: str | None
    origin_instance_id: str | None


def parse_app_instance(response: httpx.Response) -> AppInstance | None:
    """Read the answer of Get App Instance; None where the app lacks the permission for it (403).

    Raises:
        GrantRefused: Wix refuses the question for another reason.
        WixMisconfigured: The app's own credentials are refused.
        WixUnavailable: Wix is failing.
    """
    try:
        body = read_object(response)
    except GrantRefused:
        if response.status_code == _FORBIDDEN:
            return None
        raise
    instance, site = body.get("instance"), body.get("site")
    instance = instance if isinstance(instance, dict) else {}
    site = site if isinstance(site, dict) else {}
    return AppInstance(
        text_of(instance.get("instanceId")),
        text_of(site.get("siteId")),
        text_of(instance.get("originInstanceId")),
    )
