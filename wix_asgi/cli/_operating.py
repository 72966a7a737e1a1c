"""Shared parts of the commands for operators: storages, errors, and progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn, TypeVar
from urllib.parse import unquote

import anyio
import typer

from wix_asgi.errors import BackendNotFound, SettingsError, StorageUnavailable, WixError
from wix_asgi.storage import Storage, open_storage

__all__ = [
    "Progress",
    "count",
    "fail",
    "listed",
    "opened",
    "readable",
    "run",
    "shown",
    "utc_text",
]

T = TypeVar("T")

# Records between two lines of progress: often enough to show that work on a large storage goes on,
# and never for a small storage.
_STEP: Final = 1000

# Instance ids in one message: ten ids of 36 letters fill about five lines of a terminal.
_MOST_LISTED: Final = 10


class Progress:
    """Prints a line on stderr after every thousand records, on a terminal or with `--verbose`."""

    def __init__(self, *, verbose: bool) -> None:
        """Print if `verbose`, or if stderr is a terminal."""
        self._wanted = verbose or sys.stderr.isatty()

    def tell(self, seen: int, line: str) -> None:
        """Print `line` if the number of records seen is a multiple of a thousand."""
        if self._wanted and seen % _STEP == 0:
            typer.echo(line, err=True)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` on asyncio, the event loop that every backend supports.

    Raises:
        typer.Exit: The work failed; the reason was printed.
    """
    try:
        return anyio.run(work)
    except WixError as exc:
        fail(exc.message)


def fail(message: str, *, status: int = 1) -> NoReturn:
    """Print `message` on stderr.

    Raises:
        typer.Exit: Always, with `status`.
    """
    typer.echo(f"wix-asgi: {message}", err=True)
    raise typer.Exit(status)


@contextlib.asynccontextmanager
async def opened(url: str, name: str, *, is_there: bool = True) -> AsyncIterator[Storage]:
    """Open the storage of `url` for a block; the messages of errors begin with `name`.

    A missing SQLite file is created only if `is_there` is false.

    Raises:
        SettingsError: The storage does not exist, or is in the memory of one process.
        StorageUnavailable: The storage cannot be reached.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            storage = await stack.enter_async_context(_found(url, is_there=is_there))
        except (BackendNotFound, SettingsError) as exc:
            raise SettingsError(f"{name}: {exc.message}") from None
        except StorageUnavailable as exc:
            raise StorageUnavailable(f"{name}: {exc.message}") from exc
        yield storage


@contextlib.asynccontextmanager
async def _found(url: str, *, is_there: bool) -> AsyncIterator[Storage]:
    if url.lower().startswith("memory://"):
        raise SettingsError("memory:// is within one process, and empty in any other.")
    storage = open_storage(url)
    if is_there and _is_missing_file(url):
        raise SettingsError("There is no such file.")
    try:
        await storage.open()
        yield storage
    finally:
        await storage.aclose()


def _is_missing_file(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    path = Path(unquote(rest[1:]))
    return scheme.lower() == "sqlite" and path.parent.is_dir() and not path.exists()


def shown(url: str) -> str:
    """Return the printable part of a storage's URL; only these two schemes have no passwords."""
    scheme = url.partition("://")[0]
    return url if scheme.lower() in {"sqlite", "memory"} else f"{scheme}://…"


def count(number: int, noun: str = "installation") -> str:
    """Return "1 installation", or "2 installations"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def utc_text(moment: datetime | None) -> str | None:
    """Return a moment as JSON has it, such as 2026-11-01T12:00:00Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def readable(time: str | None) -> str:
    """Return the text of a moment for people, without a zone."""
    return time.replace("T", " ").removesuffix("Z") if time else "unknown"


def listed(ids: Iterable[str]) -> str:
    """Return the first ids on one line, in printable ASCII, and the number of further ids."""
    every = [ascii(instance_id)[1:-1] for instance_id in ids]
    more = len(every) - _MOST_LISTED
    first = ", ".join(every[:_MOST_LISTED])
    return f"{first} and {more:,} more" if more > 0 else first
