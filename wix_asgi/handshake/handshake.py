"""The handshake: its two paths, as ASGI apps for the middleware to mount.

Wix, "Use Advanced OAuth Settings for Authenticating Your App"; RFC 6749, 4.1; RFC 9700.
"""

from __future__ import annotations

from dataclasses import dataclass

from wix_asgi.handshake.callback import Callback
from wix_asgi.handshake.install import Install
from wix_asgi.handshake.on_install import OnInstall

__all__ = ["Handshake"]


@dataclass(frozen=True, slots=True)
class Handshake:
    """The two paths of one app and its `on_install`, shared by all requests and event loops.

    Attributes:
        install: Begins an install, and sends the browser to Wix.
        callback: Finishes it, when Wix sends the browser back.
        on_install: Tells the app of installations.
    """

    install: Install
    callback: Callback
    on_install: OnInstall
