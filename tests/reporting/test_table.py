import pytest

from study.reporting.table import Column, Published, Row, Table, Text, Value, count, letters


def test_a_count_has_no_places() -> None:
    assert count(12345).text == "12,345"


def test_letters_go_on_after_z() -> None:
    assert [letters(i) for i in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]


def test_value_shows_interval_and_spread_only_where_there_are_some() -> None:
    assert Value(value=0.5, low=0.4, high=0.6).interval == "0.400 to 0.600"
    assert Value(value=0.5, low=0.4).interval == ""
    assert Value(value=0.5, spread=0.01).spread_text == "± 0.010"
    assert Value(value=0.5).spread_text == ""


def test_derived_numbers_say_so() -> None:
    assert Published(0.869, derived=True).text == "≈ 0.869"
    assert Published(220, digits=0).text == "220"


def test_equal_notes_share_a_letter_in_the_order_of_reading() -> None:
    first, second = Text("x", notes=("one",)), Text("y", notes=("two", "one"))
    columns = (Column("a", "A"), Column("b", "B"))
    table = Table(name="t", title="T", columns=columns, rows=(Row("r", (first, second)),))
    assert table.marks == {"one": "a", "two": "b"}


def test_cells_have_addresses() -> None:
    row = Row("r", (Value(value=0.25),))
    table = Table(name="t", title="T", columns=(Column("a", "A"),), rows=(row,))
    assert table.cell("r", "a") == Value(value=0.25)
    with pytest.raises(KeyError, match="t:r:b"):
        table.cell("r", "b")


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="`t:r`: must have 1 cells, got 2"):
        Table(name="t", title="T", columns=(Column("a", "A"),), rows=(Row("r", (Text(""), Text(""))),))
