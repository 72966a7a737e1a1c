"""`python -m benchmarks [importing] [passing] [calls] [growth]`: print ratios of one run."""

from __future__ import annotations

import sys

from benchmarks import calls, growth, importing, passing

ALL = {"importing": importing, "passing": passing, "calls": calls, "growth": growth}


def main(names: list[str]) -> None:
    """Run the benchmarks of these names, or all of them."""
    for name in names or ALL:
        module = ALL[name]
        print(f"{name}\n{module.report(module.measure())}\n")


main(sys.argv[1:])
