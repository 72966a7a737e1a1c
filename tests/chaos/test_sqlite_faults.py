"""An SQLite file to which several processes write, that is locked, full, or left by the dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.figures import missed
from chaos.sqlite_faults import counted, opened, written
from chaos.sqlite_full import filled
from chaos.sqlite_killed import killed
from chaos.sqlite_locked import locked_for_a_while, locked_out
from tests.limits import PATIENCE
from wix_asgi_backends._retry import Retry

pytestmark = pytest.mark.processes

PATIENT = Retry(total=PATIENCE)


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


def test_opened_at_once(tmp_path: Path) -> None:
    """Eight processes that open an empty file at the same moment all write to it."""
    assert [] == missed(opened(tmp_path, processes=8, rounds=1, retry=PATIENT))


def test_no_update_is_lost(path: Path) -> None:
    """Processes that count in one record come to the sum, and none finds the file locked."""
    assert [] == missed(counted(path, processes=4, times=25, retry=PATIENT))


def test_no_record_is_lost(path: Path) -> None:
    """Processes that write records of their own find them all, and none finds the file locked."""
    assert [] == missed(written(path, processes=4, times=25, retry=PATIENT))


async def test_a_lock_is_waited_for(path: Path) -> None:
    """No write is refused that waits while another process has the lock."""
    assert [] == missed(await locked_for_a_while(path, seconds=1, callers=50, retry=PATIENT))


async def test_a_lock_that_stays(path: Path) -> None:
    """A writer is told of a lock that is kept too long; no row changes, and writing goes on."""
    figures = await locked_out(path, seconds=1, callers=50, total=0.8, patience=PATIENCE, busy=0.1)

    assert [] == missed(figures)


def test_a_killed_writer(tmp_path: Path) -> None:
    """The records that a killed process had put are there, and the next process writes at once."""
    assert [] == missed(killed(tmp_path, rounds=1, wait=PATIENCE))


def test_a_full_disk(tmp_path: Path) -> None:
    """It is told of without a token, loses nothing, is read from, and with space is used (R35)."""
    assert [] == missed(filled(tmp_path, size="4m"))
