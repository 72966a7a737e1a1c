"""Formats on the wire: queries and JSON, which are read strictly, and Wix's refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import JSONResponse

__all__ = [
    "MalformedQuery",
    "Refusal",
    "add_query",
    "api_refusal",
    "oauth_refusal",
    "parse_json",
    "parse_query",
    "read_authorization",
    "read_object",
]


class Refusal(Exception):
    """An answer that ends the handling of a request."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.body = body
        super().__init__(f"{status} {body}")

    def response(self) -> JSONResponse:
        """Return the response to send."""
        return JSONResponse(dict(self.body), self.status)


class MalformedQuery(ValueError):
    """A query with a repeated parameter, an unknown parameter, or an empty value."""


def oauth_refusal(status: int, error: str, description: str) -> Refusal:
    """Return a refusal in the shape of RFC 6749, 5.2."""
    return Refusal(status, {"error": error, "error_description": description})


def api_refusal(status: int, code: str, description: str) -> Refusal:
    """Return a refusal in the shape of Wix's APIs."""
    error = {"code": code, "description": description, "data": {}}
    return Refusal(status, {"message": description, "details": {"applicationError": error}})


def parse_query(query: str, *, known: Collection[str]) -> dict[str, str]:
    """Read a query of `known` parameters, each at most once and none of them empty.

    Raises:
        MalformedQuery: A parameter is unknown, repeated or empty.
    """
    pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    values = dict(pairs)
    if len(values) != len(pairs):
        raise MalformedQuery("a parameter is repeated")
    if unknown := sorted(values.keys() - set(known)):
        raise MalformedQuery(f"unknown parameter: {', '.join(unknown)}")
    if empty := [name for name, value in values.items() if not value]:
        raise MalformedQuery(f"empty parameter: {', '.join(empty)}")
    return values


def add_query(url: str, **parameters: str) -> str:
    """Return `url` with `parameters` appended to its query."""
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode(parameters)]))
    return urlunsplit(parts._replace(query=query))


def parse_json(body: bytes) -> Any:
    """Read JSON (RFC 8259), and no more than JSON: no name twice, no NaN.

    Raises:
        ValueError: It is anything else.
    """
    return json.loads(body, object_pairs_hook=_unique, parse_constant=_no_constant)


def read_authorization(request: Request) -> str:
    """Return the value of the only Authorization header.

    Raises:
        Refusal: There is none, or there are several.
    """
    values = request.headers.getlist("authorization")
    if len(values) != 1:
        raise api_refusal(
            401,
            "UNAUTHENTICATED",
            "one Authorization header is expected; a page needs Accept: text/html",
        )
    return values[0]


async def read_object(
    request: Request, refusal: Callable[[int, str, str], Refusal], code: str
) -> dict[str, Any]:
    """Read the JSON object in the body; `refusal` and `code` make the answer where there is none.

    Raises:
        Refusal: The body is not said to be JSON (415), or is none (400).
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise refusal(415, code, "the body must be application/json")
    try:
        value = parse_json(await request.body())
    except ValueError as exc:
        raise refusal(400, code, "the body is not JSON") from exc
    if not isinstance(value, dict):
        raise refusal(400, code, "the body must be a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name is repeated")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
