"""Values for the keys of records, names and events, with which stores have gone wrong."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["LOOKALIKES", "ORDER", "SPLITS", "UNORDERED"]

LOOKALIKES: Final = {
    "case": ("site", "Site"),
    "case beyond ASCII": ("\u00e9t\u00e9", "\u00c9t\u00c9"),
    "Turkish i": ("site", "s\u0131te"),
    "sharp s": ("strasse", "stra\u00dfe"),
    "accent": ("site", "s\u00eete"),
    "Unicode form": (
        unicodedata.normalize("NFC", "s\u00eete"),
        unicodedata.normalize("NFD", "s\u00eete"),
    ),
    "compatible letter": ("K", "\u212a"),
    "wide letter": ("a", "\uff41"),
    "invisible letter": ("site", "si\u200dte"),
    "space behind": ("site", "site "),
    "space before": ("site", " site"),
    "line end behind": ("site", "site\n"),
    "zero behind": ("site", "site\x00"),
    "zero within": ("a\x00b", "a\x00c"),
    "wildcard of many": ("site", "s%"),
    "wildcard of one": ("site", "sit_"),
    "star": ("site", "s*"),
    "backslash": ("si\\te", "si\\\\te"),
    "quote": ("it's", "it''s"),
    "number": ("1", "01"),
    "number with a point": ("1", "1.0"),
    "exponent": ("1e1", "10"),
    "beyond the BMP": ("\U0001f600", "\U0001f601"),
    "lone surrogate": ("\ud800", "\udfff"),
    "the last of 2000 letters": ("x" * 1999 + "a", "x" * 1999 + "b"),
}
"""Pairs of keys that look alike, or are taken for each other, and are different keys."""

SPLITS: Final = {
    "nothing between": (("ap", "psite"), ("app", "site")),
    "colon": (("app:a", "b"), ("app", "a:b")),
    "slash": (("app/a", "b"), ("app", "a/b")),
    "dash": (("app-a", "b"), ("app", "a-b")),
    "zero byte": (("app\x00a", "b"), ("app", "a\x00b")),
    "quotes": (('app", "a', "b"), ("app", 'a", "b')),
    "turned round": (("app", "site"), ("site", "app")),
}
"""Pairs of keys of two parts, which are the same text when the parts are put together."""

UNORDERED: Final = [
    "b",
    "A",
    "Z",
    "c",
    "-",
    "aa",
    "\u00e9",
    "e",
    "\uffff",
    "\U0001f600",
    "10",
    "9",
]
"""Ids out of order."""

ORDER: Final = {
    "capitals first": ("B", "a"),
    "digits are no numbers": ("10", "9"),
    "the shorter first": ("a", "aa"),
    "a space counts": ("a b", "ab"),
    "a dash counts": ("a-c", "ab"),
    "a zero byte is a letter": ("a", "a\x00"),
    "accents last": ("z", "\u00e9"),
    "not by UTF-16": ("\uffff", "\U0001f600"),
    "surrogates in their place": ("\ud7ff", "\ud800"),
}
"""Two ids each, in the order of their code points."""
