"""The webhook path: there with a public key alone, matched exactly, and below any mount."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Scope

from tests.middleware.probes import CALLBACK, INSTALL, Probe, http_scope, is_ours
from tests.middleware.test_middleware_paths import OTHER_PATHS, OWN_SCOPES, RAW_PATHS
from tests.protocol.webhook_signing import pem, private_key
from tests.support import PUBLIC_URL, make_app, make_wix
from wix_asgi import WixMiddleware
from wix_asgi._addresses import routes
from wix_asgi.testing import FakeWix

WEBHOOK = "/wix/webhook"


def with_key(app: Any = None, **options: Any) -> WixMiddleware:
    """Return an app behind a middleware with webhooks; without `app` it answers 204."""
    wix = make_wix(FakeWix(), **{"public_key": pem(private_key()), **options})
    return WixMiddleware(app or Probe(), wix)


def at_webhook(scope: Scope) -> Scope:
    """Return the scope with the webhook path in the place of the install path."""
    scope = copy.deepcopy(scope)
    scope["path"] = scope["path"].replace("install", "webhook")
    if scope.get("raw_path"):
        scope["raw_path"] = scope["raw_path"].replace(b"install", b"webhook")
    return scope


OWN = [scope for name, scope in OWN_SCOPES.items() if name != "callback"]


@pytest.mark.parametrize("scope", OWN, ids=[name for name in OWN_SCOPES if name != "callback"])
async def test_the_webhook_path_is_ours(scope: Scope) -> None:
    """The path is ours below any mount, as servers and frameworks write it (R45)."""
    assert await is_ours(with_key(), at_webhook(scope))


@pytest.mark.parametrize("path", [path for path in OTHER_PATHS if "install" in path.lower()])
@pytest.mark.parametrize("root_path", ["", "/sub/x"])
async def test_near_paths_are_the_apps(path: str, root_path: str) -> None:
    """A path that is not exactly the webhook path is the app's (R45)."""
    scope = at_webhook(http_scope(path, root_path=root_path))
    scope["path"] = scope["path"].replace("INSTALL", "WEBHOOK").replace("İnstall", "Webhook")

    assert not await is_ours(with_key(), scope)


@pytest.mark.parametrize("raw_path", [raw for raw in RAW_PATHS if b"nstall" in raw])
@pytest.mark.parametrize("root_path", ["", "/other"])
async def test_near_spellings_are_the_apps(raw_path: bytes, root_path: str) -> None:
    """A target that only unescapes to the webhook path is the app's (R45)."""
    raw_path = raw_path.replace(b"/install", b"/webhook").replace(b"%69nstall", b"%77ebhook")

    assert not await is_ours(
        with_key(), http_scope(WEBHOOK, raw_path=raw_path, root_path=root_path)
    )


async def test_without_a_key_the_path_is_the_apps() -> None:
    """Without a public key nothing can be verified, and the path belongs to the app."""
    app = with_key(public_key=[])

    assert not await is_ours(app, http_scope(WEBHOOK))
    assert app.wix.webhook is None


async def test_the_path_is_a_setting() -> None:
    """`webhook_path` moves the path; the default one is the app's then."""
    app = with_key(webhook_path="/events")

    assert await is_ours(app, http_scope("/events"))
    assert not await is_ours(app, http_scope(WEBHOOK))


async def test_a_slash_at_its_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A Callback URL that was entered with a slash is told in every flow, and stays the app's."""
    app = with_key(flow="client_credentials")

    assert not await is_ours(app, http_scope(f"{WEBHOOK}/"))
    assert (
        f"differs from {PUBLIC_URL}{WEBHOOK} by a slash: enter that in Wix's dashboard, "
        "without a slash at its end"
    ) in caplog.text


async def test_a_missing_root_path_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Where the mount is in the path and no root_path is set, the log says so."""
    app = with_key(public_url=f"{PUBLIC_URL}/shop")

    assert not await is_ours(app, http_scope(f"/shop{WEBHOOK}"))
    assert f"a request for /shop{WEBHOOK} is left to the app" in caplog.text


def test_the_address_is_logged_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """The log says at the start which Callback URL to enter at Wix."""
    caplog.set_level("INFO", logger="wix_asgi")
    with TestClient(with_key(make_app()), base_url=PUBLIC_URL):
        pass

    assert f"{PUBLIC_URL}{WEBHOOK} as the Callback URL of webhooks" in caplog.text


@pytest.mark.parametrize("outer", [Starlette, FastAPI])
def test_a_mounted_app_has_its_webhook_path(outer: Any) -> None:
    """An app that is mounted with its middleware answers below its mount, and nowhere else."""
    app = with_key(make_app(), public_url=f"{PUBLIC_URL}/sub")
    client = TestClient(outer(routes=[Mount("/sub", app=app)]), base_url=PUBLIC_URL)
    paths = (f"/sub{WEBHOOK}", WEBHOOK, f"/sub/sub{WEBHOOK}")

    assert [401, 404, 404] == [client.post(path, content=b"x").status_code for path in paths]


async def test_a_websocket_at_the_path_is_the_apps() -> None:
    """Only HTTP requests are webhooks; all other scopes reach the app (R46)."""
    probe = Probe()
    scope = {"type": "websocket", "path": WEBHOOK, "query_string": b"", "headers": []}

    async def nothing(*_: object) -> Any:
        """Send and receive nothing."""

    await with_key(probe)(scope, nothing, nothing)

    assert [scope] == probe.scopes


def test_foreign_paths_are_looked_up_in_one_dict() -> None:
    """With webhooks a foreign path still costs one look-up in a dict."""
    wix = with_key().wix
    own = {INSTALL, CALLBACK, WEBHOOK}

    assert own | {f"{path}/" for path in own} == set(
        routes(wix.settings, wix.handshake, wix.webhook)
    )


def test_joserfc_is_imported_with_a_key_alone() -> None:
    """An app without webhooks spares itself the tenth of a second that joserfc takes to load."""
    code = (
        "import sys; from tests.middleware.test_webhook_path import *;"
        "with_key(public_key=[]); print('joserfc' in sys.modules);"
        "with_key(); print('joserfc' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ["False", "True"] == run.stdout.split()
