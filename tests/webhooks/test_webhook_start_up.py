"""What an app needs at its start so that events can come."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.protocol.webhook_signing import pem, private_key
from tests.support import PUBLIC_URL, make_app, make_wix, without_inbox
from wix_asgi import Wix, WixMiddleware
from wix_asgi.errors import SettingsError
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage


def with_key(storage: Storage) -> Wix:
    """Return an app with a public key."""
    return make_wix(FakeWix(), public_key=pem(private_key()), storage=storage)


def test_a_storage_without_an_inbox_is_refused() -> None:
    """Events that could not be kept stop the start, with the setting and what is missing (R47)."""
    with pytest.raises(SettingsError) as caught:
        with_key(without_inbox(MemoryStorage)())
    text = str(caught.value)

    assert "public_key (WIX_PUBLIC_KEY): " in text
    assert "the storage TheirStorage lacks add_event, take_events, renew_event" in text
    assert "wix_asgi.storage.EventStorage" in text
    assert "BEGIN" not in text


def test_the_missing_method_is_named() -> None:
    """Of a storage with a part of an inbox the missing part is named."""
    with pytest.raises(SettingsError, match=r"lacks purge_events of wix_asgi\.storage"):
        with_key(without_inbox(MemoryStorage, "purge_events")())


def test_without_a_key_any_storage_will_do() -> None:
    """An app without webhooks needs no inbox."""
    wix = make_wix(FakeWix(), public_key=[], storage=without_inbox(MemoryStorage)())

    assert wix.webhook is None


def test_the_key_of_a_fake_wix_needs_no_inbox() -> None:
    """An app that is tested with a storage of its own, and without webhooks, starts."""
    wix = make_wix(FakeWix(), storage=without_inbox(MemoryStorage)())

    assert ((), None) == (wix.settings.public_key, wix.webhook)


def test_the_server_is_told() -> None:
    """Where Starlette builds the middleware late, the server is told not to start."""
    app = Starlette()
    app.add_middleware(
        WixMiddleware,
        app_id="an-app",
        app_secret="test-app-secret-number-one",
        public_url=PUBLIC_URL,
        public_key=pem(private_key()),
        storage=without_inbox(MemoryStorage)(),
    )

    with pytest.raises(SettingsError), TestClient(app):
        pass


def test_a_storage_with_an_inbox_is_taken() -> None:
    """The storages that come along keep events."""
    assert WixMiddleware(make_app(), with_key(MemoryStorage())).wix.webhook is not None
