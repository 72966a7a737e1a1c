"""JSON in signed texts: each text has one meaning, the same for every reader (RFC 8725, 2.4).

Python's own reader takes more than JSON: names that are repeated, NaN, and any depth until its
stack is full, so that one text could be read in one task and not in another.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, Final, NoReturn

__all__ = ["read_json"]

_MAX_DEPTH: Final = 100
"""Lists and objects in one another. Wix's events have under ten; Python's stack ends at 1000, less
the calls that led to the reader."""


def read_json(text: str) -> Any:
    """Return the value that `text` means. Its errors hold `text`, so that no error may go out.

    Raises:
        json.JSONDecodeError: It is no JSON.
        ValueError: It repeats a name, has a number that is not finite or has thousands of digits,
            or too many lists and objects in one another.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_read_float,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise ValueError("is nested too deep") from None
    if _is_deeper(value, _MAX_DEPTH):
        raise ValueError("is nested too deep")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("repeats a name")
    return values


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("has a number that is not finite")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        level = [child for each in level for child in _children(each)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
