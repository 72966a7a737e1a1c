"""Running the command in process, and the storages for the commands of operators."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import anyio
from typer.testing import CliRunner, Result

from tests.limits import PATIENCE
from tests.operations.sealed import contents, install, record, refresh_token, rewrite
from wix_asgi.cli._app import app
from wix_asgi.models import Record
from wix_asgi.storage import open_storage

COMMAND = Path(sysconfig.get_path("scripts"), "wix-asgi")


def run(*arguments: str) -> Result:
    """Run the command in process."""
    return CliRunner().invoke(app, arguments)


def run_for_real(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own."""
    return subprocess.run(
        [str(COMMAND), *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def store(url: str, *sites: str) -> None:
    """Put records of these sites into a storage."""

    async def main() -> None:
        async with open_storage(url) as storage:
            for site in sites:
                await storage.put(record(site))

    anyio.run(main)


def seal(url: str, *sites: str, key: bytes) -> None:
    """Put installations of these sites into a storage, sealed with this key."""

    async def main() -> None:
        async with open_storage(url) as storage:
            await install(storage, *sites, key=key)

    anyio.run(main)


def refresh(url: str, site: str) -> None:
    """Change the record of a site as an app does."""

    async def main() -> None:
        async with open_storage(url) as storage:
            await rewrite(storage, site)

    anyio.run(main)


def stored(url: str) -> list[Record]:
    """Return every record of a storage, without its times."""

    async def main() -> list[Record]:
        async with open_storage(url) as storage:
            return await contents(storage)

    return anyio.run(main)


def opened(url: str, site: str, *keys: bytes) -> str:
    """Return the refresh token of a site, opened with these keys."""

    async def main() -> str:
        async with open_storage(url) as storage:
            return await refresh_token(storage, site, *keys)

    return anyio.run(main)
