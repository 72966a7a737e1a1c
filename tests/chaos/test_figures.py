"""The figures of a run and the table of them."""

from __future__ import annotations

from chaos.figures import at_most, exactly, missed, noted, table

FIGURES = [
    exactly("token calls", "sqlite", 2, 1),
    at_most("longest wait, s", "sqlite", 3.5, 2, timed=True),
    at_most("calls a second", "postgresql", 40, 50),
    noted("a refresh, s", "postgresql", 0.25),
]


def test_only_counts_fail_a_test() -> None:
    """A count outside of its bounds is named; a time is not, since machines differ."""
    assert ["token calls on sqlite: 2, wanted 1"] == missed(FIGURES)


def test_the_table_names_what_was_missed() -> None:
    """Every figure has a line, and is marked where it is out of bounds, times included."""
    assert (
        "what             storage     seen   wanted\n"
        "token calls      sqlite      2      1       MISSED\n"
        "longest wait, s  sqlite      3.500  <= 2    MISSED\n"
        "calls a second   postgresql  40     <= 50\n"
        "a refresh, s     postgresql  0.250  -"
    ) == table(FIGURES)
