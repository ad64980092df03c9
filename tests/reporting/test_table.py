import math

import pytest

from study.reporting.table import Column, Published, Row, Table, Text, Value, letters, number


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [(0.8324, False, "0.832"), (-0.0121, False, "−0.012"), (0.0121, True, "+0.012"), (-0.0001, True, "0.000"), (math.nan, False, "–"),
     (math.inf, False, "–"), (12345.6789, False, "12,345.679")],
)  # fmt: skip
def test_number_has_fixed_places_and_a_true_minus(value: float, signed: bool, text: str) -> None:
    assert number(value, signed=signed) == text


def test_letters_go_on_after_z() -> None:
    assert [letters(i) for i in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]


def test_value_shows_interval_and_spread_only_where_there_are_some() -> None:
    assert Value(0.5, 0.4, 0.6).interval == "0.400 to 0.600"
    assert Value(0.5, 0.4).interval == ""
    assert Value(0.5, spread=0.01).spread_text == "± 0.010"
    assert Value(0.5).spread_text == ""


def test_derived_numbers_say_so() -> None:
    assert Published(0.869, derived=True).text == "≈ 0.869"
    assert Published(220, digits=0).text == "220"


def test_equal_notes_share_a_letter_in_the_order_of_reading() -> None:
    first, second = Text("x", notes=("one",)), Text("y", notes=("two", "one"))
    table = Table("t", "T", (Column("a", "A"), Column("b", "B")), (Row("r", (first, second)),))
    assert table.marks == {"one": "a", "two": "b"}


def test_cells_have_addresses() -> None:
    table = Table("t", "T", (Column("a", "A"),), (Row("r", (Value(0.25),)),))
    assert table.cell("r", "a") == Value(0.25)
    with pytest.raises(KeyError, match="t:r:b"):
        table.cell("r", "b")


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="`t:r`: must have 1 cells, got 2"):
        Table("t", "T", (Column("a", "A"),), (Row("r", (Text(""), Text(""))),))
