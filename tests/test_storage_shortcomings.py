"""What a storage cannot do is told when an app starts, and by the commands of operators."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from tests.backends.of_before import OfBefore
from tests.cli.commands import run, store
from tests.support import PUBLIC_URL
from wix_asgi import Wix
from wix_asgi.storage import ENTRY_POINT_GROUP, Storage, shortcomings
from wix_asgi_backends.memory import MemoryStorage


class OfFirst(OfBefore):
    """A storage with none of the capabilities."""

    claim_owner = None  # type: ignore[assignment] # protocols take it for a method that is missing


@pytest.fixture(name="installed")
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make Python find a distribution with a backend of the contract before."""
    metadata = tmp_path / "site" / "backend_of_before-1.dist-info"
    metadata.mkdir(parents=True)
    about = "Metadata-Version: 2.4\nName: backend-of-before\nVersion: 1\n"
    (metadata / "METADATA").write_text(about)
    entry = f"[{ENTRY_POINT_GROUP}]\nbefore = {OfBefore.__module__}:OfBefore.from_url\n"
    (metadata / "entry_points.txt").write_text(entry)
    monkeypatch.setattr(sys, "path", [*sys.path, str(metadata.parent)])
    importlib.invalidate_caches()


@pytest.mark.parametrize(
    ("storage", "lacking"),
    [
        (MemoryStorage(), []),
        (OfBefore(), ["AddingStorage", "EventStorage"]),
        (OfFirst(), ["ClaimReader", "AddingStorage", "EventStorage"]),
    ],
)
def test_shortcomings(storage: Storage, lacking: list[str]) -> None:
    """Each capability that a storage lacks is named, with its consequences."""
    told = shortcomings(storage)

    assert lacking == [one.partition("(")[2].partition(")")[0] for one in told]


async def opened(storage: Storage, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Open and use an app with this storage; return its warnings."""
    async with Wix(
        app_id="test-app", app_secret="test-secret", public_url=PUBLIC_URL, storage=storage
    ) as wix:
        assert [] == [installation async for installation in wix.installations()]
    return [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]


async def test_start_of_an_app(caplog: pytest.LogCaptureFixture) -> None:
    """The start of an app tells in one line what its storage cannot do."""
    (line,) = await opened(OfFirst(), caplog)

    assert line.startswith("storage OfFirst: It tells no owners of claims (ClaimReader): ")
    assert "It cannot add records (AddingStorage): it forgets of which site a site is a" in line
    assert "It has no inbox for events (EventStorage): an app that sets public_key" in line
    assert 1 == len(line.splitlines())


async def test_start_of_an_app_with_a_whole_storage(caplog: pytest.LogCaptureFixture) -> None:
    """A storage with all capabilities is not worth a line."""
    assert [] == await opened(MemoryStorage(), caplog)


@pytest.mark.usefixtures("installed")
def test_check_of_a_storage() -> None:
    """A check names what a storage cannot do, and finds no fault in that."""
    result = run("storage", "check", "before://")

    assert (0, "") == (result.exit_code, result.stderr)
    assert result.stdout.startswith("It cannot add records (AddingStorage): ")
    assert result.stdout.endswith("keeps all the rules that can be checked while it is in use.\n")


@pytest.mark.usefixtures("installed")
def test_copy_to_a_storage(tmp_path: Path) -> None:
    """A copy that leaves fields behind says so, and is complete."""
    store(f"sqlite:///{tmp_path}/store.db", "a")
    result = run(
        "storage", "copy", f"sqlite:///{tmp_path}/store.db", "before://", "--app-id", "test-app"
    )

    assert (0, "") == (result.exit_code, result.stderr)
    assert "\nTO: It cannot add records (AddingStorage): it forgets" in result.stdout
    assert (
        "\nTO: It cannot keep dates of install (RestoringStorage): installed_at of" in result.stdout
    )
