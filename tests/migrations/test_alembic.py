"""docs/migrations.md with a real Alembic: its snippets, in the `env.py` that Alembic makes."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script

from tests.backends.workers_of_before import tables
from tests.cli.commands import store, stored
from tests.daemons import execute
from tests.migrations.documented import block
from wix_asgi.storage import TableStorage, open_storage

MODELS = """
from sqlalchemy import Column, Integer, MetaData, Table

target_metadata = MetaData()
Table("shops", target_metadata, Column("id", Integer, primary_key=True))
"""
OFFERED = """\
def do_run_migrations(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=target_metadata)

    with context.begin_transaction():
        context.run_migrations()
"""
LEFT_ALONE = block("python", "def do_run_migrations")
IMPORT = "from wix_asgi_backends.alembic import include_name\n"
WITH_OURS = block("python", "def include_name")
OWNED = block("python", "METADATA")


@dataclass(frozen=True)
class Project:
    """An app with one model and Alembic, in a database that it shares with wix-asgi."""

    room: Path
    storage_url: str
    execute: Callable[[str], None]

    @property
    def alembic(self) -> Config:
        """The settings of Alembic: none of logging, which would be that of all later tests."""
        config = Config(stdout=io.StringIO())
        driver = "sqlite+aiosqlite:" if "sqlite:" in self.storage_url else "postgresql+asyncpg:"
        _, _, place = self.storage_url.partition("&")[0].partition(":")
        config.set_main_option("script_location", str(self.room / "migrations"))
        config.set_main_option("sqlalchemy.url", driver + place)
        return config

    def check(self) -> str:
        """Return what `alembic check` prints where it finds no difference."""
        printed = io.StringIO()
        config = self.alembic
        config.stdout = printed
        command.check(config)
        return printed.getvalue()

    def set_up(self, *changes: tuple[str, str]) -> None:
        """Write `env.py` as Alembic offers it, with the models and these changes."""
        env = self.room / "migrations" / "env.py"
        template = self.room / "env.offered"
        if not template.exists():
            template.write_text(env.read_text())
        text = template.read_text()
        for old, new in (("target_metadata = None\n", MODELS), *changes):
            assert old in text
            text = text.replace(old, new)
        env.write_text(text)

    def revision(self) -> str:
        """Return the revision that Alembic writes by itself, and forget it."""
        written = self.write_revision()
        text = written.read_text()
        written.unlink()
        return text

    def write_revision(self) -> Path:
        """Have Alembic write a revision by itself; return its file."""
        script = command.revision(self.alembic, autogenerate=True)
        assert isinstance(script, Script)
        return Path(script.path)


def make_project(room: Path, url: str, execute: Callable[[str], None]) -> Project:
    """Return a project as `alembic init` makes one, over the database of a storage."""
    project = Project(room, url, execute)
    offered = Config(room / "alembic.ini", stdout=io.StringIO())
    command.init(offered, str(room / "migrations"), template="async")
    return project


@pytest.fixture(name="project", params=["sqlite", "postgres"])
def _project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    if request.param == "sqlite":
        path = tmp_path / "app.db"
        return make_project(tmp_path, f"sqlite:///{path}", lambda sql: in_file(path, sql))
    url: str = request.getfixturevalue("postgres_url")
    return make_project(tmp_path, url, lambda sql: asyncio.run(execute(url, sql)))


def in_file(path: Path, statements: str) -> None:
    """Carry out statements in an SQLite file, which its owner alone may open."""
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)


def test_our_tables_are_left_alone(project: Project) -> None:
    """Alembic alone drops all tables; with the first snippet an upgrade costs no installation."""
    store(project.storage_url, "a")
    project.set_up()
    without = project.revision()
    project.set_up((OFFERED, LEFT_ALONE))
    written = project.write_revision().read_text()
    command.upgrade(project.alembic, "head")

    assert "op.drop_table('wix_installations')" in without
    assert "op.drop_table('wix_claims')" in without
    assert "op.create_table('shops'" in written
    assert "wix_" not in written
    assert 1 == len(stored(project.storage_url))


def test_with_an_include_name_of_the_app(project: Project) -> None:
    """An `include_name` of the app has its say about all other tables."""
    store(project.storage_url, "a")
    project.execute("CREATE TABLE legacy_shops (id BIGINT); CREATE TABLE unknown (id BIGINT)")
    project.set_up((OFFERED, LEFT_ALONE.replace(IMPORT, WITH_OURS)))
    written = project.revision()

    assert "op.drop_table('unknown')" in written
    assert "wix_" not in written
    assert "legacy_shops" not in written


def test_alembic_makes_our_tables(project: Project) -> None:
    """With `METADATA` a revision makes the tables, and wix-asgi finds nothing to make there."""
    project.set_up((MODELS, MODELS + OWNED))
    written = project.write_revision().read_text()
    command.upgrade(project.alembic, "head")
    made = asyncio.run(make_tables(project.storage_url))
    store(project.storage_url, "a")
    checked = project.check()

    assert "op.create_table('wix_installations'" in written
    assert "op.create_index('wix_claims_expires_at'" in written
    # A revision names types that its own imports know.
    assert "wix_asgi" not in written
    assert [] == made
    assert "No new upgrade operations detected." in checked
    assert 1 == len(stored(project.storage_url))


def test_alembic_brings_our_tables_up_to_date(project: Project) -> None:
    """With `METADATA` a revision adds columns and a table to an older store, and no more."""
    engine = "sqlite" if "sqlite:" in project.storage_url else "postgres"
    project.execute(tables(engine))
    project.execute("CREATE TABLE shops (id INTEGER NOT NULL PRIMARY KEY)")
    project.set_up((MODELS, MODELS + OWNED))
    written = project.write_revision().read_text().partition("def downgrade")[0]
    command.upgrade(project.alembic, "head")

    assert 4 == written.count("op.add_column('wix_installations', ")
    assert 1 == written.count("op.create_table('wix_events'")
    assert 5 == written.count("op.create_index('wix_events_")
    assert 10 == written.count("op.")
    assert [] == asyncio.run(make_tables(project.storage_url))
    assert "No new upgrade operations detected." in project.check()


async def make_tables(url: str) -> list[str]:
    """Make the tables that are missing, and return their names."""
    async with open_storage(url) as storage:
        assert isinstance(storage, TableStorage)
        return list(await storage.make_tables())


def test_our_own_tables_are_those_of_the_metadata(project: Project) -> None:
    """Where wix-asgi made the tables, `METADATA` finds no difference."""
    store(project.storage_url, "a")
    project.execute("CREATE TABLE shops (id INTEGER NOT NULL PRIMARY KEY)")
    project.set_up((MODELS, MODELS + OWNED))

    assert "No new upgrade operations detected." in project.check()


def test_tables_in_a_schema_of_their_own(postgres_url: str, tmp_path: Path) -> None:
    """A schema of their own hides the tables, and `include_name` where Alembic looks everywhere."""
    asyncio.run(execute(postgres_url, block("sql", "SCHEMA")))
    project = make_project(tmp_path, f"{postgres_url}&search_path=wix", lambda _: None)
    store(project.storage_url, "a")
    written = dict[str, str]()
    everywhere = "include_name=include_name, include_schemas=True"
    for name, text in {
        "hidden": OFFERED,
        "seen": OFFERED.replace("target_metadata)", "target_metadata, include_schemas=True)"),
        "spared": LEFT_ALONE.replace("include_name=include_name", everywhere),
    }.items():
        project.set_up((OFFERED, text))
        written[name] = project.revision()

    assert "wix_" not in written["hidden"]
    assert "op.drop_table('wix_claims', schema='wix')" in written["seen"]
    assert "wix_" not in written["spared"]
