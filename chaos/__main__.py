"""`python -m chaos [names]`: break things at full size, and print all counts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Final

from chaos import (
    anonymous,
    installing,
    killing,
    moving,
    outages,
    postgres_faults,
    purging,
    refreshing,
    rotating,
    sqlite_faults,
    webhooks,
)
from chaos.figures import Figure, table
from chaos.stores import Stores, open_stores

__all__: list[str] = []

Scenario = Callable[[Stores], Iterator[Figure]]
SCENARIOS: Final[dict[str, Scenario]] = {
    "refreshing": refreshing.measure,
    "rotating": rotating.measure,
    "moving": moving.measure,
    "outages": outages.measure,
    "installing": installing.measure,
    "killing": killing.measure,
    "postgres_faults": postgres_faults.measure,
    "sqlite_faults": sqlite_faults.measure,
    "anonymous": anonymous.measure,
    "purging": purging.measure,
    "webhooks": webhooks.measure,
}


def main(names: list[str]) -> int:
    """Run the scenarios of these names, or all of them; return how many figures were missed."""
    figures: list[Figure] = []
    with open_stores() as stores:
        for name in names or SCENARIOS:
            print(f"{name}…", flush=True)
            for figure in SCENARIOS[name](stores):
                print(f"  {figure}", flush=True)
                figures.append(figure)
    print(f"\n{table(figures)}")
    return sum(not figure.held for figure in figures)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
