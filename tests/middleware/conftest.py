"""An app that keeps the scopes that reach it, and the middleware in front of it."""

from __future__ import annotations

import pytest

from tests.middleware.probes import Probe
from tests.support import make_wix
from wix_asgi import WixMiddleware
from wix_asgi.testing import FakeWix


@pytest.fixture
def probe() -> Probe:
    """Return an app that keeps the scopes that reach it."""
    return Probe()


@pytest.fixture
def wrapped(probe: Probe) -> WixMiddleware:
    """Return the probe behind the middleware."""
    return WixMiddleware(probe, make_wix(FakeWix()))
