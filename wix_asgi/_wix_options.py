"""The keywords of `Wix` and `WixMiddleware`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypedDict

from wix_asgi._http import httpx
from wix_asgi.hooks import Hook
from wix_asgi.identity.callers import ResolveIdentity
from wix_asgi.storage import Storage

__all__ = ["WixOptions"]


class WixOptions(TypedDict, total=False):
    """The keywords of `Wix` and `WixMiddleware`; README.md has them in a table."""

    app_id: str
    app_secret: str
    previous_app_secrets: list[str]
    previous_secrets_until: str | datetime
    public_url: str
    storage: str | Storage
    flow: str
    install_path: str
    callback_path: str
    webhook_path: str
    public_key: str | list[str]
    encryption_keys: list[str]
    after_install: str
    finish_setup: bool
    recover: bool
    state_ttl: int
    share_url_id: str
    allowed_permissions: list[str]
    allowed_subjects: list[str]
    session: bool
    instance_max_age: int
    webhooks: Literal["run", "store"]
    webhook_concurrency: int
    token_cache: int
    app_name: str
    support_url: str
    wix_url: str
    api_url: str
    on_install: Hook
    on_uninstall: Hook
    on_error: Hook
    resolve_identity: ResolveIdentity
    transport: httpx.AsyncBaseTransport
