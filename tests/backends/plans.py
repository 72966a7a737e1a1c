"""The plans that Postgres makes for prepared statements."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["generic_plan"]

_PARAMETER: Final = re.compile(r"\$\d+")


async def generic_plan(connection: AsyncConnection, statement: str) -> list[str]:
    """Return the plan of a statement for any values, which a session may keep after five."""
    values = ", ".join("NULL" for _ in set(_PARAMETER.findall(statement)))
    await connection.exec_driver_sql("SET plan_cache_mode = force_generic_plan")
    await connection.exec_driver_sql(f"PREPARE generic AS {statement}")
    found = await connection.exec_driver_sql(f"EXPLAIN EXECUTE generic({values})".replace("()", ""))
    lines = [str(row[-1]) for row in found]
    await connection.exec_driver_sql("DEALLOCATE generic")
    await connection.exec_driver_sql("RESET plan_cache_mode")
    return lines
