import numpy as np
import pyarrow as pa
import pytest

from study.evidence.arrow_tables import list_column, matrix_of, schema_table
from study.evidence.schema import EPOCHS, TABLES

EPOCH = {
    "trial": "a",
    "epoch": 1,
    "train_loss": 0.5,
    "val_loss": None,
    "value": np.float64(0.25),
    "lr": 1e-3,
    "seconds": 2.0,
    "pairs_per_second": 10.0,
    "synthetic": False,
}


def test_rows_get_the_columns_and_types_of_the_schema() -> None:
    shuffled = dict(reversed(EPOCH.items()))
    table = schema_table("epochs", [EPOCH, shuffled])
    assert table.schema.equals(EPOCHS)
    assert table.to_pylist() == [EPOCH, EPOCH]


@pytest.mark.parametrize("name", TABLES)
def test_no_rows_are_an_empty_table(name: str) -> None:
    assert schema_table(name, []).schema.equals(TABLES[name])


def test_a_missing_or_unknown_column_is_named() -> None:
    with pytest.raises(TypeError, match=r"`epochs\.lr`: the column is missing\."):
        schema_table("epochs", [{k: v for k, v in EPOCH.items() if k != "lr"}])
    with pytest.raises(TypeError, match=r"`epochs\.loss`: the column is unknown\."):
        schema_table("epochs", [EPOCH, EPOCH | {"loss": 1.0}])
    with pytest.raises(TypeError, match=r"`epochs\.lr`: the column is missing\."):
        schema_table("epochs", pa.table({k: [v] for k, v in EPOCH.items() if k != "lr"}))


@pytest.mark.parametrize(
    ("column", "value"),
    [("trial", 3), ("epoch", "one"), ("epoch", 2**40), ("lr", "fast"), ("synthetic", "yes")],
)
def test_a_value_of_another_type_is_named(column: str, value: object) -> None:
    with pytest.raises(TypeError, match=rf"`epochs\.{column}`: must be "):
        schema_table("epochs", [EPOCH | {column: value}])


def test_a_table_must_have_the_types_already() -> None:
    table = schema_table("epochs", [EPOCH])
    assert schema_table("epochs", table.select(list(reversed(table.column_names)))).equals(table)
    with pytest.raises(TypeError, match=r"`epochs\.epoch`: must be int32, got int64"):
        schema_table("epochs", table.set_column(1, "epoch", pa.array([1], pa.int64())))


def test_an_unknown_table_is_named() -> None:
    with pytest.raises(TypeError, match="`epoch`: must be a table of the schema: study, trial"):
        schema_table("epoch", [])


def test_list_columns_keep_shape_and_unknown_values() -> None:
    matrix = np.array([[1, 0, -1], [0, 1, 1]], dtype=np.int8)
    column = pa.chunked_array([list_column(matrix, missing=-1)])
    assert column.to_pylist() == [[1, 0, None], [0, 1, 1]]
    np.testing.assert_array_equal(matrix_of(column, missing=-1), matrix)
    np.testing.assert_array_equal(matrix_of(column.slice(1), missing=-1), matrix[1:])
    assert matrix_of(pa.chunked_array([list_column(matrix[:0])])).shape[0] == 0
    with pytest.raises(ValueError, match="got nulls"):
        matrix_of(column)
    with pytest.raises(ValueError, match="different lengths"):
        matrix_of(pa.chunked_array([pa.array([[1], [1, 2]])]))
