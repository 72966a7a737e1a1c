"""The languages of our pages: chosen by `Accept-Language`, each with one table of messages."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

__all__ = ["DEFAULT", "LANGUAGES", "Language", "choose_language", "language"]

DEFAULT: Final = "en"
LANGUAGES: Final = (DEFAULT, "de", "es", "fr", "it", "pt", "nl", "pl", "ja", "he")
"""The tags of the tables in `messages/`, as `Accept-Language` has them (RFC 5646)."""

_MAX_RANGES: Final = 20
"""Languages of a request that are read. Browsers send their few preferred ones, under ten."""

_FORMER_TAGS: Final = {"iw": "he"}
"""Tags that RFC 5646 has replaced, and that some systems still send."""


class Language(NamedTuple):
    """One language.

    Attributes:
        tag: The value of `lang` and `Content-Language`.
        direction: The value of `dir`: `ltr` or `rtl`.
        reviewed: Whether a reader of the language went through the messages.
        separator: What stands between two sentences.
        messages: The messages by their names.
    """

    tag: str
    direction: str
    reviewed: bool
    separator: str
    messages: dict[str, str]


@cache
def language(tag: str) -> Language:
    """Return one of `LANGUAGES`; its table is read at the first use, and kept."""
    # Here, since most processes never show a page, and compiling its patterns takes milliseconds.
    import tomllib  # noqa: PLC0415

    text = files("wix_asgi.pages").joinpath("messages", f"{tag}.toml").read_text("utf-8")
    table = tomllib.loads(text)
    return Language(tag, **table)


def choose_language(accept_language: str) -> str:
    """Return the tag of the language that the header likes best; English where it likes none.

    A region counts as its language: `de-AT` is `de` (RFC 9110, 12.5.4, and RFC 4647, 3.4).
    """
    best, best_quality = DEFAULT, 0.0
    for part in accept_language.lower().split(",", _MAX_RANGES)[:_MAX_RANGES]:
        name, _, parameter = part.partition(";")
        tag = name.strip().partition("-")[0]
        tag = _FORMER_TAGS.get(tag, tag)
        if tag in LANGUAGES and (quality := _quality(parameter)) > best_quality:
            best, best_quality = tag, quality
    return best


def _quality(parameter: str) -> float:
    """Return the weight of a language, 1 where it has none, and 0 where it cannot be read."""
    name, _, value = parameter.partition("=")
    if not name.strip():
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0
