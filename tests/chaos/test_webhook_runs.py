"""Webhooks under load, kills and a database that restarts, in a small way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.figures import missed
from chaos.postgres_cluster import Cluster, open_cluster
from chaos.webhooks import KINDS, copied, killed, loaded, restarted
from chaos.webhooks_runs import Runs

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("store", KINDS, indirect=True)
async def test_each_event_is_handled_once(store: tuple[str, str], tmp_path: Path) -> None:
    """Beside copies and forgeries, and with slow handlers, each is handled once (R42 to R44)."""
    kind, url = store
    figures = await loaded(
        url,
        kind,
        tmp_path,
        workers=2,
        rate=50.0,
        count=100,
        seconds=lambda number: 0.05 if (number + 1) % 50 else 3.0,
        emptied_in=90.0,
    )

    assert [] == missed(figures)


@pytest.mark.parametrize("store", KINDS, indirect=True)
async def test_killed_workers_lose_no_event(store: tuple[str, str], tmp_path: Path) -> None:
    """Each is handled, and once more at most for each kill that hit it (R44, R55)."""
    kind, url = store
    figures = await killed(
        url, kind, tmp_path, workers=2, rate=10.0, count=60, handler=0.5, every=2.0
    )

    assert [] == missed(figures)


@pytest.mark.parametrize("store", KINDS, indirect=True)
async def test_copies_at_once_run_once(store: tuple[str, str], tmp_path: Path) -> None:
    """Fifty copies over four workers are kept and handled once, whoever is answered 200 (R43)."""
    kind, url = store

    assert [] == missed(await copied(url, kind, tmp_path, workers=4, copies=50))


@pytest.fixture(name="cluster")
def _cluster() -> Iterator[Cluster]:
    """Give a Postgres that may be stopped."""
    with open_cluster("postgresql") as cluster:
        yield cluster


async def test_restarted_database_loses_no_event(cluster: Cluster, tmp_path: Path) -> None:
    """While it is down the answer is 503, and all that was answered 200 is handled (R55)."""
    figures = await restarted(cluster, tmp_path, workers=2, rate=20.0, count=80, down=1.0)

    assert [] == missed(figures)


def test_runs_are_judged_by_their_kills(tmp_path: Path) -> None:
    """A run more than once is too often, unless a kill came before its end could be noted."""
    log = tmp_path / "runs"
    log.write_text(
        "began 1 -1 0.0\n"
        "began 1 7 1.0\nended 1 7 2.0\nbegan 2 7 30.0\nended 2 7 31.0\n"
        "began 1 8 19.0\nbegan 2 8 30.0\nended 2 8 31.0\n"
        "began 1 9 18.0\nended 1 9 19.0\nbegan 2 9 30.0\nended 2 9 31.0\n"
        "began 1 10 1.0\nbegan 1 11 1"
    )
    runs = Runs.read(log)

    assert [1] == runs.processes
    assert {7, 8, 9} == runs.too_often()
    assert {7} == runs.too_often({1: 20.0})
    assert {10} == runs.missing({7, 8, 9, 10})
    assert 3 == runs.again()
