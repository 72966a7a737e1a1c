"""What the commands for operators have in common: storages, errors, and progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, NoReturn, TypeVar
from urllib.parse import unquote

import anyio
import typer

from wix_asgi.errors import BackendNotFound, SettingsError, StorageUnavailable, WixError
from wix_asgi.storage import Storage, open_storage

__all__ = ["Progress", "count", "fail", "listed", "opened", "run", "shown"]

T = TypeVar("T")

_STEP: Final = 1000
_MOST_LISTED: Final = 10


class Progress:
    """A line on stderr for every thousand records, where somebody sees it or asked for it."""

    def __init__(self, *, verbose: bool) -> None:
        """Write if `verbose`, or if stderr is a terminal."""
        self._wanted = verbose or sys.stderr.isatty()

    def tell(self, seen: int, line: str) -> None:
        """Write `line` if `seen` records are a round number."""
        if self._wanted and seen % _STEP == 0:
            typer.echo(line, err=True)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` on asyncio, which every backend runs on.

    Raises:
        typer.Exit: It cannot be done; why was printed.
    """
    try:
        return anyio.run(work)
    except WixError as exc:
        fail(exc.message)


def fail(message: str) -> NoReturn:
    """Print `message` on stderr.

    Raises:
        typer.Exit: Always, with status 1.
    """
    typer.echo(f"wix-asgi: {message}", err=True)
    raise typer.Exit(1)


@contextlib.asynccontextmanager
async def opened(url: str, name: str, *, is_there: bool = True) -> AsyncIterator[Storage]:
    """Open the storage of `url`, which other processes can open, too; errors call it `name`.

    A file is not made unless it need not be there.

    Raises:
        SettingsError: There is no such storage, or it is in memory.
        StorageUnavailable: It cannot be reached.
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
    """Return what may be printed of a storage's URL: others than these can have passwords."""
    scheme = url.partition("://")[0]
    return url if scheme.lower() in {"sqlite", "memory"} else f"{scheme}://…"


def count(number: int) -> str:
    """Return "1 installation", or "2 installations"."""
    return f"{number:,} installation{'' if number == 1 else 's'}"


def listed(ids: Iterable[str]) -> str:
    """Return the first ids on one line, whatever is in them, and how many more there are."""
    every = [ascii(instance_id)[1:-1] for instance_id in ids]
    more = len(every) - _MOST_LISTED
    first = ", ".join(every[:_MOST_LISTED])
    return f"{first} and {more:,} more" if more > 0 else first
