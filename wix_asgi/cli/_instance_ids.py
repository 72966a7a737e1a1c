"""Instance ids from a file: one a line, or a column of a CSV file."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["InstanceIds", "read_instance_ids"]

_HEADER: Final = "instanceid"
"""The name of the column, without case, spaces and underscores: `instanceId`, `Instance ID`."""

_DELIMITERS: Final = ",;\t"

_INSTANCE_ID: Final = re.compile(r"[!-~]{1,128}")
"""Visible ASCII; Wix's ids are GUIDs of 36 characters, and Wix is asked for each of them."""


@dataclass(slots=True)
class InstanceIds:
    """The ids of a file.

    Attributes:
        found: Each once, in the order of the file.
        bad_lines: The numbers of the lines without an id; the first line is 1.
    """

    found: list[str] = field(default_factory=list)
    bad_lines: list[int] = field(default_factory=list)


def read_instance_ids(path: Path) -> InstanceIds:
    """Read the ids of a file; empty lines are left out.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not UTF-8, or none of its columns has the name.
    """
    lines = path.read_text("utf-8-sig").splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = next((mark for mark in _DELIMITERS if mark in first), ",")
    column, has_header = _column(_cells(first, delimiter))
    ids = InstanceIds()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if has_header:
            has_header = False
            continue
        cells = _cells(line, delimiter)
        instance_id = cells[column].strip() if column < len(cells) else ""
        if _INSTANCE_ID.fullmatch(instance_id):
            ids.found.append(instance_id)
        else:
            ids.bad_lines.append(number)
    ids.found = list(dict.fromkeys(ids.found))
    return ids


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _column(cells: list[str]) -> tuple[int, bool]:
    """Return the place of the column with the ids, and whether the first line is a header."""
    names = [re.sub(r"[\s_-]", "", cell).casefold() for cell in cells]
    if _HEADER in names:
        return names.index(_HEADER), True
    if len(names) > 1:
        raise ValueError("none of its columns is named instanceId in its first line")
    return 0, False
