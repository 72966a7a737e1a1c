"""The cost of a start: imports, and an app with its storage open, in fresh interpreters.

The bytecode is compiled before; the CPU is that of the whole process, the interpreter included.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks.rounds import (
    OURS,
    Comparison,
    Goal,
    Plan,
    Turn,
    alone,
    at_most,
    in_loop,
    take_turns,
)

__all__ = ["measure"]

UNITS: Final = {"cpu": "ms of CPU", "time": "ms of time"}
HEAVY: Final = ("sqlalchemy", "sqlmodel", "fastapi", "uvicorn", "asyncpg", "aiosqlite")
NEEDED: Final = "import starlette.applications, httpx, pydantic_settings"
BY_HAND: Final = "import fastapi, sqlmodel, sqlalchemy.ext.asyncio, aiosqlite"
OPENED: Final = """
import asyncio, sys
from wix_asgi import Wix, WixMiddleware
async def main():
    wix = Wix(app_id="app", app_secret="secret-0123456789abcdef", storage=sys.argv[1],
              public_url="https://app.example.com")
    async with wix:
        WixMiddleware(None, wix)
asyncio.run(main())
"""


async def start(code: str, *arguments: str) -> dict[str, float]:
    """Run `code` in an interpreter of its own."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)  # noqa: ASYNC221 - alone
    time, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"cpu": cpu * 1e3, "time": time * 1e3}


def tables(url: str) -> Iterator[tuple[str, dict[str, str], Goal]]:
    """Give the label of each row, the code of each start in it, and the goal."""
    yield "import wix_asgi", {OURS: "import wix_asgi", "what it needs": NEEDED}, at_most(1.15)
    names = "from wix_asgi import Wix, WixMiddleware"
    yield names, {OURS: names, "what it needs": NEEDED}, at_most(1.15)
    opened = OPENED.replace("sys.argv[1]", repr(url))
    yield (
        "with its storage open",
        {OURS: opened, "FastAPI, SQLModel, aiosqlite": BY_HAND},
        at_most(1.2),
    )


async def rows(plan: Plan) -> AsyncIterator[Comparison]:
    """Measure one row after another."""
    with tempfile.TemporaryDirectory() as room:
        for label, codes, goal in tables(f"sqlite:///{Path(room, 'store.db')}"):
            turns: dict[str, Turn] = {name: partial(start, code) for name, code in codes.items()}
            for turn in turns.values():
                await turn()  # which compiles
            (peer,) = codes.keys() - {OURS}
            for found in await take_turns(
                turns, plan, label=label, units=UNITS, goals={peer: goal}
            ):
                yield found
    code = f"import sys, wix_asgi; print(sum(name in sys.modules for name in {HEAVY!r}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: ASYNC221
    yield alone(f"loaded of {', '.join(HEAVY)}", "modules", float(loaded.stdout), at_most(0))


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    return in_loop(rows(plan))
