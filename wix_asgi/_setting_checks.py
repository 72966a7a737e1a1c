"""Checks of single settings: each raises ValueError with the problem, and never shows the value."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import SplitResult, urlsplit

__all__ = ["read_secure_url", "read_utc", "refuse_placeholder", "refuse_weak_secret"]

_PLACEHOLDER = re.compile(
    r"<.*>|\$\{.*\}|\.{3}|…|x+|change[-_ ]?me|todo|placeholder"
    r"|((your|my|the)[-_ ])?(wix[-_ ])?app[-_ ]?(id|secret([-_ ]?key)?)"
    r"|(your|my|the|app)[-_ ]?(id|secret)([-_ ](key|here))?|secret",
    re.IGNORECASE,
)
# Refused for secrets only: a generated secret never begins with these words, an app ID may.
_PHRASE = re.compile(r"(your|my|the)[-_ ].*", re.IGNORECASE)
_MIN_SECRET_LENGTH: Final = 8
"""Characters. A shorter value was typed, or cut off when it was copied: Wix generates the keys."""


def refuse_weak_secret(value: str) -> None:
    """Raise ValueError for a placeholder, or a text that is too short for a secret."""
    refuse_placeholder(value)
    if _PHRASE.fullmatch(value):
        raise ValueError("is a placeholder")
    if len(value.strip()) < _MIN_SECRET_LENGTH:
        raise ValueError("is too short")


def refuse_placeholder(value: str) -> None:
    """Raise ValueError for an empty text, or the placeholder of an example."""
    if not value:
        raise ValueError("is empty")
    if _PLACEHOLDER.fullmatch(value):
        raise ValueError("is a placeholder")


def read_secure_url(value: str) -> SplitResult:
    """Read an https URL, or http on loopback, without user, password and wildcard.

    Raises:
        ValueError: The value is no such URL.
    """
    if not value.isprintable() or " " in value or "\\" in value or "*" in value:
        raise ValueError("is not a plain URL")
    try:
        url = urlsplit(value)
        host, _port = url.hostname, url.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if not host:
        raise ValueError("must begin with https:// and a host")
    if url.username is not None or url.password is not None:
        raise ValueError("must not have a user name or password in it")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(host)):
        raise ValueError("must be https, or http on loopback")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def read_utc(value: object) -> datetime:
    """Read a moment in UTC: ISO 8601 with `Z`, with `+00:00` or without an offset, or a datetime.

    Another offset is refused, since its author may not expect it to be counted.

    Raises:
        ValueError: The value is no such moment.
    """
    moment = value if isinstance(value, datetime) else _read_iso(value)
    if moment.utcoffset() not in {None, timedelta(0)}:
        raise ValueError("must be in UTC")
    return moment.replace(tzinfo=UTC)


def _read_iso(value: object) -> datetime:
    try:
        return datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError("is not a time in ISO 8601") from None
