"""docs/migrations.md with a real drizzle-kit, which npm installs."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import store, stored
from tests.daemons import connected
from tests.limits import PATIENCE
from tests.migrations.documented import block

PACKAGES = ["drizzle-kit@0.31", "drizzle-orm@0.45", "pg@8"]
SCHEMA = """
import { integer, pgTable } from "drizzle-orm/pg-core";
export const shops = pgTable("shops", { id: integer().primaryKey() });
"""
SETTINGS = block("ts", "tablesFilter")
FILTER = '  tablesFilter: ["!wix_*"],\n'


@pytest.fixture(name="room", scope="module")
def _room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with drizzle-kit, and a schema of one table."""
    room = tmp_path_factory.mktemp("drizzle")
    assert shutil.which("npm"), "install Node.js with npm"
    (room / "package.json").write_text('{"private": true}')
    command = ["npm", "install", "--no-fund", "--no-audit", *PACKAGES]
    subprocess.run(command, cwd=room, capture_output=True, timeout=5 * PATIENCE, check=True)
    (room / "schema.ts").write_text(SCHEMA)
    return room


def push(room: Path, settings: str, url: str, *options: str) -> None:
    """Make the database equal to the schema, with these settings."""
    (room / "drizzle.config.ts").write_text(settings)
    subprocess.run(
        ["npx", "drizzle-kit", "push", *options],
        cwd=room,
        env={**os.environ, "DATABASE_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )


async def tables(url: str) -> set[str]:
    """Return the names of the tables."""
    async with connected(url) as connection:
        rows = await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
    return {row["table_name"] for row in rows}


def test_our_tables_are_left_alone(room: Path, postgres_url: str) -> None:
    """With the documented filter a forced push makes the app's table, and costs no installation."""
    store(postgres_url, "a")
    push(room, SETTINGS, postgres_url, "--force")

    ours = {"wix_claims", "wix_events", "wix_installations"}
    assert {"shops", *ours} == asyncio.run(tables(postgres_url))
    assert 1 == len(stored(postgres_url))


def test_danger_is_real(room: Path, postgres_url: str) -> None:
    """Without the filter a forced push drops all tables, with all installations."""
    store(postgres_url, "a")
    push(room, SETTINGS, postgres_url)
    assert FILTER in SETTINGS
    push(room, SETTINGS.replace(FILTER, ""), postgres_url, "--force")

    assert {"shops"} == asyncio.run(tables(postgres_url))
