"""Runs a module of this folder in a process of its own: a tracker changes its whole process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.limits import PATIENCE
from tests.servers import ROOT


def lines_of(module: str) -> list[dict[str, Any]]:
    """Return the objects that the module prints, one in each line."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
