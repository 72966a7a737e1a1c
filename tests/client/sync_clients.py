"""Sync clients of an installed app."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Unpack

from tests.client.clients import install
from tests.support import SITE, make_wix
from wix_asgi import (
    SyncWixClient,
    Wix,
)
from wix_asgi.concurrency.portal import portal
from wix_asgi.testing import FakeWix
from wix_asgi.wix import WixOptions


@contextmanager
def installed(fake: FakeWix, **options: Unpack[WixOptions]) -> Iterator[tuple[Wix, SyncWixClient]]:
    """Run a Wix on the portal that is installed on the first site, with a sync client for it."""
    wix = make_wix(fake, **options)
    portal().call(lambda: install(wix, fake))
    yield wix, wix.sync.client(SITE)
    portal().call(wix.aclose)
