"""An app with a service worker of its own, to be served beside a fake Wix; it prints its loads."""

from __future__ import annotations

import sys
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wix_asgi import WixMiddleware

__all__ = ["app"]

_FORMS: Final = {
    "the request itself": "event.respondWith(fetch(event.request))",
    "a new Request of it": (
        "event.respondWith(fetch(new Request(event.request, {credentials: 'include'})))"
    ),
    "other options": "event.respondWith(fetch(event.request, {cache: 'no-store'}))",
    "a new Request of its address": (
        "const {url, headers} = event.request; event.respondWith(fetch("
        "new Request(url, {headers, redirect: 'manual', credentials: 'include'})))"
    ),
    "preload": "event.respondWith((async () => await event.preloadResponse)())",
    "preload and the request itself": "event.respondWith(fetch(event.request))",
}
"""How workers answer navigations from the network; those named after the preload have it on."""

_WORKER: Final = """
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil((async () => {
    if (PRELOAD) await registration.navigationPreload.enable();
    await clients.claim();
})()));
self.addEventListener("fetch", event => {
    if (event.request.mode === "navigate") { ANSWER; }
});
"""

_PAGE: Final = """<!doctype html><title>A PWA</title>
<script>
navigator.serviceWorker.oncontrollerchange = () => {
    document.body.innerHTML = "<h1>The worker answers</h1>";
};
const form = new URLSearchParams(location.search).get("form");
navigator.serviceWorker.register(`/worker.js?form=${encodeURIComponent(form)}`);
</script><body></body>"""


async def _page(_: Request) -> Response:
    return HTMLResponse(_PAGE)


async def _worker(request: Request) -> Response:
    form = request.query_params["form"]
    script = _WORKER.replace("ANSWER", _FORMS[form])
    script = script.replace("PRELOAD", str(form.startswith("preload")).lower())
    return Response(script, media_type="text/javascript")


class _Told:
    """Prints how a browser describes each load, and how it was answered."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = dict(scope["headers"])
                fetched = (headers.get(b"sec-fetch-" + name, b"") for name in (b"dest", b"mode"))
                told = [scope["path"], *(value.decode() for value in fetched), message["status"]]
                sys.stdout.write(f"{' '.join(map(str, told))}\n")
                sys.stdout.flush()
            await send(message)

        await self._inner(scope, receive, telling if scope["type"] == "http" else send)


def app() -> ASGIApp:
    """Return the app; its settings are in the environment."""
    routes = [Route("/", _page), Route("/worker.js", _worker)]
    return _Told(WixMiddleware(Starlette(routes=routes)))
