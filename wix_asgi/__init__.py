"""Wix app installs, tokens and an authenticated httpx client for any ASGI or WSGI app.

`app = WixMiddleware(app)` is all there is to it; `Wix` is the same for jobs without a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wix_asgi._version import __version__ as __version__

if TYPE_CHECKING:
    from wix_asgi.asgi.redaction import redact_query
    from wix_asgi.client.client import WixClient, get_wix
    from wix_asgi.client.refusals import answer_refusal
    from wix_asgi.client.sync_client import SyncWixClient
    from wix_asgi.errors import (
        AuthorizationConflict,
        BackendNotFound,
        CallerReason,
        GrantRefused,
        HandshakeRefused,
        LeaseLost,
        MiddlewareMissing,
        NotInstalled,
        Reason,
        RequestRefused,
        ResponseTooLarge,
        SettingsError,
        StorageUnavailable,
        Unauthenticated,
        UnknownKey,
        UnsealError,
        WixError,
        WixMisconfigured,
        WixUnavailable,
    )
    from wix_asgi.events import (
        AppInstalled,
        AppRemoved,
        PaidPlanAutoRenewalCancelled,
        PaidPlanChanged,
        PaidPlanPurchased,
        PlanConvertedToPaid,
        PlanReactivated,
        PlanTransferred,
        WebhookEvent,
    )
    from wix_asgi.middleware import WixMiddleware
    from wix_asgi.models import Finding, Identity, Installation, Record
    from wix_asgi.settings import WixSettings
    from wix_asgi.storage import Storage, open_storage
    from wix_asgi.wix import Wix
    from wix_asgi.wsgi import WixWSGIMiddleware
else:
    from importlib import import_module as _import_module

    # The middleware with all that it needs takes a third of a second to load, an error nothing.
    _HOMES = {
        "redact_query": "wix_asgi.asgi.redaction",
        "WixClient": "wix_asgi.client.client",
        "get_wix": "wix_asgi.client.client",
        "answer_refusal": "wix_asgi.client.refusals",
        "SyncWixClient": "wix_asgi.client.sync_client",
        "AuthorizationConflict": "wix_asgi.errors",
        "BackendNotFound": "wix_asgi.errors",
        "CallerReason": "wix_asgi.errors",
        "GrantRefused": "wix_asgi.errors",
        "HandshakeRefused": "wix_asgi.errors",
        "LeaseLost": "wix_asgi.errors",
        "MiddlewareMissing": "wix_asgi.errors",
        "NotInstalled": "wix_asgi.errors",
        "Reason": "wix_asgi.errors",
        "RequestRefused": "wix_asgi.errors",
        "ResponseTooLarge": "wix_asgi.errors",
        "SettingsError": "wix_asgi.errors",
        "StorageUnavailable": "wix_asgi.errors",
        "Unauthenticated": "wix_asgi.errors",
        "UnknownKey": "wix_asgi.errors",
        "UnsealError": "wix_asgi.errors",
        "WixError": "wix_asgi.errors",
        "WixMisconfigured": "wix_asgi.errors",
        "WixUnavailable": "wix_asgi.errors",
        "AppInstalled": "wix_asgi.events",
        "AppRemoved": "wix_asgi.events",
        "PaidPlanAutoRenewalCancelled": "wix_asgi.events",
        "PaidPlanChanged": "wix_asgi.events",
        "PaidPlanPurchased": "wix_asgi.events",
        "PlanConvertedToPaid": "wix_asgi.events",
        "PlanReactivated": "wix_asgi.events",
        "PlanTransferred": "wix_asgi.events",
        "WebhookEvent": "wix_asgi.events",
        "WixMiddleware": "wix_asgi.middleware",
        "Finding": "wix_asgi.models",
        "Identity": "wix_asgi.models",
        "Installation": "wix_asgi.models",
        "Record": "wix_asgi.models",
        "WixSettings": "wix_asgi.settings",
        "Storage": "wix_asgi.storage",
        "open_storage": "wix_asgi.storage",
        "Wix": "wix_asgi.wix",
        "WixWSGIMiddleware": "wix_asgi.wsgi",
    }

    def __getattr__(name: str) -> object:
        """Import a public name, or a module at the top, when it is first asked for (PEP 562)."""
        if name in _HOMES:
            value = getattr(_import_module(_HOMES[name]), name)
        elif f"{__name__}.{name}" in _HOMES.values():
            value = _import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "AppInstalled",
    "AppRemoved",
    "AuthorizationConflict",
    "BackendNotFound",
    "CallerReason",
    "Finding",
    "GrantRefused",
    "HandshakeRefused",
    "Identity",
    "Installation",
    "LeaseLost",
    "MiddlewareMissing",
    "NotInstalled",
    "PaidPlanAutoRenewalCancelled",
    "PaidPlanChanged",
    "PaidPlanPurchased",
    "PlanConvertedToPaid",
    "PlanReactivated",
    "PlanTransferred",
    "Reason",
    "Record",
    "RequestRefused",
    "ResponseTooLarge",
    "SettingsError",
    "Storage",
    "StorageUnavailable",
    "SyncWixClient",
    "Unauthenticated",
    "UnknownKey",
    "UnsealError",
    "WebhookEvent",
    "Wix",
    "WixClient",
    "WixError",
    "WixMiddleware",
    "WixMisconfigured",
    "WixSettings",
    "WixUnavailable",
    "WixWSGIMiddleware",
    "answer_refusal",
    "get_wix",
    "open_storage",
    "redact_query",
]
