"""The file that an SQLite URL names, and URLs that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from wix_asgi.errors import SettingsError
from wix_asgi_backends._sqlite_file import parse_url
from wix_asgi_backends.sqlite import SQLiteStorage

HERE = Path.cwd()

FILES = [
    ("sqlite:///file.db", HERE / "file.db"),
    ("SQLITE:///file.db", HERE / "file.db"),
    ("sqlite:///data/file.db", HERE / "data/file.db"),
    ("sqlite:///./file.db", HERE / "file.db"),
    ("sqlite:////var/lib/file.db", Path("/var/lib/file.db")),
    ("sqlite:////var/lib/my%20file.db", Path("/var/lib/my file.db")),
    ("sqlite:////var/lib/50%25.db", Path("/var/lib/50%.db")),
    ("sqlite:////var/lib/a%3Fb.db", Path("/var/lib/a?b.db")),
    ("sqlite:////var/lib/a#b.db", Path("/var/lib/a#b.db")),
    ("sqlite:////var/lib/\u00e9.db", Path("/var/lib/\u00e9.db")),
    ("sqlite:////var/lib/file.db?", Path("/var/lib/file.db")),
]


@pytest.mark.parametrize(("url", "path"), FILES)
def test_file(url: str, path: Path) -> None:
    """Three slashes begin a path from the working directory, four an absolute one."""
    assert path == parse_url(url)


NONE = [
    "sqlite://",
    "sqlite:///",
    "sqlite://:memory:",
    "sqlite:///:memory:",
    "sqlite:///%3Amemory%3A",
    "sqlite:///file::memory:?cache=shared",
    "sqlite:///file:x.db?mode=memory&uri=true",
]


@pytest.mark.parametrize("url", NONE)
def test_no_file(url: str) -> None:
    """A database in memory is refused, and memory:// is named instead."""
    with pytest.raises(SettingsError, match="write memory://"):
        SQLiteStorage.from_url(url)


@pytest.mark.parametrize("url", ["sqlite://file.db", "sqlite://host/file.db", "sqlite:///a%00b"])
def test_not_a_file(url: str) -> None:
    """Two slashes and a NUL are explained."""
    with pytest.raises(SettingsError, match="four slashes"):
        SQLiteStorage.from_url(url)


def test_parameters_are_refused_by_name() -> None:
    """A parameter that would have no effect is named, and its value is not shown."""
    with pytest.raises(SettingsError, match=r"has mode, timeout\.$") as caught:
        SQLiteStorage.from_url("sqlite:///file.db?mode=test-canary-value&timeout=9")

    assert "canary" not in str(caught.value)


def test_directory_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is resolved when the storage is created, not when it connects."""
    monkeypatch.chdir(tmp_path)
    storage = SQLiteStorage("file.db")
    monkeypatch.chdir("/")

    assert f"<SQLiteStorage {tmp_path}/file.db>" == repr(storage)
