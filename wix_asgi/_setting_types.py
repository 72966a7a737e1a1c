"""The types of settings, each with the checks of its values."""

from __future__ import annotations

import os
import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_core.core_schema import ValidationInfo
from pydantic_settings import NoDecode

from wix_asgi._setting_checks import (
    read_secure_url,
    read_utc,
    refuse_loose_text,
    refuse_placeholder,
    refuse_weak_secret,
    stripped,
    uncovered,
)
from wix_asgi._setting_sources import StorageURL
from wix_asgi.errors import BackendNotFound, SettingsError
from wix_asgi.models import InstallFlow
from wix_asgi.sealing.keys import parse_key
from wix_asgi.sealing.public_keys import read_public_keys

__all__ = [
    "AppID",
    "AppName",
    "AppSecret",
    "AppSecrets",
    "EncryptionKeys",
    "Names",
    "NextPage",
    "OwnPath",
    "PublicKeys",
    "SecureURL",
    "StorageText",
    "SupportURL",
    "Time",
    "read_keys",
]

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")
_MAIL_ADDRESS = re.compile(r"mailto:[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+(\?[^\s\"<>]*)?")
_MAX_APP_NAME = 80
"""Characters: two lines of a page on a phone."""

_PATHS = ("install_path", "callback_path", "webhook_path")


def read_keys(value: Any) -> Any:
    """Return the public keys in a text or a list of texts, as `read_public_keys` gives them.

    Raises:
        ValueError: A text is a placeholder, or none of its keys fits.
    """
    texts = [uncovered(each) for each in (value if isinstance(value, list | tuple) else [value])]
    if not all(isinstance(text, str) for text in texts):
        return value
    for text in texts:
        refuse_placeholder(stripped(text))
    return read_public_keys(stripped(text) for text in texts)


def _check_app_id(value: str) -> str:
    refuse_placeholder(value)
    refuse_loose_text(value)
    return value


def _check_app_secret(value: SecretStr) -> SecretStr:
    refuse_weak_secret(value.get_secret_value())
    return value


def _check_app_secrets(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for secret in value:
        refuse_weak_secret(secret.get_secret_value())
    return value


def _check_names(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not all(value):
        raise ValueError("is empty")
    return value


def _check_keys(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for key in value:
        parse_key(key.get_secret_value())
    return value


def _check_url(value: str) -> str:
    if "?" in value or "#" in value:
        raise ValueError("must not have a query or a fragment")
    return read_secure_url(value).geturl().rstrip("/")


def _check_path(value: str, info: ValidationInfo) -> str:
    if not _PATH.fullmatch(value) or "/." in value:
        raise ValueError("must begin with / and have plain segments only")
    for other in _PATHS:
        if value == info.data.get(other):
            raise ValueError(f"must not be the same as {other}")
    return value


def _check_storage(value: SecretStr) -> SecretStr:
    url = StorageURL(value.get_secret_value())
    try:
        # Only the backend can tell whether it understands the rest of the URL.
        _ = url.backend
    except (BackendNotFound, SettingsError) as exc:
        raise ValueError(exc.message) from None
    if url.get_secret_value().lower().startswith("memory://") and _web_concurrency() > 1:
        raise ValueError(
            "memory:// cannot serve several workers (WEB_CONCURRENCY is above 1): "
            "each would have its own installations"
        )
    return url


def _web_concurrency() -> int:
    try:
        return int(os.environ.get("WEB_CONCURRENCY", "1"))
    except ValueError:
        return 1


def _choose_next_page(value: Any, info: ValidationInfo) -> Any:
    # Only the old flow opens a window that is to be closed.
    chosen = "close" if info.data.get("flow") is InstallFlow.ADVANCED else "/"
    return chosen if value is None else value


def _check_next_page(value: str) -> str:
    if value == "close":
        return value
    if value.startswith("/"):
        if value.startswith(("//", "/\\")):
            raise ValueError("must be a path of this app")
        return value
    read_secure_url(value)
    return value


def _check_app_name(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    if len(value) > _MAX_APP_NAME:
        raise ValueError("is too long")
    return value


def _check_support_url(value: str) -> str:
    if not value.startswith("mailto:"):
        read_secure_url(value)
    elif not _MAIL_ADDRESS.fullmatch(value):
        raise ValueError("must have one plain address after mailto:")
    return value


AppID = Annotated[str, AfterValidator(_check_app_id)]
AppName = Annotated[str, AfterValidator(_check_app_name)]
AppSecret = Annotated[SecretStr, AfterValidator(_check_app_secret)]
AppSecrets = Annotated[tuple[SecretStr, ...], NoDecode, AfterValidator(_check_app_secrets)]
EncryptionKeys = Annotated[tuple[SecretStr, ...], NoDecode, AfterValidator(_check_keys)]
Names = Annotated[tuple[str, ...], NoDecode, AfterValidator(_check_names)]
NextPage = Annotated[str, BeforeValidator(_choose_next_page), AfterValidator(_check_next_page)]
OwnPath = Annotated[str, AfterValidator(_check_path)]
PublicKeys = Annotated[tuple[str, ...], NoDecode]
"""Checked as they are read, by `read_public_keys`."""

SecureURL = Annotated[str, AfterValidator(_check_url)]
StorageText = Annotated[SecretStr, AfterValidator(_check_storage)]
SupportURL = Annotated[str, AfterValidator(_check_support_url)]
Time = Annotated[datetime | None, BeforeValidator(read_utc)]
