"""An app that makes the two mistakes which only a page inside of Wix shows."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

__all__ = ["app"]


async def begin(_: Request) -> Response:
    """Set a cookie with the default of most frameworks, and one that is made for frames."""
    answer = RedirectResponse("/who")
    answer.set_cookie("lax", "1", samesite="lax")
    answer.headers.append("set-cookie", "framed=1; SameSite=None; Secure; Partitioned")
    return answer


async def who(request: Request) -> Response:
    """Tell which cookies came back."""
    return PlainTextResponse(f"cookies: {sorted(request.cookies)}")


async def denied(_: Request) -> Response:
    """Forbid to be framed, as Django does by default."""
    return PlainTextResponse("never seen", headers={"X-Frame-Options": "DENY"})


app = Starlette(routes=[Route("/", begin), Route("/who", who), Route("/denied", denied)])
