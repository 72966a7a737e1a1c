"""Files of instance ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from wix_asgi.cli._instance_ids import read_instance_ids

GUID = "5f3b1f5e-7d31-4c52-8f9d-3c2f0a9b1e77"


@pytest.mark.parametrize(
    ("text", "found", "bad_lines"),
    [
        (f"{GUID}\nb\n", [GUID, "b"], []),
        (f"\ufeff{GUID}\r\n\r\n  b  \r\n", [GUID, "b"], []),
        ("instanceId\na\na\n", ["a"], []),
        ('name,Instance ID\n"Shop, big",a\nSmall,b\nAlone\n', ["a", "b"], [4]),
        ("instance_id;name\na;x\n;y\n", ["a"], [3]),
        ("name\tinstanceId\nx\ta b\ny\tc\n", ["c"], [2]),
        ("\n\na\u00e9\nb\n", ["b"], [3]),
        ("", [], []),
    ],
    ids=["lines", "windows", "one column", "quotes", "semicolons", "tabs", "letters", "empty"],
)
def test_ids_are_found(tmp_path: Path, text: str, found: list[str], bad_lines: list[int]) -> None:
    """Each id once and in order, and the numbers of the lines without one."""
    path = tmp_path / "ids"
    path.write_text(text, "utf-8", newline="")
    ids = read_instance_ids(path)

    assert (found, bad_lines) == (ids.found, ids.bad_lines)


def test_a_table_needs_a_header(tmp_path: Path) -> None:
    """Of several columns without names none is guessed."""
    path = tmp_path / "ids"
    path.write_text(f"Shop,{GUID}\n", "utf-8")

    with pytest.raises(ValueError, match="named instanceId"):
        read_instance_ids(path)
