"""Our command with the Typer that `faststream[cli]` allows, which is not the newest."""

from __future__ import annotations

from tests.cli import test_cli as command


def test_options_of_the_demo() -> None:
    """An option has its own name, though Typer 0.27 would give it that of its metavar."""
    command.test_help_of_the_demo_names_its_options()
