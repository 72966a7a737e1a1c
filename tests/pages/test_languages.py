"""The languages of the pages: which one a request gets, and whether their tables are whole."""

from __future__ import annotations

import re
import string
import tomllib
from importlib.resources import files

import pytest

from wix_asgi.pages.contents import CALLERS, FINISHING, REFUSALS, Way
from wix_asgi.pages.languages import DEFAULT, LANGUAGES, choose_language, language

NO_BREAK = "\N{NO-BREAK SPACE}"

CHOICES = [
    ("", "en"),
    ("*", "en"),
    ("de", "de"),
    ("de-AT", "de"),
    ("DE-at,en;q=0.7", "de"),
    ("en-US,en;q=0.9,de;q=0.8", "en"),
    ("sv, fr;q=0.8, de;q=0.9", "de"),
    ("sv;q=1, ja ; q=0.2", "ja"),
    ("fr;q=0.5,es;q=0.5", "fr"),
    ("de;q=0, es;q=0.1", "es"),
    ("de;q=0", "en"),
    ("iw-IL", "he"),
    ("pt-BR", "pt"),
    ("de;q=no, it;q=0.1", "it"),
    ("de;level=1, nl;q=0.3", "nl"),
    ("de;q=nan, pl;q=0.1", "pl"),
    ("deutsch", "en"),
    ("../../de", "en"),
    (",".join(["sv"] * 20) + ",de", "en"),
    (";;==,,;q", "en"),
]


@pytest.mark.parametrize(("header", "expected"), CHOICES)
def test_language_is_the_one_preferred(header: str, expected: str) -> None:
    """The highest weight wins, a region counts as its language, and English is for all others."""
    assert expected == choose_language(header)


@pytest.mark.parametrize("tag", LANGUAGES)
def test_table_is_whole(tag: str) -> None:
    """Each language has every message of English, with the same placeholders, and no other."""
    spoken, english = language(tag), language(DEFAULT).messages

    assert sorted(english) == sorted(spoken.messages)
    for name, text in spoken.messages.items():
        fields = [sorted(_fields(each)) for each in (english[name], text)]

        assert fields[0] == fields[1], name
        assert text.strip() == text, name
        assert text.replace(NO_BREAK, " ").isprintable(), name
        assert {"<", ">", "&", "$"}.isdisjoint(text), name
        assert tag == DEFAULT or text != english[name] or name in {"incident", "reference"}, name


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_message_has_its_use() -> None:
    """The messages are those of the pages, and no other."""
    contents = [*REFUSALS.values(), *CALLERS.values(), FINISHING]
    used = {
        *(f"title_{content.title}" for content in contents),
        *(sentence for content in contents for sentence in content.advice),
        *(f"button_{way}" for way in Way),
        *("incident", "reference", "tell_developer"),
    }

    assert used == set(language(DEFAULT).messages)


def test_tables_are_those_of_the_languages() -> None:
    """A table lies there for each language, and says whether a reader went through it."""
    found = {
        each.name.removesuffix(".toml"): tomllib.loads(each.read_text("utf-8"))["reviewed"]
        for each in files("wix_asgi.pages").joinpath("messages").iterdir()
    }

    assert set(LANGUAGES) == set(found)
    assert {"en", "de", "es", "fr"} == {tag for tag, reviewed in found.items() if reviewed}


def test_french_punctuation_begins_no_line() -> None:
    """French has a space before these signs, at which a line must not end."""
    broken = [text for text in language("fr").messages.values() if re.search("« | [»:;?!]", text)]

    assert [] == broken


def test_hebrew_prefix_stays_with_its_word() -> None:
    """A line does not end between a prefix and the Latin name behind it."""
    broken = [text for text in language("he").messages.values() if re.search("-[A-Z]", text)]

    assert [] == broken
