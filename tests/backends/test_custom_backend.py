"""The example of a backend by somebody else: it is found once it is installed."""

from __future__ import annotations

import importlib
import json
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from tests.backends.support import EXAMPLE, example
from wix_asgi.errors import BackendNotFound, SettingsError, StorageUnavailable
from wix_asgi.storage import ENTRY_POINT_GROUP, open_storage
from wix_asgi.testing.storage_check.records import APP, SITE, record, timeless

JsonFileStorage = example()
PROJECT = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops."""
    loop: str = request.param
    return loop


@pytest.fixture(name="installed")
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Python find the example as a distribution that was installed."""
    metadata = tmp_path / "site" / "wix_asgi_jsonfile-0.1.0.dist-info"
    metadata.mkdir(parents=True)
    name, version = PROJECT["name"], PROJECT["version"]
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n", "utf-8"
    )
    entries = PROJECT["entry-points"][ENTRY_POINT_GROUP].items()
    lines = [f"[{ENTRY_POINT_GROUP}]", *(f"{scheme} = {value}" for scheme, value in entries)]
    (metadata / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(metadata.parent)])
    importlib.invalidate_caches()


@pytest.mark.usefixtures("installed")
async def test_found_when_installed(tmp_path: Path, anyio_backend: str) -> None:
    """The entry point of the distribution is all it takes: its scheme opens its storage."""
    storage = open_storage(f"jsonfile:///{tmp_path}/store.json")

    assert anyio_backend in {"asyncio", "trio"}
    assert isinstance(storage, JsonFileStorage)
    async with storage:
        await storage.put(record())
        assert await storage.get(APP, SITE) is not None
    assert 0o600 == stat.S_IMODE((tmp_path / "store.json").stat().st_mode)


def test_not_found_when_not_installed() -> None:
    """Lying beside the package does not make it a backend."""
    with pytest.raises(BackendNotFound, match="No storage backend for jsonfile://"):
        open_storage("jsonfile:///store.json")


@pytest.mark.parametrize("url", ["jsonfile://", "jsonfile:///", "jsonfile://store.json"])
def test_wrong_url(url: str) -> None:
    """A URL without a path is explained."""
    with pytest.raises(SettingsError, match="Write jsonfile:///"):
        JsonFileStorage.from_url(url)


@pytest.mark.parametrize("text", ["{", '{"rows": ', "\xff"])
async def test_broken_file(tmp_path: Path, text: str) -> None:
    """A file that is no JSON is unavailable, not empty, and stays as it is."""
    path = tmp_path / "store.json"
    path.write_text(text, "latin-1")
    with pytest.raises(StorageUnavailable):
        await JsonFileStorage(path).get(APP, SITE)

    assert text == path.read_text("latin-1")


async def test_file_of_another_version(tmp_path: Path) -> None:
    """Fields that a row lacks have their defaults, and a field of a newer version is no error."""
    path = tmp_path / "store.json"
    async with JsonFileStorage(path) as storage:
        await storage.put(record(grant_type="client_credentials", owes_on_install=True))
        contents = json.loads(path.read_text("utf-8"))
        (row,) = contents["rows"].values()
        for later in ("grant_type", "origin_instance_id", "owes_on_install"):
            del row[later]
        row["of_a_newer_version"] = 1
        path.write_text(json.dumps(contents), "utf-8")

        assert timeless(record()) == timeless(await storage.get(APP, SITE))


async def test_missing_file(tmp_path: Path) -> None:
    """A file that was removed is unavailable, not empty, until the store is opened again."""
    path = tmp_path / "store.json"
    storage = JsonFileStorage(path)
    async with storage:
        await storage.put(record())
    path.unlink()
    with pytest.raises(StorageUnavailable, match="FileNotFoundError"):
        await storage.get(APP, SITE)
    await storage.open()

    assert await storage.get(APP, SITE) is None


async def test_missing_directory(tmp_path: Path) -> None:
    """A directory that is missing is unavailable."""
    with pytest.raises(StorageUnavailable, match="FileNotFoundError"):
        await JsonFileStorage(tmp_path / "missing" / "store.json").open()
