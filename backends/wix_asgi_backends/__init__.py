"""The storage backends that come with wix-asgi: memory, SQLite and Postgres.

`wix_asgi.storage` finds them by the scheme of a URL, through entry points. Public are the class of
each module without an underscore, the tables' `METADATA`, and `alembic.include_name`. Of wix-asgi
they import the storage protocol, the models and the errors, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["METADATA"]

if TYPE_CHECKING:
    from wix_asgi_backends._schema import METADATA
else:  # Hidden from type checkers, which would take any name to be here.

    def __getattr__(name: str) -> object:
        if name != "METADATA":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Read only when asked for: SQLAlchemy takes most of a second to import.
        from wix_asgi_backends._schema import METADATA, complete_for_postgres  # noqa: PLC0415

        complete_for_postgres()
        return METADATA
