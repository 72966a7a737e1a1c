"""`include_name` for Alembic: has `--autogenerate` leave the tables of wix-asgi alone.

Alembic drops tables that are in the database and not in the application's models. It is not
imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wix_asgi_backends._schema import METADATA

__all__ = ["include_name"]


def include_name(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:
    """Return False for the tables of wix-asgi, and for their columns and indexes, in any schema.

    Pass it to `context.configure` in `env.py`, alone or as a part of a function of your own:
    `return include_name(name, type_, parent_names) and …`.
    """
    table = name if type_ == "table" else parent_names.get("table_name")
    return table not in METADATA.tables
