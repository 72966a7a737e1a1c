"""`python -m benchmarks [NAME …]`: print the tables of these names, or all of them."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Final

from benchmarks.rounds import Plan

TABLES: Final = (
    "startup",
    "passing",
    "calls",
    "install",
    "refresh",
    "storage",
    "tokens",
    "webhooks",
    "growth",
    "inbox",
)
"""Each is a module with `measure(plan)`, which gives one comparison after another."""


def run(name: str, plan: Plan) -> list[dict[str, object]]:
    """Print one table as it is measured; return its figures."""
    module = importlib.import_module(f"benchmarks.{name}")
    records: list[dict[str, object]] = []
    print(f"## {name}", flush=True)
    for comparison in module.measure(plan):
        print("\n".join(comparison.lines()), flush=True)
        records.extend(comparison.records())
    print(flush=True)
    return records


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    load = os.getloadavg()[0]
    found = {"python": platform.python_version(), "system": platform.platform()}
    return found | {"cpus": os.cpu_count(), "load": load}


def main() -> None:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(TABLES):
        parser.error(f"no such table: {', '.join(sorted(unknown))}")
    plan = Plan.quick() if arguments.quick else Plan()
    if loaded := {"trio", "pytest"} & set(sys.modules):
        print(f"NOTICE: {', '.join(sorted(loaded))} is loaded, which no user's app has.")
    figures: dict[str, object] = {"machine": machine()}
    print(figures["machine"], flush=True)
    for name in arguments.names or TABLES:
        figures[name] = run(name, plan)
        if arguments.json:
            # After each table, so that a run that is stopped has left what it had.
            arguments.json.write_text(json.dumps(figures, indent=1))


main()
