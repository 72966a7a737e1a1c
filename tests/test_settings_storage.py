"""The storage of the settings: which URLs are taken, and when its backend is built."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from wix_asgi import _setting_sources as setting_sources
from wix_asgi.settings import WixSettings

REQUIRED = {
    "app_id": "11111111-2222-3333-4444-555555555555",
    "app_secret": "test-app-secret-number-one",
    "public_url": "https://app.example.com",
}


def load(**given: Any) -> WixSettings:
    """Load settings from the required values, with `given` added."""
    return WixSettings.load(**REQUIRED, **given)


@pytest.mark.parametrize("workers", ["1", "0", "many", ""])
def test_memory_storage_serves_one_worker(monkeypatch: pytest.MonkeyPatch, workers: str) -> None:
    """memory:// is taken for one worker, and where WEB_CONCURRENCY is no number (R48)."""
    monkeypatch.setenv("WEB_CONCURRENCY", workers)

    assert "memory://" == load(storage="memory://").storage.get_secret_value()


def test_other_storage_serves_several_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that workers share starts with any number of them (R48)."""
    monkeypatch.setenv("WEB_CONCURRENCY", "8")

    storage = load(storage="sqlite:///wix.db").storage

    assert "sqlite:///wix.db" == storage.get_secret_value()


def test_white_space_around_the_storage_is_dropped() -> None:
    """White space around the URL is dropped: a secret from a file ends in a newline."""
    assert "sqlite:///wix.db" == load(storage=" sqlite:///wix.db\n").storage.get_secret_value()


@pytest.mark.parametrize(
    ("given", "before", "after"), [({}, 0, 1), ({"storage": "sqlite:///other.db"}, 1, 1)]
)
def test_the_storage_is_built_once(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], before: int, after: int
) -> None:
    """The storage that the check of its URL builds is the one in use; the default has no check."""
    built: list[str] = []

    def build(url: str) -> object:
        built.append(url)
        return object()

    monkeypatch.setattr(setting_sources, "open_storage", build)
    settings = load(**given)
    built_by_load = len(built)
    backends = {settings.backend, settings.backend}

    assert (before, after) == (built_by_load, len(built))
    assert 1 == len(backends)


def test_a_copy_builds_a_storage_of_its_own() -> None:
    """A deep copy of the settings is equal to them, and shares no storage with them."""
    settings = load(storage="memory://")
    copied = copy.deepcopy(settings)

    assert settings == copied
    assert settings.backend is not copied.backend
