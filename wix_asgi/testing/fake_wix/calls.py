"""The log of the requests to a fake Wix."""

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
    """A request to a fake Wix; fields that may hold a secret are left out of its repr.

    Attributes:
        method: The method, in capitals.
        path: The path of the request, percent-decoded.
        query: The parameters; a repeated parameter has its last value.
        headers: The headers, by names in lower case; a repeated header has its values joined by
            commas.
        json: The body if it is JSON; else None.
        status: The status of the answer; 0 while there is no answer, and when it was lost.
        instance_id: The site whose live access token the request had; None if it had no such token.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    json: Any = field(repr=False)
    status: int = 0
    instance_id: str | None = field(default=None, repr=False)

    @classmethod
    def from_scope(cls, scope: Scope, body: bytes) -> Call:
        """Return the call of an ASGI scope and its whole body, as yet without a site."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return cls(scope["method"], scope["path"], dict(query), _headers(scope), _json(body))

    def has(self, json_fields: Mapping[str, Any]) -> bool:
        """Return whether the body is a JSON object that contains all of `json_fields`."""
        if not json_fields:
            return True
        body = self.json if isinstance(self.json, dict) else {}
        return all(name in body and body[name] == json_fields[name] for name in json_fields)


class CallLog:
    """Calls in the order of their arrival; safe to be written from several threads."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Append a call that has arrived."""
        with self._lock:
            self.calls.append(call)

    def answered(self, call: Call, status: int) -> None:
        """Record the status with which `call` was answered."""
        with self._lock:
            for index in range(len(self.calls) - 1, -1, -1):
                if self.calls[index] is call:
                    self.calls[index] = replace(call, status=status)
                    return

    def count(self, path: str, json_fields: Mapping[str, Any]) -> int:
        """Return the number of calls to `path` with `json_fields` in their body."""
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
