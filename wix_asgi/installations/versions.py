"""The versions of records: random names, some with a mark that all processes read with the row."""

from __future__ import annotations

import secrets
from typing import Final

__all__ = ["is_of_found_installation", "is_of_rotated_token", "next_version"]

_ROTATED: Final = "rotated:"
"""The mark of a record whose refresh token a refresh has brought. Others may stand before it, such
as that of a copied record."""


_FOUND: Final = "found:"
"""The mark of a record that no browser has brought, until the callback of its install takes it
over. Workers of the release before drop it with their next write; then that callback begins anew.
"""


def next_version(current: str = "", *, is_rotated: bool = False, is_found: bool = False) -> str:
    """Return a version that was never used before.

    It has the mark of a rotated refresh token if the token `is_rotated` now, or was `current`ly;
    and that of a found installation in the same way.
    """
    marks = _ROTATED if is_rotated or is_of_rotated_token(current) else ""
    marks += _FOUND if is_found or is_of_found_installation(current) else ""
    return marks + secrets.token_hex(8)


def is_of_rotated_token(version: str) -> bool:
    """Whether a refresh has brought the refresh token of the record with this version."""
    return _ROTATED in version


def is_of_found_installation(version: str) -> bool:
    """Whether the installation with this version was found at Wix, and came by no browser."""
    return _FOUND in version
