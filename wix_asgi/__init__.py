"""Wix app installs, tokens and an authenticated httpx client for any ASGI app.

`app = WixMiddleware(app)` is all there is to it; `Wix` is the same for jobs without a request.
"""

from __future__ import annotations

from wix_asgi._version import __version__ as __version__
from wix_asgi.asgi.redaction import redact_query
from wix_asgi.client.client import WixClient, get_wix
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
from wix_asgi.models import Identity, Installation, Record
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage, open_storage
from wix_asgi.wix import Wix
from wix_asgi.wsgi import WixWSGIMiddleware

__all__ = [
    "AppInstalled",
    "AppRemoved",
    "AuthorizationConflict",
    "BackendNotFound",
    "CallerReason",
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
    "get_wix",
    "open_storage",
    "redact_query",
]
