"""The faults of a Postgres, in a small way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from chaos.figures import missed
from chaos.postgres_answers import answers_lost
from chaos.postgres_cluster import Cluster, open_cluster
from chaos.postgres_faults import FAULTS, under_load
from chaos.postgres_outage import MOMENTS, long_outage, short_outage
from chaos.postgres_waiting import silence
from tests.limits import PATIENCE

KINDS = ["postgresql", pytest.param("pgbouncer", marks=pytest.mark.pgbouncer)]
WITHOUT_PGBOUNCER = [name for name, fault in FAULTS.items() if "pgbouncer" not in fault.kinds]
WITH_PGBOUNCER = [name for name, fault in FAULTS.items() if fault.kinds == ("pgbouncer",)]
# A paused server makes some versions of PgBouncer crash: pgbouncer#801.
PAUSES = {name for name in [*FAULTS, *MOMENTS] if "paused" in name}


def everywhere(names: Iterable[str]) -> pytest.MarkDecorator:
    """Run a test with each of these names, directly and through PgBouncer."""
    direct = [pytest.param("postgresql", name, id=f"postgresql-{name}") for name in names]
    through = [
        pytest.param("pgbouncer", name, id=f"pgbouncer-{name}", marks=pytest.mark.pgbouncer)
        for name in names
        if name not in PAUSES
    ]
    return pytest.mark.parametrize(("servers", "name"), [*direct, *through], indirect=["servers"])


@pytest.fixture(name="servers", scope="module", params=KINDS)
def _servers(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with open_cluster(request.param, login_retry=0.1) as cluster:
        yield cluster


@pytest.fixture(name="cluster")
def _cluster(servers: Cluster) -> Iterator[Cluster]:
    """Give servers that may be stopped, with a database that has no tables."""
    with servers.emptied():
        yield servers


@everywhere([name for name, fault in FAULTS.items() if len(fault.kinds) == len(KINDS)])
async def test_fault_under_load(cluster: Cluster, name: str) -> None:
    """A fault that passes within ten seconds fails no operation, and loses or changes no row."""
    figures = await under_load(cluster, name, tasks=10, rounds=1, speed=10, total=PATIENCE)

    assert [] == missed(figures)


@pytest.mark.parametrize("servers", KINDS[:1], indirect=True)
@pytest.mark.parametrize("name", WITHOUT_PGBOUNCER)
async def test_fault_of_a_server(cluster: Cluster, name: str) -> None:
    """So it is where clients are turned away, or led to another server."""
    figures = await under_load(cluster, name, tasks=10, rounds=1, speed=10, total=PATIENCE)

    assert [] == missed(figures)


@pytest.mark.parametrize("servers", KINDS[1:], indirect=True)
@pytest.mark.parametrize("name", WITH_PGBOUNCER)
async def test_fault_of_pgbouncer(cluster: Cluster, name: str) -> None:
    """So it is where PgBouncer itself goes away."""
    figures = await under_load(cluster, name, tasks=10, rounds=1, speed=10, total=PATIENCE)

    assert [] == missed(figures)


async def test_commits_of_unknown_outcome(cluster: Cluster) -> None:
    """A write whose answer is lost after its commit is repeated, and answers as the first would."""
    figures = await answers_lost(cluster, total=PATIENCE)

    assert [] == missed(figures)


@everywhere(MOMENTS)
async def test_outage_that_storage_outlasts(cluster: Cluster, name: str) -> None:
    """Wherever an install is when a short outage begins, it ends in a success with a row."""
    figures = await short_outage(cluster, name, sites=3, lasts=0.2, total=PATIENCE)

    assert [] == missed(figures)


@everywhere(MOMENTS)
async def test_outage_that_outlasts_storage(cluster: Cluster, name: str) -> None:
    """No code is spent before the claim, none twice, and no success is told without a row (R24)."""
    figures = await long_outage(cluster, name, sites=3, total=1, least=0, patience=PATIENCE)

    assert [] == missed(figures)


@pytest.mark.parametrize("servers", KINDS[:1], indirect=True)
async def test_silent_server(cluster: Cluster) -> None:
    """Many callers for few connections are all refused in time, and served when it goes on."""
    figures = await silence(cluster, callers=100, total=0.5, least=0, patience=PATIENCE)

    assert [] == missed(figures)
