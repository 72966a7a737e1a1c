"""`python -m benchmarks [passing] [calls] [importing]`: print ratios measured side by side."""

from __future__ import annotations

import sys

from benchmarks import calls, importing, passing

ALL = {"importing": importing, "passing": passing, "calls": calls}


def main(names: list[str]) -> None:
    """Run the benchmarks of these names, or all of them."""
    for name in names or ALL:
        module = ALL[name]
        print(f"{name}\n{module.report(module.measure())}\n")


main(sys.argv[1:])
