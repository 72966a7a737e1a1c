"""The blocks of docs/migrations.md, for the tests that run them."""

from __future__ import annotations

import re
from typing import Final

from tests.servers import ROOT

__all__ = ["PAGE", "block"]

PAGE: Final = (ROOT / "docs" / "migrations.md").read_text("utf-8")


def block(language: str, text: str) -> str:
    """Return the one block of the page in this language that has this text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (found,) = [each for each in blocks if text in each]
    return str(found)
