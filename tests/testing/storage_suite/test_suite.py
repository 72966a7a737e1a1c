"""The suite as the author of a backend meets it: a fixture, an import, and plain pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.limits import PATIENCE
from tests.servers import ROOT
from tests.testing.storage_suite import expected, expected_inboxes
from wix_asgi.testing import storage, storage_check
from wix_asgi.testing.storage import (
    adding,
    claim_owners,
    combining,
    event_lifecycle,
    event_processes,
    event_purging,
    event_unreachable,
    events,
    lifecycle,
    processes,
    purging,
    restoring,
    unreachable,
)
from wix_asgi.testing.storage_check.catalogue import EVENTS, MODULES

PLAIN = """
import pytest
from wix_asgi.testing.storage import *
from tests.testing.storage_suite.broken import {name} as Backend

@pytest.fixture
def make_storage():
    storage = Backend()
    return lambda: storage
"""
INTACT = PLAIN.replace(
    "tests.testing.storage_suite.broken import {name}", "wix_asgi_backends.memory import {name}"
)
ALL = [
    *MODULES,
    *EVENTS,
    adding,
    claim_owners,
    combining,
    event_lifecycle,
    event_processes,
    event_purging,
    event_unreachable,
    lifecycle,
    purging,
    processes,
    restoring,
    unreachable,
]
EVENT_CASES = """
from wix_asgi.testing.storage.events import *
"""
ADDING = """
from wix_asgi.testing.storage.adding import *
"""
DOWN = """
from wix_asgi.testing.storage.unreachable import *

@pytest.fixture
def unreachable_storage():
    return Backend(is_down=True)
"""


def run_suite(room: Path, program: str, *options: str) -> tuple[Counter[str], set[str], str]:
    """Run the suite in pytest with anyio alone; return outcomes, failures and output."""
    (room / "test_backend.py").write_text(program, "utf-8")
    # Keeps the pytest settings of the folders above away from this run.
    (room / "pytest.ini").write_text("[pytest]\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-Werror", "-p", "anyio.pytest_plugin"]
    plain = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [*command, f"--rootdir={room}", *options, "test_backend.py"],
        cwd=room,
        env={**os.environ, **plain, "TZ": "UTC", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    *_, summary = ran.stdout.splitlines()
    counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (\w+)", summary)}
    failed = re.findall(r"^FAILED test_backend\.py::(.+?)(?: - .*)?$", ran.stdout, re.MULTILINE)
    return Counter(counts), set(failed), ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "program", [INTACT.format(name="MemoryStorage"), PLAIN.format(name="OneByOne")]
)
def test_intact_backend(tmp_path: Path, program: str) -> None:
    """A backend that keeps the contract passes more than a hundred cases, and none is left out."""
    counts, failed, shown = run_suite(tmp_path, program)

    assert set() == failed, shown
    assert counts.keys() <= {"passed"}, shown
    assert counts["passed"] >= 250


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("SelectThenDelete", expected.CLAIMS),
        ("LastWriterWins", expected.REPLACED),
        ("NaiveTimes", expected.TIMES),
        ("FoldedKeys", expected.KEYS),
        ("UncountedPurge", expected.PURGED),
    ],
)
def test_broken_backend(tmp_path: Path, name: str, cases: set[str]) -> None:
    """Each fault is found by the cases that are about it, and by no other."""
    # In threads a fault of claims shows itself or not.
    by_chance = ["--deselect=test_backend.py::test_loops_at_once"]
    counts, failed, shown = run_suite(tmp_path, PLAIN.format(name=name), *by_chance)

    assert cases == failed, shown
    assert counts.keys() <= {"passed", "failed", "deselected"}, shown


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("LooksThenAdds", expected.ADDED_TWICE),
        ("AddsOver", expected.ADDED_OVER),
        ("FormerFields", expected.FORMER),
    ],
)
def test_broken_adding(tmp_path: Path, name: str, cases: set[str]) -> None:
    """A fault of `add`, or of the fields that came with it, is found by the cases of it alone."""
    counts, failed, shown = run_suite(tmp_path, PLAIN.format(name=name) + ADDING)

    assert cases == failed, shown
    assert counts.keys() <= {"passed", "failed"}, shown


def test_intact_inbox(tmp_path: Path) -> None:
    """An inbox that keeps the contract passes more than three hundred cases of it."""
    program = INTACT.format(name="MemoryStorage") + EVENT_CASES
    counts, failed, shown = run_suite(tmp_path, program)

    assert set() == failed, shown
    assert counts.keys() <= {"passed"}, shown
    assert counts["passed"] >= 600


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("PurgesWaiting", expected_inboxes.PURGED_WAITING),
        ("PurgesWithoutKeys", expected_inboxes.PURGED_WITHOUT_KEYS),
    ],
)
def test_broken_purge_of_events(tmp_path: Path, name: str, cases: set[str]) -> None:
    """A fault of purging an inbox, which no check of a store in use looks for, is found."""
    program = PLAIN.replace("broken import", "broken_inboxes import").format(name=name)
    counts, failed, shown = run_suite(tmp_path, program + EVENT_CASES, "-k", "purge")

    assert cases == failed, shown
    assert counts.keys() <= {"passed", "failed", "deselected"}, shown


def test_swallowed_errors(tmp_path: Path) -> None:
    """A store that is down and pretends to be empty is detected."""
    counts, failed, shown = run_suite(tmp_path, PLAIN.format(name="SwallowedErrors") + DOWN)

    assert expected.ERRORS == failed, shown
    assert counts.keys() <= {"passed", "failed"}, shown


def test_both_sides_are_shown(tmp_path: Path) -> None:
    """An author sees both the expected and the actual value."""
    _, _, shown = run_suite(
        tmp_path, PLAIN.format(name="LastWriterWins"), "-k", "test_replace_has_one_winner"
    )

    assert "assert ['from-19'] == [" in shown


def test_second_fixture_is_asked_for(tmp_path: Path) -> None:
    """A case that lacks its fixture is an error that names it, and is not left out."""
    counts, _, shown = run_suite(
        tmp_path,
        INTACT.format(name="MemoryStorage") + DOWN.partition("\n@")[0],
        "-k",
        "unreachable_to_many",
    )

    assert 1 == counts["error"] + counts["errors"], shown
    assert "fixture 'unreachable_storage' not found" in shown


def cases_of(module: Any) -> list[str]:
    """Return the names of the cases that a module exports."""
    return [name for name in module.__all__ if name.startswith("test_")]


def test_names_are_unique() -> None:
    """No case hides another of the same name, and every case is exported."""
    names = Counter(name for module in ALL for name in cases_of(module))
    written = {name for module in ALL for name in vars(module) if name.startswith("test_")}
    inbox = [*EVENTS, event_lifecycle, event_purging]

    assert [] == [name for name, number in names.items() if number > 1]
    assert names.keys() == written
    assert [] == [m.__name__ for m in ALL if sorted(m.__all__) != m.__all__]
    assert {*cases_of(storage)} < names.keys()
    assert {*events.__all__} == {name for module in inbox for name in cases_of(module)}


def test_every_case_states_its_rule() -> None:
    """The first line of a case is one sentence, which `check` reports as the rule."""
    rules = {
        name: (getattr(module, name).__doc__ or "").partition("\n")[0]
        for module in ALL
        for name in cases_of(module)
    }

    assert [] == [name for name, rule in rules.items() if not rule.endswith(".")]
    assert [] == [rule for rule, number in Counter(rules.values()).items() if number > 1]


WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = sys.modules["_pytest"] = None
import wix_asgi.testing
from wix_asgi.testing.storage_check import check
"""


def test_pytest_is_not_needed_to_check() -> None:
    """A store in use can be checked without pytest."""
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYTEST], capture_output=True, text=True, check=False
    )

    assert (0, "") == (ran.returncode, ran.stderr)
    assert ["CHECK_SECONDS", "Finding", "check"] == storage_check.__all__
