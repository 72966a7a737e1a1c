"""The echo: an answer with the call itself, for tests of how a call arrives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wix_asgi.testing.fake_wix._wire import api_refusal, parse_json
from wix_asgi.testing.fake_wix.calls import Call
from wix_asgi.testing.fake_wix.world import World

__all__ = ["echo_of"]


def echo_of(world: World) -> Callable[[Call, Request], Awaitable[Response]]:
    """Return the function that answers with a call, and with its site in `world`."""

    async def respond(call: Call, request: Request) -> Response:
        return JSONResponse(
            {
                "method": request.method,
                "path": request.url.path,
                "query": _query(request),
                "instanceId": call.instance_id,
                "siteDisplayName": world.sites[call.instance_id or ""],
                "headers": {k: v for k, v in request.headers.items() if k != "authorization"},
                "body": _body(request.headers.get("content-type", ""), await request.body()),
            }
        )

    return respond


def _query(request: Request) -> dict[str, str | list[str]]:
    values: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(request.url.query, keep_blank_values=True):
        before = values.get(name)
        if before is None:
            values[name] = value
        else:
            values[name] = [*(before if isinstance(before, list) else [before]), value]
    return values


def _body(content_type: str, body: bytes) -> Any:
    if content_type.partition(";")[0].strip().lower() == "application/json":
        try:
            return parse_json(body)
        except ValueError as exc:
            raise api_refusal(400, "INVALID_ARGUMENT", "the body is not JSON") from exc
    return body.decode(errors="replace") if body else None
