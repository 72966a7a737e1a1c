"""Checks of single settings: each raises ValueError with the problem, and never shows the value.

Values come out of files, editors and `docker --env-file`, which leave quotes, a byte order mark or
the end of a line around them. These are dropped; any other damage is refused.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

__all__ = [
    "read_secure_url",
    "read_text",
    "read_texts",
    "read_utc",
    "refuse_loose_text",
    "refuse_placeholder",
    "refuse_weak_secret",
    "stripped",
    "uncovered",
]

_AROUND = re.compile(r"^[\s\ufeff]+|[\s\ufeff]+$")
_QUOTED = re.compile(r"""(["'])((?:(?!\1).)*)\1""", re.DOTALL)
_LINE_BREAK = re.compile(r"[\n\r\v\f\x85\u2028\u2029]")
_QUOTES: Final = tuple("\"'`\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb")
_REFERENCE_IN = re.compile(r"\$\{[^{}]*\}|\{\{[^{}]*\}\}")
"""References that shells, Compose, Helm, Ansible and GitHub Actions replace by a value."""

_REFERENCE = re.compile(
    r"\$[A-Z_][A-Z0-9_]+|\$\(.*\)|%[A-Z_][A-Z0-9_]*%|@Microsoft\.KeyVault\(.*\)"
    r"|(op|vault|ref\+[a-z]+)://.*|arn:aws:.*|(/var)?/run/secrets/.*"
)
"""References that a shell, `cmd.exe` or a keeper of secrets replaces, as a whole value."""

_PLACEHOLDER = re.compile(
    r"<.*>|\.{3}|…|x+|(change|replace)[-_ ]?(me|this)|todo|placeholder"
    r"|((your|my|the)[-_ ])?(wix[-_ ])?app[-_ ]?(id|secret([-_ ]?key)?)"
    r"|(your|my|the|app)[-_ ]?(id|secret)([-_ ](key|here))?|secret",
    re.IGNORECASE,
)
# Refused for secrets only: a generated secret never begins with these words, an app ID may.
_PHRASE = re.compile(r"(your|my|the)[-_ ].*", re.IGNORECASE)
_NOT_IN_URLS: Final = frozenset(' "<>\\^`{|}*')
"""No URL has them (RFC 3986, appendix A), but for the asterisk, which here means a wildcard."""

_NOT_IN_HOSTS: Final = frozenset("$%(),;'")
"""No domain name has them; they come from references such as `$HOST`, and lists of URLs."""

_MIN_SECRET_LENGTH: Final = 8
"""Characters. A shorter value was typed, or cut off when it was copied: Wix generates the keys."""


def stripped(value: str) -> str:
    """Return `value` without white space, a byte order mark and a pair of quotes around it."""
    text = _AROUND.sub("", value)
    quoted = _QUOTED.fullmatch(text)
    return _AROUND.sub("", quoted[2]) if quoted else text


def uncovered(value: Any) -> Any:
    """Return the text in a `SecretStr` or in bytes; any other object as it is."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bytes):
        # Bytes that are no UTF-8 become characters that do not show.
        return value.decode(errors="surrogateescape")
    return value


def read_text(value: Any) -> Any:
    """Return the text that `value` means, as `stripped` reads it; any other object as it is.

    Raises:
        ValueError: It has a character that does not show, the quote of a pair that was cut, or a
            reference such as `${NAME}`, for which nobody put the value in.
    """
    value = uncovered(value)
    if not isinstance(value, str):
        return value
    text = stripped(value)
    if _LINE_BREAK.search(text):
        raise ValueError("has a line break in it")
    if not text.isprintable():
        raise ValueError("has invisible characters")
    if text.startswith(_QUOTES) or text.endswith(_QUOTES):
        raise ValueError("has a quotation mark at one end")
    if _REFERENCE_IN.search(text):
        raise ValueError("has a reference in it that nobody replaced by its value")
    return text


def read_texts(value: Any) -> Any:
    """Return the texts that `value` lists, separated by commas, or as a real list.

    Raises:
        ValueError: As `read_text` raises it for a single text.
    """
    if isinstance(value, str):
        return tuple(read_text(part) for part in stripped(value).split(",") if stripped(part))
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(read_text(part) for part in value)
    return value


def refuse_weak_secret(value: str) -> None:
    """Raise ValueError for a placeholder, or a text that is too short for a secret."""
    refuse_placeholder(value)
    if _PHRASE.fullmatch(value):
        raise ValueError("is a placeholder")
    if len(value) < _MIN_SECRET_LENGTH:
        raise ValueError("is too short")
    refuse_loose_text(value)


def refuse_placeholder(value: str) -> None:
    """Raise ValueError for an empty text, or the placeholder of an example."""
    if not value:
        raise ValueError("is empty")
    if _PLACEHOLDER.fullmatch(value):
        raise ValueError("is a placeholder")
    if _REFERENCE.fullmatch(value):
        raise ValueError("is a reference that nobody replaced by its value")


def refuse_loose_text(value: str) -> None:
    """Raise ValueError for white space and letters that Wix's IDs and secrets never have."""
    if " " in value:
        raise ValueError("has white space in it")
    if not value.isascii():
        raise ValueError("has characters outside ASCII")
    if value.endswith(("\\n", "\\r")):
        raise ValueError("ends in an escaped line break")


def read_secure_url(value: str) -> SplitResult:
    """Read an https URL, or http on loopback, without user, password and wildcard.

    Raises:
        ValueError: The value is no such URL.
    """
    if not _NOT_IN_URLS.isdisjoint(value):
        raise ValueError("is not a plain URL")
    try:
        url = urlsplit(value)
        host, _port = url.hostname, url.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if not host:
        raise ValueError("must begin with https:// and a host")
    if not _NOT_IN_HOSTS.isdisjoint(host):
        raise ValueError("has no plain host")
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
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("is not a time in ISO 8601") from None
