"""Wix's answer to Get App Instance: the app on one site, and that site."""

from __future__ import annotations

from dataclasses import dataclass

from wix_asgi._http import httpx
from wix_asgi.protocol.answers import read_object, text_of

__all__ = ["AppInstance", "parse_app_instance"]


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


def parse_app_instance(response: httpx.Response) -> AppInstance:
    """Read the answer of Get App Instance.

    Raises:
        GrantRefused: Wix refuses the question; a 403 says that the app lacks the permission.
        WixMisconfigured: The app's own credentials are refused.
        WixUnavailable: Wix is failing.
    """
    body = read_object(response)
    instance, site = body.get("instance"), body.get("site")
    instance = instance if isinstance(instance, dict) else {}
    site = site if isinstance(site, dict) else {}
    return AppInstance(
        text_of(instance.get("instanceId")),
        text_of(site.get("siteId")),
        text_of(instance.get("originInstanceId")),
    )
