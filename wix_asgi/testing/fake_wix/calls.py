"""What a fake Wix was asked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Scope

from wix_asgi.testing.fake_wix._wire import parse_json

__all__ = ["Call", "CallLog", "same_path"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a fake Wix; what may hold a secret is out of its repr.

    Attributes:
        method: In capitals.
        path: As it was asked, percent-decoded.
        query: Of a parameter that came twice, the last value.
        headers: Names in lower case; of a header that came twice, both values with a comma.
        json: The body, where it is JSON; else None.
        status: What it was answered with; 0 while there is no answer, and when that was lost.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    json: Any = field(repr=False)
    status: int = 0

    @classmethod
    def from_scope(cls, scope: Scope, body: bytes) -> Call:
        """Return the call that an ASGI scope and its whole body make."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return cls(scope["method"], scope["path"], dict(query), _headers(scope), _json(body))

    def has(self, json_fields: Mapping[str, Any]) -> bool:
        """Return whether the body is a JSON object with all of `json_fields` in it."""
        if not json_fields:
            return True
        body = self.json if isinstance(self.json, dict) else {}
        return all(name in body and body[name] == json_fields[name] for name in json_fields)


class CallLog:
    """Calls in the order they came in; may be written from several threads."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Note a call that has come in."""
        with self._lock:
            self.calls.append(call)

    def answered(self, call: Call, status: int) -> None:
        """Note how `call` was answered."""
        with self._lock:
            for index in range(len(self.calls) - 1, -1, -1):
                if self.calls[index] is call:
                    self.calls[index] = replace(call, status=status)
                    return

    def count(self, path: str, json_fields: Mapping[str, Any]) -> int:
        """Return how many calls to `path` had `json_fields` in their body."""
        with self._lock:
            return sum(same_path(call.path, path) and call.has(json_fields) for call in self.calls)


def same_path(one: str, other: str) -> bool:
    """Return whether two paths are the same but for a slash at the end."""
    return one.rstrip("/") == other.rstrip("/")


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _json(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ValueError:
        return None
