"""The choice of a backend by URL, and the errors where no backend fits."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
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
    """Make `backends` the only entry points: schemes, with the factories they load."""
    found = [EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in backends.items()]
    monkeypatch.setattr(storage, "entry_points", lambda *, group: found)


def from_url(url: str) -> SimpleNamespace:
    """Return an object in the place of a storage."""
    return SimpleNamespace(url=url)


def refuse_url(url: str) -> Storage:
    """Refuse every URL."""
    raise SettingsError(f"No database in a URL of {len(url)} characters.")


@pytest.mark.parametrize("scheme", SHIPPED)
def test_shipped_schemes_are_found(scheme: str) -> None:
    """Every scheme of the documentation has a backend installed with the package."""
    assert scheme == find_backend(f"{scheme}://x").name


def test_shipped_schemes_need_no_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any entry point each scheme of ours has the backend that its entry point names."""
    installed = {scheme: find_backend(f"{scheme}://x").value for scheme in SHIPPED}
    declared = {entry.name: entry.value for entry in entry_points(group=ENTRY_POINT_GROUP)}
    install(monkeypatch)

    assert declared == installed
    assert declared == {scheme: find_backend(f"{scheme}://x").value for scheme in SHIPPED}


def test_installed_backend_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point for a scheme of ours is the backend of that scheme."""
    install(monkeypatch, memory=f"{__name__}:from_url")

    assert SimpleNamespace(url="memory://") == open_storage("memory://")


@pytest.mark.parametrize("scheme", ["SQLITE", "SqLite"])
def test_scheme_has_no_case(scheme: str) -> None:
    """Schemes are compared without case (RFC 3986, 3.1)."""
    assert "sqlite" == find_backend(f"{scheme}:///wix.db").name


UNKNOWN = [
    ("mysql", "there is no MySQL backend"),
    ("redis", "there is no Redis backend"),
    ("sqlite+aiosqlite", "write sqlite:///file.db"),
    ("postgresql+psycopg", "write postgresql://…; the driver is asyncpg"),
    ("nosuch", "install the package that brings this backend"),
]


@pytest.mark.parametrize(("scheme", "hint"), UNKNOWN)
def test_unknown_scheme_is_explained(scheme: str, hint: str) -> None:
    """The error names the scheme, a remedy and the installed schemes, and no password (R35)."""
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
def test_a_text_that_is_no_url_is_explained(url: str) -> None:
    """The error about a text that is no URL shows how URLs look, and not the text (R35)."""
    with pytest.raises(BackendNotFound, match="The storage is not a URL") as caught:
        open_storage(url)

    assert "sqlite:///file.db" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_backend_gets_the_whole_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheme picks the backend; the URL is handed on as it was written."""
    install(monkeypatch, fake=f"{__name__}:from_url")
    url = "FAKE://user:p%40ss@host/db?x=y#z"

    assert SimpleNamespace(url=url) == open_storage(url)


@pytest.mark.parametrize("around", ["{}\r\n", "\ufeff{}", '"{}"', " '{}'\n"])
def test_what_is_around_a_url_is_dropped(monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    """A URL out of a file or out of quotes names the same storage as the URL itself."""
    install(monkeypatch, fake=f"{__name__}:from_url")

    assert SimpleNamespace(url="fake://host") == open_storage(around.format("fake://host"))


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        ("{}\n{}", "has a line break in it"),
        ("{}\u200b", "has invisible characters"),
        ('"{}', "has a quotation mark at one end"),
        ("{}/${{DATABASE}}", "has a reference in it that nobody replaced by its value"),
    ],
)
def test_damaged_url_is_refused(damaged: str, problem: str) -> None:
    """A URL that was damaged when it was copied is refused, and not shown (R35)."""
    url = f"postgresql://user:{CANARY}@host"
    with pytest.raises(SettingsError) as caught:
        open_storage(damaged.format(url, url))
    shown = TracebackException.from_exception(caught.value, capture_locals=True).format()

    assert f"The storage URL {problem}." == str(caught.value)
    assert CANARY not in "".join(line for line in shown if "damaged" not in line)


def test_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend whose driver is not installed says which module is missing (R47)."""
    install(monkeypatch, fake="no_such_driver.backend:from_url")
    with pytest.raises(BackendNotFound) as caught:
        open_storage(f"fake://user:{CANARY}@host/db")

    assert (
        "The storage backend for fake:// needs the module 'no_such_driver', which is not installed."
        == str(caught.value)
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_broken_backend_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed backend that cannot be imported raises its own error, not BackendNotFound."""
    install(monkeypatch, fake=f"{__name__}:no_such_name")

    with pytest.raises(AttributeError, match="no_such_name"):
        open_storage("fake://host/db")


def test_backend_may_refuse_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of a backend about its own part of the URL is passed on."""
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

    assert "no_such_driver.backend:from_url" == find_backend("fake://host").value


def test_an_object_without_the_methods_is_no_storage() -> None:
    """`isinstance` tells storages from other objects at run time."""
    assert not isinstance(from_url("x"), Storage)
