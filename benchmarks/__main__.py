"""`python -m benchmarks [NAME …]`: print ratios of one run, of these benchmarks or of all."""

from __future__ import annotations

import sys

from benchmarks import calls, growth, importing, inbox, passing, rechecking, webhooks

ALL = {
    "importing": importing,
    "passing": passing,
    "calls": calls,
    "growth": growth,
    "inbox": inbox,
    "rechecking": rechecking,
    "webhooks": webhooks,
}


def main(names: list[str]) -> None:
    """Run the benchmarks of these names, or all of them."""
    for name in names or ALL:
        module = ALL[name]
        print(f"{name}\n{module.report(module.measure())}\n")


main(sys.argv[1:])
