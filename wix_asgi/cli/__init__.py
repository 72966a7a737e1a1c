"""The `wix-asgi` command, which needs the extra `cli`; one module for each group of commands.

It may import everything of the package, and nothing imports it.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command, or name the package that has to be installed for it."""
    try:
        from wix_asgi.cli._app import app  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as exc:
        if exc.name not in {"typer", "uvicorn"}:
            raise
        sys.exit(f"wix-asgi needs {exc.name}: pip install 'wix-asgi[cli]'")
    app()
