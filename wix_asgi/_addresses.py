"""The addresses of our paths, and hints for the log where a request comes by another address.

Hosts and mounts are only compared for a log line, and decide nothing: the settings alone say where
browsers are sent (RFC 9700, 4.1). Anybody can cause these lines, so each kind has one a minute.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Scope

from wix_asgi.asgi.request_headers import read_headers
from wix_asgi.models import InstallFlow
from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.settings import WixSettings

if TYPE_CHECKING:
    from wix_asgi.handshake.handshake import Handshake

__all__ = ["Route", "log_addresses", "routes"]

logger = logging.getLogger("wix_asgi")

Route: TypeAlias = Callable[[Scope], ASGIApp | None]
"""Says which app answers a request; None leaves it to the app behind the middleware."""

_ENTER: Final = "enter that in Wix's dashboard"

_SECONDS: Final = 60.0
"""From one hint of a kind to the next: it stays true until an operator has read it."""

_HOST: Final = re.compile(
    r"(?:\[([0-9a-f:.]{2,45})\]|([0-9a-z._-]{0,252}[0-9a-z])\.?)(?::[0-9]{1,5})?"
)
"""A host with or without a port, in lower case. No other text of a stranger is logged."""

_MOUNT: Final = re.compile(r"[0-9A-Za-z._~/-]{1,100}")
"""A mount that is logged: a part of the path may be a parameter of it."""


def log_addresses(settings: WixSettings, *, has_webhook: bool) -> None:
    """Log what is entered in Wix's dashboard, or published, for an app with these settings."""
    if settings.flow is InstallFlow.ADVANCED:
        logger.info(
            "enter in Wix's dashboard: App URL %s, Redirect URL %s",
            settings.app_url,
            settings.redirect_url,
        )
    else:
        logger.info(
            "publish the install link %s (Wix's dashboard needs no App URL and no Redirect URL)",
            settings.app_url,
        )
    if has_webhook:
        logger.info(
            "enter in Wix's dashboard: %s as the Callback URL of webhooks", settings.webhook_url
        )


def routes(
    settings: WixSettings,
    handshake: Handshake,
    webhook: ASGIApp | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Route]:
    """Return the paths of the handshake and of webhooks, and paths taken for them by mistake.

    The paths are as `scope["path"]` has them, below the mount. A path that is taken for another
    stays the app's, so that the middleware looks up all of them in one dict, and foreign paths cost
    no more than without them.
    """
    hints = _Hints(settings, clock)
    mount = hints.public_mount
    found: dict[str, Route] = {}
    own = [
        _Own(
            settings.install_path,
            settings.app_url,
            hints.before(handshake.install),
            hints.remedy,
        ),
        _Own(
            settings.callback_path,
            settings.redirect_url,
            lambda _: handshake.callback,
            hints.remedy,
        ),
    ]
    if webhook is not None:
        own.append(_Own(settings.webhook_path, settings.webhook_url, lambda _: webhook))
    for each in own:
        path = each.path
        if mount:
            found[mount + path] = hints.of_unknown_mount(mount + path)
        slashed = path.removesuffix("/") if path.endswith("/") else f"{path}/"
        found[slashed] = hints.of_slash(each.url, each.remedy)
    return found | {each.path: each.route for each in own}


class _Own(NamedTuple):
    """A path of ours, its address in the world, and the advice where that is mistyped."""

    path: str
    url: str
    route: Route
    remedy: str = _ENTER


class _Hints:
    """Makes routes that write hints; `clock` gives monotonic seconds."""

    def __init__(self, settings: WixSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._limit = LineLimit(_SECONDS, clock=clock)
        self._start, self.remedy = "the App URL", _ENTER
        if settings.flow is InstallFlow.CLIENT_CREDENTIALS:
            self._start, self.remedy = "the install link", "publish that"
        public = urlsplit(settings.public_url)
        self._public_host = public.hostname
        self.public_mount = unquote(public.path)

    def before(self, app: ASGIApp) -> Route:
        """Return the route of the App URL, which compares host and mount with the settings.

        The Redirect URL needs no check: Wix sends browsers to the address in the settings.
        """

        def route(scope: Scope) -> ASGIApp:
            if scope["method"] == "GET":
                self._check_host(scope)
                self._check_mount(scope)
            return app

        return route

    def of_slash(self, url: str, remedy: str) -> Route:
        """Return the route of a path that differs from `url` by a slash at its end."""
        slash = "with a slash" if url.endswith("/") else "without a slash"

        def route(_: Scope) -> None:
            self._write(
                "slash",
                f"a request was left to the app, since its path differs from {url} by a slash: "
                f"{remedy}, {slash} at its end",
            )

        return route

    def of_unknown_mount(self, path: str) -> Route:
        """Return the route of an own path with its mount, where the server names no `root_path`."""

        def route(scope: Scope) -> None:
            if not scope.get("root_path"):
                self._write(
                    "root_path",
                    f"a request for {path} is left to the app, since the server has no root_path: "
                    f"set it to {self.public_mount}, or let the proxy in front remove that",
                )

        return route

    def _check_host(self, scope: Scope) -> None:
        host = _host(scope)
        if host is not None and host != self._public_host:
            self._write(
                "host",
                f"{self._start} was opened at host {host}, and public_url is "
                f"{self._settings.public_url}: an install that begins there ends as "
                "browser_mismatch, since its cookie stays there (if a proxy has changed Host, let "
                "it pass Host on)",
            )

    def _check_mount(self, scope: Scope) -> None:
        mount = scope.get("root_path", "").rstrip("/")
        if mount and mount != self.public_mount:
            below = mount if _MOUNT.fullmatch(mount) else "another path"
            self._write(
                "mount",
                f"{self._start} was opened below {below}, and public_url is "
                f"{self._settings.public_url}: Wix sends browsers back to "
                f"{self._settings.redirect_url} (public_url has to end with the mount's path)",
            )

    def _write(self, kind: str, text: str) -> None:
        left_out = self._limit.admit(kind)
        if left_out is not None:
            logger.warning("%s%s", text, and_more(left_out))


def _host(scope: Scope) -> str | None:
    """Return the host that the browser asked for, without a port, or None where it makes no sense.

    A proxy that changes `Host` names the browser's in `X-Forwarded-Host` (de facto standard, MDN).
    """
    forwarded, host = read_headers(scope, b"x-forwarded-host", b"host")
    text = forwarded.partition(",")[0].strip() or host
    found = _HOST.fullmatch(text.lower())
    return found[1] or found[2] if found else None
