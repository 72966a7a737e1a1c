"""The client for Flask's views; the only module that imports Flask."""

from __future__ import annotations

from typing import cast

from flask import Flask, request
from starlette.exceptions import HTTPException
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Response

from wix_asgi.client.sync_client import SyncWixClient
from wix_asgi.frameworks.wsgi import REFUSALS, refusal_response, sync_wix_of

__all__ = ["answer_refusals", "wix"]

wix = cast("SyncWixClient", LocalProxy(lambda: sync_wix_of(request.environ)))
"""The client of the calling site, in the view of a request: `wix.get(...)`.

It stands for another client in each request, as Flask's `request` does. Using it raises
MiddlewareMissing where no `WixWSGIMiddleware` is in front of the app.
"""


def answer_refusals(app: Flask) -> None:
    """Have `app` answer an Unauthenticated, NotInstalled or the like with 401, 403 or 503.

    Without it Flask makes a 500 of each error that a view lets out.
    """
    for refusal in REFUSALS:
        app.register_error_handler(refusal, _answer)


def _answer(refusal: HTTPException) -> Response:
    response = refusal_response(refusal)
    return Response(bytes(response.body), response.status_code, dict(response.headers))
