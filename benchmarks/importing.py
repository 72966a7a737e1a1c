"""The cost of `import wix_asgi`, beside that of the libraries which it cannot do without."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from time import perf_counter

__all__ = ["measure", "report"]

ROUNDS = 7
NEEDED = "import starlette.applications, httpx, pydantic_settings"
HEAVY = ("sqlalchemy", "sqlmodel", "fastapi", "uvicorn", "asyncpg", "aiosqlite")


def measure() -> dict[str, float]:
    """Import in fresh interpreters, in turns; seconds, their ratio, and heavy modules loaded."""
    commands = {"needed": NEEDED, "wix_asgi": "import wix_asgi"}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, code in commands.items():
            began = perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times[name].append(perf_counter() - began)
    figures = {name: median(values) for name, values in times.items()}
    code = f"import sys, wix_asgi; print(sum(name in sys.modules for name in {HEAVY!r}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return figures | {
        "wix_asgi_to_needed": figures["wix_asgi"] / figures["needed"],
        "heavy_modules": float(loaded.stdout),
    }


def report(figures: dict[str, float]) -> str:
    """Return the lines that `python -m benchmarks` prints."""
    return (
        f"import wix_asgi {figures['wix_asgi'] * 1000:.0f} ms, what it needs "
        f"{figures['needed'] * 1000:.0f} ms: {figures['wix_asgi_to_needed']:.2f} x (goal <= 1.3)\n"
        f"  loaded of {', '.join(HEAVY)}: {figures['heavy_modules']:.0f} (goal 0)"
    )


if __name__ == "__main__":
    print(report(measure()))
