"""Choosing a backend by URL, and what is said when there is none."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from traceback import TracebackException
from types import SimpleNamespace

import pytest

from wix_asgi import storage
from wix_asgi.errors import BackendNotFound, SettingsError
from wix_asgi.storage import ENTRY_POINT_GROUP, Storage, find_backend, open_storage

CANARY = "test-canary-password"
SHIPPED = ["cockroachdb", "cockroachdb+asyncpg", "memory"]
SHIPPED += ["postgres", "postgresql", "postgresql+asyncpg", "sqlite"]


def install(monkeypatch: pytest.MonkeyPatch, **backends: str) -> None:
    """Make these the installed backends: a scheme each, and what it loads."""
    found = [EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in backends.items()]
    monkeypatch.setattr(storage, "entry_points", lambda *, group: found)


def from_url(url: str) -> SimpleNamespace:
    """Return what stands for a storage in this file."""
    return SimpleNamespace(url=url)


def refuse_url(url: str) -> Storage:
    """Refuse every URL."""
    raise SettingsError(f"No database in a URL of {len(url)} characters.")


@pytest.mark.parametrize("scheme", SHIPPED)
def test_shipped_schemes_are_found(scheme: str) -> None:
    """Every scheme of the documentation has a backend installed with the package."""
    assert find_backend(f"{scheme}://x").name == scheme


@pytest.mark.parametrize("scheme", ["SQLITE", "SqLite"])
def test_scheme_has_no_case(scheme: str) -> None:
    """Schemes are compared without case (RFC 3986, 3.1)."""
    assert find_backend(f"{scheme}:///wix.db").name == "sqlite"


UNKNOWN = [
    ("mysql", "there is no MySQL backend"),
    ("redis", "there is no Redis backend"),
    ("sqlite+aiosqlite", "write sqlite:///file.db"),
    ("postgresql+psycopg", "write postgresql://…; the driver is asyncpg"),
    ("nosuch", "install the package that brings this backend"),
]


@pytest.mark.parametrize(("scheme", "hint"), UNKNOWN)
def test_unknown_scheme_is_explained(scheme: str, hint: str) -> None:
    """The error names the scheme, the remedy and what is installed, and no password (R35)."""
    with pytest.raises(BackendNotFound) as caught:
        open_storage(f"{scheme}://user:{CANARY}@host/db")
    message = str(caught.value)

    assert message.startswith(f"No storage backend for {scheme}://: {hint}")
    assert message.endswith(f"Installed: {', '.join(SHIPPED)}.")
    assert CANARY not in message


NO_URLS = [
    "",
    "wix.db",
    "/var/lib/wix.db",
    "sqlite:",
    "sqlite:/x",
    "://x",
    "1x://y",
    f"u:{CANARY}@h",
]


@pytest.mark.parametrize("url", NO_URLS)
def test_no_url_is_explained(url: str) -> None:
    """What is no URL is not repeated, and the error shows how one looks (R35)."""
    with pytest.raises(BackendNotFound, match="The storage is not a URL") as caught:
        open_storage(url)

    assert "sqlite:///file.db" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_backend_gets_the_whole_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheme picks the backend; the URL is handed on as it was written."""
    install(monkeypatch, fake=f"{__name__}:from_url")
    url = "FAKE://user:p%40ss@host/db?x=y#z"

    assert open_storage(url) == SimpleNamespace(url=url)


def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend whose driver is not installed says which module is missing (R47)."""
    install(monkeypatch, fake="no_such_driver.backend:from_url")
    with pytest.raises(BackendNotFound) as caught:
        open_storage(f"fake://user:{CANARY}@host/db")

    assert (
        str(caught.value) == "The storage backend for fake:// needs the module 'no_such_driver', "
        "which is not installed."
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_broken_backend_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that is installed and broken fails as it is, not as one to install."""
    install(monkeypatch, fake=f"{__name__}:no_such_name")

    with pytest.raises(AttributeError, match="no_such_name"):
        open_storage("fake://host/db")


def test_backend_may_refuse_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a backend says about its own part of the URL is passed on."""
    install(monkeypatch, fake=f"{__name__}:refuse_url")

    with pytest.raises(SettingsError, match="No database in a URL of 7 characters"):
        open_storage("fake://")


@pytest.mark.parametrize("url", ["fake://u:{}@h/db", "nosuch://u:{}@h/db", "u:{}@h/db"])
def test_traceback_shows_no_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """No frame of `open_storage`, and none below it, holds the URL that was refused (R35)."""
    install(monkeypatch, fake=f"{__name__}:refuse_url")
    with pytest.raises((BackendNotFound, SettingsError)) as caught:
        open_storage(url.format(CANARY))
    shown = TracebackException.from_exception(caught.value, capture_locals=True).format()

    assert CANARY not in "".join(shown)


def test_finding_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme is checked without importing its backend."""
    install(monkeypatch, fake="no_such_driver.backend:from_url")

    assert find_backend("fake://host").value == "no_such_driver.backend:from_url"


def test_other_objects_are_no_storage() -> None:
    """The protocol can be asked for at run time."""
    assert not isinstance(from_url("x"), Storage)
