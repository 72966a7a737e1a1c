"""The runs of handlers, noted in a file that outlives the killed processes which write it."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

__all__ = ["LOG", "RunLog", "Runs"]

LOG: Final = "CHAOS_RUNS"
"""The environment variable with the path of the file."""

_NOTING: Final = 5.0
"""Seconds within which a process notes in its storage that a handler has returned. Killed before,
it has been hit, and the event is handled again: many times the duration on a busy machine."""

_Moment: TypeAlias = Literal["began", "ended"]


class RunLog:
    """Writes a line for each beginning and end of a run; a line is one write, and never torn."""

    def __init__(self, path: Path) -> None:
        """Append to the file."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, moment: _Moment, number: int) -> None:
        """Note a moment of the event with this number; all processes have the same clock."""
        os.write(self._file, f"{moment} {os.getpid()} {number} {time.monotonic()}\n".encode())


@dataclass
class Runs:
    """All runs of a scene.

    Attributes:
        processes: The ids of all processes that had handlers, in the order of their starts.
        began: The process and the moment of each run, by the number of the event.
        ended: The same of each run that has returned.
    """

    processes: list[int] = field(default_factory=list)
    began: dict[int, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    ended: dict[int, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls, path: Path) -> Runs:
        """Read the file, which may be written meanwhile."""
        runs = cls()
        text = path.read_text() if path.exists() else ""
        for line in text[: text.rfind("\n") + 1].splitlines():
            moment, process, number, at = line.split()
            if number == "-1":
                runs.processes.append(int(process))
                continue
            of = runs.began if moment == "began" else runs.ended
            of[int(number)].append((int(process), float(at)))
        return runs

    def missing(self, numbers: AbstractSet[int]) -> AbstractSet[int]:
        """Return the events that no handler has finished."""
        return numbers - self.ended.keys()

    def too_often(self, kills: Mapping[int, float] | None = None) -> set[int]:
        """Return the events that were begun more than once, and once more for each kill.

        `kills` has the moments at which processes were killed, by their ids; a kill hit the runs
        that had not ended, or not long enough ago for it to be noted.
        """
        killed = kills or {}
        return {
            number
            for number, began in self.began.items()
            if len(began) > 1 + sum(self._was_hit(number, process, killed) for process, _ in began)
        }

    def again(self) -> int:
        """Return how many runs there were beyond the first of each event."""
        return sum(len(began) - 1 for began in self.began.values())

    def _was_hit(self, number: int, process: int, kills: Mapping[int, float]) -> bool:
        killed_at = kills.get(process)
        if killed_at is None:
            return False
        ends = [at for of, at in self.ended.get(number, []) if of == process]
        return not ends or max(ends) > killed_at - _NOTING
